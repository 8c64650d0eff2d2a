"""The Dagster instance under a home, derived from the project's `dagster.yaml`.

One source for both: `dagster dev` reads the project's file, `up` the same settings under the home.
Only the three folders differ, and those that Dagster chooses by itself under DAGSTER_HOME have the
same layout as those that the project's file names.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mlops_assets.errors import PlatformError
from mlops_assets.platform.home import Home, write_aside

_FOLDERS = ("storage", "local_artifact_storage", "compute_logs")
_HEADER = "# Written by `mlops-assets up` from {source}; change that file, not this one.\n"


@dataclass(frozen=True, slots=True)
class CodeLocation:
    """What Dagster loads: the attribute of a module, and the name that it goes by in the UI."""

    workspace: Path
    module: str
    attribute: str
    name: str


def write_instance(project: Path, home: Home) -> Path:
    """Writes `<home>/dagster/dagster.yaml`, and nothing when it is there as it should be.

    Raises:
        PlatformError: the project's file cannot be read.
    """
    source = project / "dagster.yaml"
    settings = _read(source)
    for folder in _FOLDERS:
        settings.pop(folder, None)
    text = _HEADER.format(source=source) + yaml.safe_dump(settings, sort_keys=False)
    target = home.dagster / "dagster.yaml"
    if not target.exists() or target.read_text() != text:
        write_aside(target, text)
    return target


def code_location(project: Path) -> CodeLocation:
    """The code location that the project's `workspace.yaml` names.

    Raises:
        PlatformError: it names none, or several.
    """
    workspace = project / "workspace.yaml"
    entries = _read(workspace).get("load_from") or []
    modules = [entry["python_module"] for entry in entries if "python_module" in entry]
    if len(modules) != 1 or len(entries) != 1 or not isinstance(modules[0], dict):
        raise PlatformError(
            f"{workspace}: found {len(entries)} entries under load_from, needed: one python_module "
            "with module_name and location_name"
        )
    module = str(modules[0]["module_name"])
    attribute = str(modules[0].get("attribute", "defs"))
    return CodeLocation(workspace, module, attribute, str(modules[0].get("location_name", module)))


def _read(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise PlatformError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise PlatformError(f"{path}: found {type(found).__name__}, needed: a mapping")
    return found

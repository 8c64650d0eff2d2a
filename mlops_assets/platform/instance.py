"""The Dagster instance under a home, derived from the project's `dagster.yaml`.

One source for both: `dagster dev` reads the project's file, `up` the same settings under the home.
Only the three folders differ, and those that Dagster chooses by itself under DAGSTER_HOME have the
same layout as those that the project's file names.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mlops_assets.errors import PlatformError
from mlops_assets.half_written import has_rows, put_aside
from mlops_assets.platform.home import Home
from mlops_assets.whole_files import alone, replace_file

_FOLDERS = ("storage", "local_artifact_storage", "compute_logs")
_HEADER = "# Written by `mlops-assets up` from {source}; change that file, not this one.\n"


@dataclass(frozen=True, slots=True)
class CodeLocation:
    """What Dagster loads: the attribute of a module, and the name that it goes by in the UI."""

    workspace: Path
    module: str
    attribute: str
    name: str


def ensure_instance(project: Path, home: Home) -> None:
    """Makes DAGSTER_HOME when there is none, and keeps its settings those of the project.

    Dagster makes its databases in many steps; killed between two, or begun by two processes at
    once, they stay broken. So the folder is made aside, by whoever gets the lock, and put in place
    at once. Safe from several processes.

    Raises:
        PlatformError: the project's file cannot be read, or a database is none.
    """
    text = instance_settings(project)
    with alone(home.root / ".dagster.lock"):
        if not is_whole(home.dagster):
            if home.dagster.exists():
                put_aside(home.dagster)
            _create(home, text)
        target = home.dagster / "dagster.yaml"
        if not target.exists() or target.read_text() != text:
            replace_file(target, text)


def is_whole(folder: Path) -> bool:
    """Whether Dagster's first making of its databases in a folder came to its end."""
    history = folder / "history"
    return (
        has_rows(history / "runs" / "index.db", ("alembic_version", "secondary_indexes"))
        and has_rows(history / "runs.db", ("alembic_version", "secondary_indexes"))
        and has_rows(folder / "schedules" / "schedules.db", ("alembic_version",))
    )


def _create(home: Home, settings: str) -> None:
    import dagster as dg

    aside = home.root / ".dagster.new"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    (aside / "dagster.yaml").write_text(settings)
    with dg.DagsterInstance.from_config(str(aside)) as instance:
        instance.get_runs(limit=1)
    aside.replace(home.dagster)


def instance_settings(project: Path) -> str:
    """The text of the home's `dagster.yaml`.

    Raises:
        PlatformError: the project's file cannot be read.
    """
    source = project / "dagster.yaml"
    settings = _read(source)
    for folder in _FOLDERS:
        settings.pop(folder, None)
    return _HEADER.format(source=source) + yaml.safe_dump(settings, sort_keys=False)


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

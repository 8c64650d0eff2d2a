"""Which models there are, told without Dagster: by their documents and by what they left."""

from pathlib import Path

from mlops_assets.errors import PlatformError, SpecError
from mlops_assets.platform.evidence import declared_services
from mlops_assets.platform.home import Home
from mlops_assets.platform.instance import code_location
from mlops_assets.spec import ModelSpec
from mlops_assets.spec.reading import (
    LocatedSpec,
    discover_documents,
    locate_documents,
    read_documents,
)


def defs_folder(project: Path) -> Path:
    """The folder with one folder for each model, beside the module that the code location names.

    Raises:
        PlatformError: the project names no code location.
    """
    *packages, _ = code_location(project).module.split(".")
    return project.joinpath(*packages, "defs")


def known_documents(project: Path) -> dict[str, ModelSpec]:
    """The valid documents by model. A broken one is left out; `mlops-assets check` tells why."""
    found = {}
    try:
        files = discover_documents(defs_folder(project))
    except SpecError:
        return {}
    for file in files:
        try:
            found.update({spec.name: spec for spec in read_documents(file)})
        except SpecError:
            continue
    return found


def find_document(project: Path, model: str) -> LocatedSpec:
    """The document of a model, with the file that it stands in.

    Raises:
        PlatformError: no document declares it; with the names that there are.
        SpecError: a document is broken.
    """
    names = []
    for file in discover_documents(defs_folder(project)):
        located, problems = locate_documents(file)
        for found in located:
            if found.spec.name == model:
                return found
            names.append(found.spec.name)
        if problems and file.parent.name == model:
            raise SpecError(problems)
    raise PlatformError(
        f"no document declares a model {model!r}; found: {', '.join(sorted(names)) or 'none'}"
    )


def known_models(home: Home, project: Path) -> list[str]:
    """Every model that has a document, a service or a record."""
    records = [path.name for path in (home.root / "records").glob("*") if path.is_dir()]
    return sorted({*known_documents(project), *declared_services(home), *records})


def require_known(home: Home, project: Path, model: str) -> None:
    """Refuses a name that no model has.

    Raises:
        PlatformError: with the names that there are.
    """
    known = known_models(home, project)
    if model not in known:
        raise PlatformError(
            f"no model is named {model!r}; found: {', '.join(known) or 'none at all'}"
        )

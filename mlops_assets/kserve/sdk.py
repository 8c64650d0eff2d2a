"""The one door to the KServe SDK: imported with care, or read without an import."""

import ast
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any


def import_kserve() -> ModuleType:
    """The module `kserve`, imported without letting it read our command line.

    `kserve.model_server` parses `sys.argv` on import and exits the process on options that it takes
    for its own (`dagster job execute --config` is one). The import costs 4 s and 200 MB: call this
    where the SDK is used, never at module level.
    """
    arguments, sys.argv = sys.argv, sys.argv[:1]
    try:
        return importlib.import_module("kserve")
    finally:
        sys.argv = arguments


@cache
def model_fields(kind: str) -> Mapping[str, str] | None:
    """Types by field of one of the SDK's classes, as they stand in its source; None: no such class.

    Read and not imported: that takes 10 ms and runs nothing, where the import takes 4 s.
    """
    path = _model_files().get(kind.lower())
    if path is None:
        return None
    module = ast.parse(path.read_text(encoding="utf-8"))
    found: dict[str, Any] = {}
    for statement in ast.walk(module):
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            if name in ("openapi_types", "attribute_map"):
                found[name] = ast.literal_eval(statement.value)
    types, names = found["openapi_types"], found["attribute_map"]
    return {field: types[name] for name, field in names.items()}


@cache
def _model_files() -> Mapping[str, Path]:
    """Source file of each of the SDK's classes, by the small letters of its name."""
    spec = importlib.util.find_spec("kserve")  # finds the folder and runs nothing
    if spec is None or not spec.submodule_search_locations:
        return {}
    folder = Path(next(iter(spec.submodule_search_locations))) / "models"
    files = (path for path in folder.glob("*.py") if path.stem != "__init__")
    return {path.stem.replace("_", "").lower(): path for path in files}

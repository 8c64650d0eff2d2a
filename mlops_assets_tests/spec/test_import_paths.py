import ast
import sys
from pathlib import Path

import pytest

from mlops_assets.spec.import_paths import Resolved, argument_problems, resolve, takes_one

MODULE = """\
import os
from json import loads as read

LIMIT: int = 3
first, (second, *rest) = 1, (2, 3)

def load(*, until: str): ...
class Model: ...

try:
    import absent_library
except ImportError:
    fallback = None

if LIMIT:
    def chosen(): ...

raise RuntimeError("this module is never run")
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that fails when it is imported, on Python's path."""
    folder = tmp_path / "never_imported" / "inner"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise RuntimeError")
    (folder / "__init__.py").write_text("def __getattr__(name): ...")
    (folder / "code.py").write_text(MODULE)
    (folder / "broken.py").write_text("def load(:\n")
    (folder / "star.py").write_text("from os.path import *\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "never_imported.inner"


@pytest.mark.parametrize(
    "name",
    [
        *("os", "read", "LIMIT", "first", "second", "rest", "load", "Model"),
        *("absent_library", "fallback", "chosen"),
    ],
)
def test_names_that_a_module_binds_are_found_without_running_it(package: str, name: str) -> None:
    assert isinstance(resolve(f"{package}.code:{name}"), Resolved)
    assert isinstance(resolve(f"{package}.code.{name}"), Resolved)
    assert "never_imported" not in sys.modules


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("code:lod", "a name that module never_imported.inner.code has; did you mean 'load'?"),
        ("code:json", "a name that module never_imported.inner.code has"),
        ("cod:load", "but there is no module never_imported.inner.cod"),
        ("code.deeper:load", "but there is no module never_imported.inner.code.deeper"),
        ("broken:load", "a module that can be read, but broken.py: invalid syntax"),
    ],
)
def test_paths_that_lead_nowhere_are_told_with_the_reason(
    package: str, path: str, reason: str
) -> None:
    found = resolve(f"{package}.{path}")
    assert isinstance(found, str)
    assert reason in found


def test_folders_without_init_are_packages_too(package: str, tmp_path: Path) -> None:
    folder = tmp_path / "no_init" / "deeper"
    folder.mkdir(parents=True)
    (folder / "code.py").write_text("def load(): ...")
    assert isinstance(resolve("no_init.deeper.code:load"), Resolved)
    assert isinstance(resolve("no_init.deeper.cod:load"), str)


@pytest.mark.parametrize("path", ["star:join", "anything_at_all"])
def test_what_is_only_known_at_run_time_passes(package: str, path: str) -> None:
    assert isinstance(resolve(f"{package}.{path}"), Resolved)


def test_a_top_package_that_is_not_installed_leads_nowhere() -> None:
    assert resolve("no_such_package:load") == (
        "the import path of a module that exists, but there is no module no_such_package"
    )


def test_installed_libraries_are_told_from_the_projects_own_code(package: str) -> None:
    library = resolve("sklearn.linear_model:LogisticRegression")
    own = resolve(f"{package}.code:Model")
    assert isinstance(library, Resolved)
    assert isinstance(own, Resolved)
    assert (library.is_library, own.is_library) == (True, False)


def function(text: str) -> ast.FunctionDef:
    [node] = ast.parse(text).body
    assert isinstance(node, ast.FunctionDef)
    return node


@pytest.mark.parametrize(
    ("signature", "given", "missing", "unknown"),
    [
        ("*, until, limit=1", {"until"}, [], []),
        ("*, until, limit=1", set(), ["until"], []),
        ("until, limit=1", {"util"}, ["until"], ["util"]),
        ("until, **others", {"until", "anything"}, [], []),
        ("", {"until"}, [], ["until"]),
    ],
)
def test_arguments_are_held_against_the_signature(
    signature: str, given: set[str], missing: list[str], unknown: list[str]
) -> None:
    found = argument_problems(function(f"def load({signature}): ..."), given)
    assert found[:2] == (missing, unknown)


@pytest.mark.parametrize(
    ("signature", "fits"),
    [
        ("rows", True),
        ("rows, /", True),
        ("rows, extra=1", True),
        ("*rows", True),
        ("", False),
        ("rows, extra", False),
        ("rows, *, extra", False),
        ("*, rows", False),
    ],
)
def test_a_feature_function_takes_one_frame(signature: str, fits: bool) -> None:
    assert takes_one(function(f"def add({signature}): ...")) is fits

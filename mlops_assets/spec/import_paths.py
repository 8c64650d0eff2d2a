"""Whether an import path leads somewhere, found without importing or running anything.

Modules are found where Python would look for them, without importing the packages on the way; names
are looked for in the parsed source. What cannot be known so (compiled modules, names that are made
at run time) passes.
"""

import ast
import sysconfig
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from importlib.util import find_spec
from pathlib import Path

from mlops_assets.spec.explaining import suggestion

_SITE_FOLDERS = tuple(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib"))
_LOADERS = (
    (ExtensionFileLoader, EXTENSION_SUFFIXES),
    (SourceFileLoader, SOURCE_SUFFIXES),
    (SourcelessFileLoader, BYTECODE_SUFFIXES),
)


@dataclass(frozen=True, slots=True)
class Resolved:
    """Where an import path leads.

    Attributes:
        file: The module's source, or None when it is compiled or built in.
        node: The definition of a function or class; None when it is made in another way.
    """

    file: Path | None
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | None

    @property
    def is_library(self) -> bool:
        """Whether the module is installed, rather than written in this project."""
        return self.file is None or any(self.file.is_relative_to(at) for at in _SITE_FOLDERS)


def resolve(path: str) -> Resolved | str:
    """Where `package.module:name` leads, or in words why it leads nowhere."""
    module, _, name = path.replace(":", ".").rpartition(".")
    found = _find_module(module)
    if isinstance(found, str):
        return found
    file = Path(found.origin) if found.origin else None
    if file is None or file.suffix != ".py":
        return Resolved(file, None)
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except (SyntaxError, ValueError) as error:
        return f"the import path of a module that can be read, but {file.name}: {error}"
    last = dict(_definitions(tree.body))  # of two definitions the last counts
    if name in last:
        return Resolved(file, last[name])
    if "*" in last or "__getattr__" in last or name in _submodules(found):
        return Resolved(file, None)
    public = [known for known in last if not known.startswith("_")]
    return f"a name that module {module} has{suggestion(name, public)}"


def source_file(path: str) -> Path | None:
    """The file of the module that `package.module:name` names; None when there is none.

    Of a compiled module it is the library, whose content tells versions apart as well.
    """
    found = _find_module(path.replace(":", ".").rpartition(".")[0])
    file = None if isinstance(found, str) or not found.origin else Path(found.origin)
    return file if file is not None and file.is_file() else None


def argument_problems(
    node: ast.FunctionDef | ast.AsyncFunctionDef, given: Collection[str]
) -> tuple[list[str], list[str], list[str]]:
    """Names that a function needs and are not given, that are given in vain, and that it takes."""
    arguments = node.args
    positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    taken = [argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)]
    needed = positional[: len(positional) - len(arguments.defaults)] + [
        argument.arg
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is None
    ]
    missing = [name for name in needed if name not in given]
    unknown = [] if arguments.kwarg else [name for name in given if name not in taken]
    return missing, unknown, taken


def takes_one(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function can be called with one positional argument and nothing else."""
    arguments = node.args
    n_positional = len(arguments.posonlyargs) + len(arguments.args)
    n_needed = n_positional - len(arguments.defaults)
    can_take_one = n_positional >= 1 or arguments.vararg is not None
    return can_take_one and n_needed <= 1 and None not in arguments.kw_defaults


@dataclass(frozen=True, slots=True)
class _Module:
    """Where a module's code stands, and in which folders its submodules do."""

    origin: str | None
    folders: tuple[str, ...]


def _find_module(name: str) -> _Module | str:
    """The module, found from the top package down without importing any, or why there is none."""
    parts = name.split(".")
    module: _Module | None = None
    for depth in range(1, len(parts) + 1):
        here = ".".join(parts[:depth])
        module = _find_top(here) if module is None else _find_in(module.folders, here)
        if module is None:
            return f"the import path of a module that exists, but there is no module {here}"
    if module is None:
        raise ValueError("an import path names a module")
    return module


def _find_top(name: str) -> _Module | None:
    found = find_spec(name)  # imports nothing, since there is no package above
    if found is None:
        return None
    return _Module(found.origin, tuple(found.submodule_search_locations or ()))


def _find_in(folders: Sequence[str], name: str) -> _Module | None:
    """A module in the folders of its package; a folder without `__init__.py` is one of many."""
    parts: list[str] = []
    for folder in folders:
        found = FileFinder(folder, *_LOADERS).find_spec(name)
        if found is not None and found.loader is not None:
            return _Module(found.origin, tuple(found.submodule_search_locations or ()))
        if found is not None:
            parts += found.submodule_search_locations or ()
    return _Module(None, tuple(parts)) if parts else None


def _submodules(module: _Module) -> set[str]:
    return {child.stem for folder in module.folders for child in Path(folder).iterdir()}


_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _definitions(body: Sequence[ast.stmt]) -> Iterator[tuple[str, _Definition | None]]:
    """Names that statements bind at the top of a module, also within `if`, `try` and `with`."""
    for statement in body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield statement.name, statement
            case ast.Import() | ast.ImportFrom():
                for alias in statement.names:
                    yield alias.asname or alias.name.partition(".")[0], None
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign() | ast.For() | ast.Expr():
                for inner in ast.walk(statement):
                    if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                        yield inner.id, None
            case _:
                for part in ("body", "orelse", "finalbody"):
                    yield from _definitions(getattr(statement, part, []))
                for handler in getattr(statement, "handlers", []):
                    yield from _definitions(handler.body)

"""What `mlops-assets check` finds: every document, and everything that one refers to.

Nothing is run: no source is read beyond its header, no function of the project is imported. An
estimator from an installed library is constructed, as training would, and not fitted.
"""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlops_assets.data.sources import source_columns
from mlops_assets.errors import Problem, SourceError
from mlops_assets.modeling.estimator import check_estimator
from mlops_assets.modeling.features import feature_fields
from mlops_assets.spec import ModelSpec
from mlops_assets.spec.explaining import is_template, suggestion
from mlops_assets.spec.import_paths import Resolved, argument_problems, resolve, takes_one
from mlops_assets.spec.reading import LocatedSpec, discover_documents, locate_documents
from mlops_assets.spec.yaml_text import FieldPath

_FITTING_TYPES = {
    "numeric": ("integer", "number", "boolean"),
    "categorical": ("string", "integer", "number", "boolean"),
    "boolean": ("boolean", "string", "integer"),
    "datetime": ("datetime", "date"),
}
"""Types in a contract that suit each kind of feature."""


def check_documents(defs_dir: Path) -> list[Problem]:
    """All problems of all documents under a folder, by file and line. Empty when all is well.

    Raises:
        SpecError: there is no such folder.
    """
    documents: list[LocatedSpec] = []
    problems: list[Problem] = []
    for path in discover_documents(defs_dir):
        located, invalid = locate_documents(path)
        documents += located
        problems += invalid
    problems += _shared_names(documents)
    for document in documents:
        problems += check_references(document)
    return sorted(problems, key=lambda problem: (problem.file, problem.line))


def check_references(document: LocatedSpec) -> list[Problem]:
    """Problems of one valid document: columns, types and import paths that lead nowhere."""
    return [
        *_reserved_problems(document),
        *_column_problems(document),
        *_type_problems(document),
        *_positive_problems(document),
        *_log_problems(document),
        *_import_problems(document),
    ]


def _shared_names(documents: Sequence[LocatedSpec]) -> list[Problem]:
    """Models of one name, and models whose versions would mix under one registered name."""
    by_name: dict[str, LocatedSpec] = {}
    by_registered: dict[str, LocatedSpec] = {}
    problems = []
    for document in documents:
        spec = document.spec
        other = by_name.setdefault(spec.name, document)
        twin = by_registered.setdefault(spec.registered_model, document)
        if other is not document:
            where = f"{other.file}:{other.text.line(('attributes', 'name'))}"
            problems.append(
                document.problem(("name",), spec.name, f"a name of its own; {where} has it")
            )
        elif twin is not document:
            at, first = (document, twin) if spec.registry.name is not None else (twin, document)
            allowed = f"a name of its own; {first.spec.name} is registered by it too"
            problems.append(at.problem(("registry", "name"), spec.registered_model, allowed))
    return problems


def _source_references(spec: ModelSpec) -> Iterator[tuple[FieldPath, str]]:
    """Every place that names a column which the source itself must have."""
    if spec.time_column is not None:
        yield ("time_column",), spec.time_column
    for number, group in enumerate(spec.contract.unique_together):
        for position, column in enumerate(group):
            yield ("contract", "unique_together", number, position), column


def _feature_references(spec: ModelSpec) -> Iterator[tuple[FieldPath, str]]:
    for kind in ("numeric", "categorical", "boolean"):
        for position, column in enumerate(getattr(spec.features, kind)):
            yield ("features", kind, position), column
    for column in spec.features.datetime:
        yield ("features", "datetime", column), column


def _frame_references(spec: ModelSpec) -> Iterator[tuple[FieldPath, str]]:
    """Every place that names a column of the source or one that `features.function` makes."""
    yield from _feature_references(spec)
    yield ("target", "column"), spec.target.column
    if spec.entity_key is not None:
        yield ("entity_key",), spec.entity_key
    if spec.split.group is not None:
        yield ("split", "group"), spec.split.group
    for position, column in enumerate(spec.split.id_columns):
        yield ("split", "id_columns", position), column
    for position, column in enumerate(spec.evaluation.slices):
        yield ("evaluation", "slices", position), column


def _column_problems(document: LocatedSpec) -> list[Problem]:
    """Columns that are named and do not exist."""
    spec = document.spec
    try:
        header = _header(document)
    except SourceError as error:
        return [document.problem(("source", "path"), spec.source.path, f"a source; {error}")]
    declared = list(spec.contract.columns)
    known = list(header) if header is not None else declared
    if not known:
        return []  # nobody tells the columns before the source is read
    where = "the source" if header is not None else "the contract, which alone tells them here"
    references = list(_source_references(spec))
    if spec.features.function is None:
        references += _frame_references(spec)
    if header is not None:
        references += [(("contract", "columns", column), column) for column in declared]
    return [
        document.problem(field, column, f"a column of {where}{suggestion(column, known)}")
        for field, column in references
        if column not in known
    ]


def _reserved_problems(document: LocatedSpec) -> list[Problem]:
    """Columns whose names the platform keeps for itself."""
    return [
        document.problem(field, column, "a column without __ in front, which marks our own")
        for field, column in (*_source_references(document.spec), *_frame_references(document.spec))
        if column.startswith("__")
    ]


def _header(document: LocatedSpec) -> dict[str, str] | None:
    """Columns of the source where they can be known: files of this machine."""
    source = document.spec.source
    if source.path is None or is_template(source.path) or "://" in source.path:
        return None
    return source_columns(source, base=document.file.parent)


def _type_problems(document: LocatedSpec) -> list[Problem]:
    """Columns used in a way that their own contract rules out."""
    spec = document.spec
    columns = spec.contract.columns
    uses: list[tuple[FieldPath, str, tuple[str, ...]]] = [
        (field, column, _FITTING_TYPES[str(field[1])])
        for field, column in _feature_references(spec)
    ]
    if spec.time_column is not None:
        uses.append((("time_column",), spec.time_column, _FITTING_TYPES["datetime"]))
    if spec.target.task == "regression":
        uses.append((("target", "column"), spec.target.column, ("integer", "number")))
    return [
        document.problem(
            field,
            f"{column} of type {columns[column].type}",
            f"a column of type {', '.join(types)} by its contract",
        )
        for field, column, types in uses
        if column in columns and columns[column].type not in types
    ]


def _positive_problems(document: LocatedSpec) -> list[Problem]:
    """A positive class that the target's contract does not list."""
    target = document.spec.target
    contract = document.spec.contract.columns.get(target.column)
    if target.positive is None or contract is None or contract.categories is None:
        return []
    if target.positive in contract.categories:
        return []
    words = [str(category) for category in contract.categories]
    allowed = f"one of {', '.join(words)}{suggestion(str(target.positive), words)}"
    return [document.problem(("target", "positive"), target.positive, allowed)]


def _log_problems(document: LocatedSpec) -> list[Problem]:
    """Columns that the prediction log is to leave out or to hash, and that no caller sends."""
    names = [field.name for field in feature_fields(document.spec)]
    policy = document.spec.serving.prediction_log
    return [
        document.problem(
            ("serving", "prediction_log", part, position),
            name,
            f"a feature as callers send it, such as {', '.join(names[:3])}"
            f"{suggestion(name, names)}",
        )
        for part in ("leave_out", "hash")
        for position, name in enumerate(getattr(policy, part))
        if name not in names
    ]


def _import_problems(document: LocatedSpec) -> list[Problem]:
    return [
        *_source_function_problems(document),
        *_feature_function_problems(document),
        *_estimator_problems(document),
    ]


def _source_function_problems(document: LocatedSpec) -> list[Problem]:
    """A source function that does not exist or takes other arguments than the document gives."""
    source = document.spec.source.python
    if source is None:
        return []
    field = ("source", "python", "function")
    found = resolve(source.function)
    if not isinstance(found, Resolved):
        return [document.problem(field, source.function, found)]
    if not isinstance(found.node, ast.FunctionDef | ast.AsyncFunctionDef):
        return []
    given = source.arguments
    missing, unknown, taken = argument_problems(found.node, given)
    name = found.node.name
    problems = [
        document.problem((*field[:-1], "arguments"), list(given), f"{name} also needs {argument}")
        for argument in missing
    ]
    return problems + [
        document.problem(
            (*field[:-1], "arguments", argument),
            given[argument],
            f"an argument of {name}, which takes {', '.join(taken) or 'none'}"
            f"{suggestion(argument, taken)}",
        )
        for argument in unknown
    ]


def _feature_function_problems(document: LocatedSpec) -> list[Problem]:
    """A feature function that does not exist or does not take one frame."""
    path = document.spec.features.function
    if path is None:
        return []
    found = resolve(path)
    if not isinstance(found, Resolved):
        return [document.problem(("features", "function"), path, found)]
    node = found.node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not takes_one(node):
        allowed = "a function of one argument, the lazy frame"
        return [document.problem(("features", "function"), path, allowed)]
    return []


def _estimator_problems(document: LocatedSpec) -> list[Problem]:
    spec = document.spec
    found = resolve(spec.model.estimator)
    if not isinstance(found, Resolved):
        return [document.problem(("model", "estimator"), spec.model.estimator, found)]
    if not found.is_library:
        return []  # the project's own code is not run; training tells what is wrong with it
    return [
        document.problem(problem.field.split("."), problem.found, problem.allowed)
        for problem in check_estimator(spec)
    ]

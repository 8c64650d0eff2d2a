"""What pydantic found wrong with a document, in words that say what may stand there instead."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Any, Union, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from mlops_assets.errors import Problem
from mlops_assets.spec.base import PATTERN_WORDS
from mlops_assets.spec.yaml_text import FieldPath, YamlDocument

_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping of fields",
    "model_type": "a mapping of fields",
    "model_attributes_type": "a mapping of fields",
    "date_type": "a date such as 2013-01-31",
    "date_parsing": "a date such as 2013-01-31",
    "date_from_datetime_parsing": "a date such as 2013-01-31",
    "invalid-json-value": "text, a number, true, false, null, a list or a mapping",
    "time_delta_type": "a whole number and a unit of s, m, h, d or w, such as 7d",
}
_LIMITS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("of at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("of at most", "le"),
}


def explain(
    document: YamlDocument, schema: type[BaseModel], errors: Sequence[ErrorDetails]
) -> list[Problem]:
    """The problems behind pydantic's errors about a document's `attributes`, by line.

    What several members of a union say about one value becomes one problem.
    """
    found: dict[tuple[str | int, ...], tuple[object, list[str]]] = {}
    for error in errors:
        path = ("attributes", *error["loc"])
        details = error.get("ctx", {})
        if error["type"] == "fields":
            for problem in details["problems"]:
                field = (*document.known_part(path), *problem.field)
                found.setdefault(field, (problem.found, []))[1].append(problem.allowed)
            continue
        known = document.known_part(path)
        is_missing = error["type"] == "missing"
        field = (*known, error["loc"][-1]) if is_missing else known
        value = None if is_missing else error["input"]
        words = _allowed(error, schema, error["loc"])
        found.setdefault(field, (value, []))[1].append(words)
    problems = [
        document.problem(field, value, "; or ".join(dict.fromkeys(allowed)))
        for field, (value, allowed) in found.items()
    ]
    return sorted(problems, key=lambda problem: problem.line)


def suggestion(word: str, words: Sequence[str]) -> str:
    """`; did you mean 'x'?` when one of the words is like it; else nothing."""
    close = get_close_matches(word, words, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def _allowed(error: ErrorDetails, schema: type[BaseModel], loc: FieldPath) -> str:
    """What may stand where an error is."""
    kind, value, details = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        fields = list(_schema_at(schema, loc[:-1]).model_fields)
        hint = suggestion(str(loc[-1]), fields) or f"; fields here: {', '.join(fields)}"
        return f"no field of that name{hint}"
    if kind == "missing":
        meaning = _schema_at(schema, loc[:-1]).model_fields[str(loc[-1])].description or ""
        return f"a value, it has no default ({meaning.split('. ')[0].rstrip('.')})"
    if kind == "literal_error":
        words = details["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        return f"{details['expected']}{suggestion(str(value), words)}"
    if kind in _LIMITS:
        word, key = _LIMITS[kind]
        return f"a number {word} {details[key]:g}"
    if kind in ("too_short", "string_too_short"):
        return f"at least {details['min_length']}"
    if kind == "string_too_long":
        return f"at most {details['max_length']} characters"
    if kind == "string_pattern_mismatch":
        return _written_out(PATTERN_WORDS.get(details["pattern"], error["msg"]), value)
    if kind == "value_error":
        return _written_out(str(details["error"]), value)
    return _typed(_KINDS.get(kind, error["msg"]), value)


def _typed(words: str, value: object) -> str:
    """How a value of the wrong type is put right."""
    if words == "text" and isinstance(value, bool):
        return "text: put it in quotes, or YAML reads yes, no, on and off as true and false"
    if words == "text" and isinstance(value, int | float):
        return f'text: put it in quotes, "{value}"'
    if words in ("a number", "a whole number", "true or false") and isinstance(value, str):
        return _written_out(f"{words}, without quotes", value)
    return words


def _written_out(words: str, value: object) -> str:
    if isinstance(value, str) and is_template(value):
        return f"{words}, written out: templates may stand in plain text only"
    return words


def is_template(text: str) -> bool:
    """Whether Dagster fills in the text when it loads the document: `{{ env.X }}`."""
    return "{{" in text or "{%" in text


def _schema_at(schema: type[BaseModel], path: FieldPath) -> type[BaseModel]:
    """The part of the schema that a path leads to."""
    here: Any = schema
    for step in path:
        if isinstance(here, type) and issubclass(here, BaseModel):
            here = _part(here.model_fields[str(step)].annotation)
        elif get_origin(here) in (dict, list, Mapping):
            here = _part(get_args(here)[-1])
    return cast("type[BaseModel]", here)


def _part(annotation: Any) -> Any:
    """An annotation without its `| None`."""
    if get_origin(annotation) in (Union, UnionType):
        kept = [member for member in get_args(annotation) if member is not type(None)]
        return kept[0] if len(kept) == 1 else annotation
    return annotation

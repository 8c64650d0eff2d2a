"""The reference of the document, made from its schema: `docs/yaml-reference.md`.

`python -m mlops_assets.spec.reference > docs/yaml-reference.md` writes it; a test keeps it current.
What a field means is said once, where it is declared.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

import yaml
from pydantic import BaseModel, JsonValue
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from mlops_assets.spec.base import PATTERN_WORDS, write_duration
from mlops_assets.spec.document import ModelSpec

EXAMPLE = """\
type: mlops_assets.component.ModelPipeline

attributes:
  name: churn
  description: Will a customer leave within a month?
  owners: [team:growth]
  source:
    path: customers.csv
  contract:
    columns:
      age: {type: integer, minimum: 18, maximum: 120}
      plan: {type: string, categories: [basic, gold]}
  features:
    numeric: [age]
    categorical: [plan]
  target:
    column: left
    task: binary
  entity_key: customer
  model:
    estimator: sklearn.linear_model.LogisticRegression
"""
"""The shortest document that one would keep."""

_HEADER = f"""\
# The model document

One YAML document declares one model. It stands in a folder of its own, `defs/<model>/defs.yaml`;
several documents in one file are parted by `---`. This page is made from the schema: change a
field's text where it is declared, in `mlops_assets/spec/`, and run `make docs`.

The shortest document that one would keep:

```yaml
{EXAMPLE}```

`mlops-assets new` writes a first one from a data file; `mlops-assets check` tells every mistake
with its line. Beside `type` and `attributes`, Dagster's own `requirements`, `post_processing` and
`template_vars_module` may stand.

## How values are written

- Values are never converted: `"2"` and `"1e3"` are text, `2` is a number. YAML 1.1 reads `yes`,
  `no`, `on` and `off` as true and false, so put such words in quotes where text belongs.
- A duration is a whole number and a unit of `s`, `m`, `h`, `d` or `w`: `7d`; at most `36500d`.
- An import path is `package.module:name`. Nothing is imported while documents are loaded.
- A column is named as in the data; names with spaces or signs are put in quotes where YAML asks.
- Plain text may hold templates such as `"{{{{ env.DATA_URL }}}}"`, which Dagster fills in.
- A field with a default may be left out. `required` fields have none; `–` means: nothing.
"""


@dataclass(frozen=True, slots=True)
class _Section:
    """One part of the document."""

    path: str
    schema: type[BaseModel]


def build_reference() -> str:
    """The whole page."""
    sections = list(_sections("", ModelSpec, set()))
    anchors = {section.schema: section.path for section in sections}
    parts = [_HEADER]
    for section in sections:
        title = f"`{section.path}`" if section.path else "The document (`attributes`)"
        intro = " ".join((section.schema.__doc__ or "").split())
        rows = [_row(name, field, anchors) for name, field in section.schema.model_fields.items()]
        table = ["| field | value | default | meaning |", "|---|---|---|---|", *rows]
        parts.append("\n".join([f"## {title}", "", intro, "", *table]) + "\n")
    return "\n".join(parts)


def _sections(path: str, schema: type[BaseModel], seen: set[type]) -> Iterator[_Section]:
    """The parts in the order of the document, each once, where it first appears."""
    seen.add(schema)
    yield _Section(path, schema)
    for name, field in schema.model_fields.items():
        here = f"{path}.{name}" if path else name
        for inner, steps in _parts(field.annotation, here):
            if inner not in seen:
                yield from _sections(steps, inner, seen)


def _parts(annotation: Any, path: str) -> Iterator[tuple[type[BaseModel], str]]:
    """The parts that a field holds, with their paths."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, path
        return
    key = ".<name>" if get_origin(annotation) in (dict, Mapping) else ""
    for argument in get_args(annotation):
        yield from _parts(argument, path + key)


def _row(name: str, field: FieldInfo, anchors: Mapping[type[BaseModel], str]) -> str:
    meaning = " ".join((field.description or "").split())
    cells = [f"`{name}`", _value(field, anchors), _default(field), meaning]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined or value is None or value in ([], {}, ""):
        return "–"
    if isinstance(value, BaseModel):
        return "see there"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, timedelta):
        return f"`{write_duration(value)}`"
    if isinstance(value, list):
        return "`[" + ", ".join(f'"{item}"' for item in value) + "]`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value}`" if yaml.safe_load(str(value)) == value else f'`"{value}"`'


def _value(field: FieldInfo, anchors: Mapping[type[BaseModel], str]) -> str:
    """What may stand in a field, in words."""
    words = _pattern_words(field.metadata) or _type_words(field.annotation, anchors)
    limits = _limits(field.metadata)
    return f"{words}, {limits}" if limits else words


def _pattern_words(metadata: list[Any]) -> str:
    patterns = [getattr(rule, "pattern", None) for rule in metadata]
    words = next((PATTERN_WORDS[p] for p in patterns if p in PATTERN_WORDS), "")
    return words.replace("<", "&lt;")


def _limit(bound: object) -> str:
    return write_duration(bound) if isinstance(bound, timedelta) else f"{bound:g}"


def _limits(metadata: list[Any]) -> str:
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    told = [
        f"{word} {_limit(getattr(rule, name))}"
        for rule in metadata
        for name, word in words.items()
        if getattr(rule, name, None) is not None
    ]
    return ", ".join(told)


_PLAIN = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    date: "date",
    timedelta: "duration",
    NoneType: "null",
    object: "anything",
}


def _type_words(annotation: Any, anchors: Mapping[type[BaseModel], str]) -> str:
    if annotation is JsonValue:
        return "any value"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        path = anchors[annotation]
        return f"[`{path}`](#{_anchor(path)})"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _pattern_words(list(arguments[1:])) or _type_words(arguments[0], anchors)
    if origin is Literal:
        return ", ".join(f"`{word}`" for word in arguments)
    if origin in (Union, UnionType):
        members = [_type_words(member, anchors) for member in arguments if member is not NoneType]
        return " or ".join(members)
    if origin is list:
        return f"list of {_plural(_type_words(arguments[0], anchors))}"
    if origin is dict:
        return f"mapping of names to {_plural(_type_words(arguments[1], anchors))}"
    return _PLAIN.get(cast("type", annotation), str(annotation))


def _plural(words: str) -> str:
    plurals = {"text": "texts", "whole number": "whole numbers", "any value": "any values"}
    for one, many in {**plurals, "list of": "lists of", "mapping of": "mappings of"}.items():
        if words == one or words.startswith(f"{one} "):
            return words.replace(one, many, 1)
    return words


def _anchor(path: str) -> str:
    """The anchor that GitHub gives to a heading."""
    return "".join(letter for letter in path.lower() if letter.isalnum() or letter in "_-")


if __name__ == "__main__":
    print(build_reference(), end="")

"""From files to model documents: every problem at once, each with its file, line and field.

Here: finding and reading documents. Not here: whether the columns and import paths that they name
exist (`modeling/checking.py`), and templates, which Dagster fills in when it loads a document.

A field is judged alone first; what fields say together is judged once each of them may stand.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mlops_assets.errors import Problem, SpecError
from mlops_assets.spec.document import ModelSpec
from mlops_assets.spec.explaining import explain, suggestion
from mlops_assets.spec.yaml_text import FieldPath, YamlDocument, read_yaml

DOCUMENT_FILES = ("defs.yaml", "defs.yml", "component.yaml")
"""The file names that Dagster looks for; in each folder the first of them counts."""

COMPONENT_TYPE = "mlops_assets.component.ModelPipeline"
"""The value of `type` that makes a document one of ours."""

_TOP_FIELDS = ("type", "attributes", "template_vars_module", "requirements", "post_processing")


@dataclass(frozen=True, slots=True)
class LocatedSpec:
    """A valid document that still knows its lines.

    Attributes:
        spec: What it says.
        file: Where it stands.
        text: Its YAML.
    """

    spec: ModelSpec
    file: Path
    text: YamlDocument

    def problem(self, field: FieldPath, found: object, allowed: str) -> Problem:
        """A problem with a field, such as `("split", "group")`."""
        return self.text.problem(("attributes", *field), found, allowed)


def discover_documents(defs_dir: Path) -> list[Path]:
    """The files under a folder that may hold documents, in the order of their paths.

    Raises:
        SpecError: there is no such folder.
    """
    if not defs_dir.is_dir():
        raise SpecError([Problem(defs_dir, 1, "folder", None, "a folder with one folder a model")])
    chosen: dict[Path, Path] = {}
    for name in DOCUMENT_FILES:
        for path in defs_dir.rglob(name):
            chosen.setdefault(path.parent, path)
    return sorted(chosen.values())


def read_document(path: Path) -> ModelSpec:
    """The one model document of a file.

    Raises:
        SpecError: it is unreadable, invalid, or not one; lists every problem.
    """
    specs = read_documents(path)
    if len(specs) != 1:
        allowed = f"one document of type {COMPONENT_TYPE}"
        raise SpecError([Problem(path, 1, "type", f"{len(specs)} documents", allowed)])
    return specs[0]


def read_documents(path: Path) -> list[ModelSpec]:
    """The model documents of a file, in order. Components of another type are passed over.

    Raises:
        SpecError: the file is unreadable or a document invalid; lists every problem.
    """
    located, problems = locate_documents(path)
    if problems:
        raise SpecError(problems)
    return [document.spec for document in located]


def locate_documents(path: Path) -> tuple[list[LocatedSpec], list[Problem]]:
    """The valid model documents of a file, and the problems of the others."""
    texts, problems = read_yaml(path)
    if not texts and not problems:
        problems.append(Problem(path, 1, "file", "nothing", "a document with type and attributes"))
    located = []
    for text in texts:
        outcome = _read(text)
        if isinstance(outcome, ModelSpec):
            located.append(LocatedSpec(outcome, path, text))
        else:
            problems += outcome
    return located, sorted(problems, key=lambda problem: problem.line)


def _read(text: YamlDocument) -> ModelSpec | list[Problem]:
    """The document, or what is wrong with it; an empty list when it is not ours."""
    if not isinstance(text.value, Mapping):
        return [text.problem((), text.value, "a mapping with type and attributes")]
    kind = text.value.get("type")
    if kind != COMPONENT_TYPE:
        return _foreign(text, kind)
    problems = [
        text.problem((key,), text.value[key], f"one of {', '.join(_TOP_FIELDS)}{hint}")
        for key in text.value
        if key not in _TOP_FIELDS
        for hint in (suggestion(str(key), _TOP_FIELDS),)
    ]
    attributes = text.value.get("attributes")
    try:
        spec = ModelSpec.model_validate({} if attributes is None else attributes)
    except ValidationError as error:
        return problems + explain(text, ModelSpec, error.errors())
    return problems or spec


def _foreign(text: YamlDocument, kind: object) -> list[Problem]:
    """Another component is none of our business, unless it was meant to be ours."""
    if isinstance(kind, str) and not suggestion(kind, [COMPONENT_TYPE]):
        return []
    return [text.problem(("type",), kind, COMPONENT_TYPE)]

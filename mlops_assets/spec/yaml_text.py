"""YAML text with the line of every field: what stands where in a file of documents.

Values are read as Dagster reads them: YAML 1.1 without timestamps. `yes`, `no`, `on` and `off` are
true and false; `1e3` is text and `1.0e+3` a number; dates stay text; a quoted value is always text.
Not here: what the values mean (`reading.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from mlops_assets.errors import Problem

FieldPath = Sequence[str | int]


class _Loader(yaml.SafeLoader):
    """Dagster's YAML: safe, and a date stays the text that it is."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:timestamp"]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """One document of a file (they are parted by `---`).

    Attributes:
        file: The file.
        value: Its content as plain Python.
        root: The nodes behind the value, which know their lines.
    """

    file: Path
    value: Any
    root: yaml.Node

    def line(self, path: FieldPath) -> int:
        """1-based line of a field, or of its nearest parent that exists."""
        return _walk(self.root, path)[1]

    def known_part(self, path: FieldPath) -> tuple[str | int, ...]:
        """The path without the steps that the document does not have."""
        return _walk(self.root, path)[0]

    def problem(self, path: FieldPath, found: object, allowed: str) -> Problem:
        """A problem with a field, named from the document's `attributes`."""
        field = field_text(_from_attributes(path)) or "document"
        return Problem(self.file, self.line(path), field, shown(found), allowed)


def read_yaml(file: Path) -> tuple[list[YamlDocument], list[Problem]]:
    """The documents of a file, and what is wrong with it as YAML. Empty documents are left out."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        return [], [Problem(file, 1, "file", error.strerror, "a file that can be read")]
    except UnicodeDecodeError as error:
        line = file.read_bytes()[: error.start].count(b"\n") + 1
        byte = f"byte 0x{error.object[error.start]:02x}"
        return [], [Problem(file, line, "file", byte, "text in UTF-8")]
    documents: list[YamlDocument] = []
    problems: list[Problem] = []
    try:
        loader = _Loader(text)
        while loader.check_node():
            root = cast("yaml.Node", loader.get_node())
            problems += _repeated_keys(file, root)
            value = loader.construct_document(root)
            if value is not None:
                documents.append(YamlDocument(file, value, root))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        problems.append(Problem(file, mark.line + 1 if mark else 1, "file", what, "valid YAML"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problems.append(Problem(file, 1, "file", str(error), "valid YAML"))
    return documents, problems


def field_text(path: FieldPath) -> str:
    """A path as a person writes it.

    >>> field_text(["features", "numeric", 2]), field_text(["columns", "Hours per day", "type"])
    ('features.numeric[2]', "columns['Hours per day'].type")
    """
    text = ""
    for step in path:
        if isinstance(step, str) and step.isidentifier():
            text += f".{step}" if text else step
        else:
            text += f"[{step!r}]"
    return text


def shown(value: object) -> object:
    """What is found, short enough for one line."""
    if isinstance(value, dict | list) and len(repr(value)) > 80:
        kind, what = ("mapping", "fields") if isinstance(value, dict) else ("list", "items")
        return f"a {kind} of {len(value)} {what}"
    return value


def _from_attributes(path: FieldPath) -> FieldPath:
    return path[1:] if len(path) > 1 and path[0] == "attributes" else path


def _walk(root: yaml.Node, path: FieldPath) -> tuple[tuple[str | int, ...], int]:
    """The steps of a path that exist, and the line of the last. Other steps are skipped over."""
    node, line, known = root, root.start_mark.line + 1, list[str | int]()
    for step in path:
        wanted = step if isinstance(node, yaml.SequenceNode) else str(step)
        same = [(child, at) for key, child, at in _children(node) if key == wanted]
        if same:
            node, line = same[-1]  # the last counts: what `<<` merges in stands first
            known.append(step)
    return tuple(known), line


def _children(node: yaml.Node) -> Iterator[tuple[str | int, yaml.Node, int]]:
    """Name or position of each child, the child, and the line where that name or item stands."""
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            yield str(name.value), value, name.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield position, value, value.start_mark.line + 1


def _repeated_keys(file: Path, root: yaml.Node) -> list[Problem]:
    """Fields that stand twice in one mapping; YAML would silently take the last."""
    problems: list[Problem] = []
    seen_nodes: set[int] = set()  # an alias may lead back to its own parent
    todo: list[tuple[yaml.Node, tuple[str | int, ...]]] = [(root, ())]
    while todo:
        node, path = todo.pop()
        if id(node) in seen_nodes:
            continue
        seen_nodes.add(id(node))
        first_lines: dict[str | int, int] = {}
        for key, child, line in _children(node):
            if key in first_lines and key != "<<":
                field = field_text(_from_attributes((*path, key)))
                allowed = f"each field once; it stands in line {first_lines[key]} already"
                problems.append(Problem(file, line, field, key, allowed))
            first_lines.setdefault(key, line)
            todo.append((child, (*path, key)))
    return problems

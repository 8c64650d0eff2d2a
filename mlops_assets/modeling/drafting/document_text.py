"""A drafted document as YAML that a person goes on editing: one line and one comment a guess.

Pure. The dumpers that exist write no comments.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import yaml

_WIDTH = 100
_PLAIN = re.compile(r"[A-Za-z_/]([\w /.()&%-]*[\w/.)%])?")  # needs no quotes anywhere


def scalar(value: object) -> str:
    """A value in one line of YAML that reads back as the same value.

    >>> scalar("Rock"), scalar("yes"), scalar("1e3"), scalar(3), scalar("a: b")
    ('Rock', "'yes'", "'1e3'", '3', "'a: b'")
    """
    if not isinstance(value, str):
        return yaml.safe_dump(value, default_flow_style=True).partition("\n")[0]
    if not value.isprintable():
        return yaml.safe_dump(value, default_style='"', width=10**9).removesuffix("\n")
    if _PLAIN.fullmatch(value) and yaml.safe_load(value) == value:
        return value
    return "'" + value.replace("'", "''") + "'"


def flow(value: object) -> str:
    """A value, list or mapping in one line: `{type: integer, minimum: 0}`."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def entry(indent: int, name: str, value: object, comment: str = "") -> list[str]:
    """`name: value # comment`; the comment goes above when it does not fit, long values below."""
    space, comment = " " * indent, " ".join(printable(comment).split())
    line = f"{space}{scalar(name)}: {flow(value)}"
    if len(line) > _WIDTH and value and isinstance(value, Mapping):
        lines = [f"{space}{scalar(name)}:"]
        for key, item in value.items():
            lines += entry(indent + 2, str(key), item)
        return [*comment_lines(indent, comment), *lines]
    if len(line) > _WIDTH and value and isinstance(value, list | tuple):
        items = [f"{space}  - {flow(item)}" for item in value]
        return [*comment_lines(indent, comment), f"{space}{scalar(name)}:", *items]
    if comment and len(line) + len(comment) + 3 <= _WIDTH:
        return [f"{line} # {comment}"]
    return [*comment_lines(indent, comment), line]


def comment_lines(indent: int, text: str) -> list[str]:
    """A comment, folded to the width; what follows a dash stays to its right."""
    lines: list[str] = []
    hanging = "  " if text.startswith("- ") else ""
    for word in printable(text).split():
        if lines and len(lines[-1]) + len(word) < _WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append(f"{' ' * indent}# {hanging if lines else ''}{word}")
    return lines


def printable(text: str) -> str:
    """Text without what would end a comment or not print."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def joined(lines: Iterable[str]) -> str:
    """Lines as the text of a file."""
    return "\n".join(lines) + "\n"

"""What every part of a model document shares: strictness and the types of its scalars."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

_DURATION = re.compile(r"^(\d+)\s*([smhdw])$")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST = timedelta(days=36_500)  # so that the moment which lies as long ago is a date


class Document(BaseModel):
    """A part of a model document: unknown fields are refused, values never change.

    Numbers are not made of strings nor strings of numbers, so `"2"` and `"1e3"` stay strings.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class FieldProblem(NamedTuple):
    """What is wrong with one field, given what stands in others."""

    field: tuple[str | int, ...]
    """Path of the field from the part that found it."""
    found: object
    allowed: str


def refusal(problems: Sequence[FieldProblem]) -> PydanticCustomError:
    """The error that a validator raises about fields that do not go together.

    A validator can raise only once; so it carries all problems, and `reading.py` tells each with
    its own line.
    """
    text = "; ".join(
        f"{'.'.join(map(str, problem.field))}: found {problem.found!r}, allowed: {problem.allowed}"
        for problem in problems
    )
    return PydanticCustomError("fields", "{text}", {"text": text, "problems": list(problems)})


def _read_duration(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _DURATION.match(value.strip())
    if match is None:
        raise ValueError("a whole number and a unit of s, m, h, d or w, such as 7d")
    seconds = int(match[1]) * _UNIT_SECONDS[match[2]]
    if seconds > _LONGEST.total_seconds():
        raise ValueError(f"at most {_LONGEST.days}d")
    return timedelta(seconds=seconds)


def write_duration(value: timedelta) -> str:
    """The shortest exact spelling of a duration.

    >>> write_duration(timedelta(days=7)), write_duration(timedelta(seconds=90))
    ('1w', '90s')
    >>> write_duration(timedelta(0))
    '0s'
    """
    seconds = int(value.total_seconds())
    unit = next(u for u in "wdhms" if seconds % _UNIT_SECONDS[u] == 0) if seconds else "s"
    return f"{seconds // _UNIT_SECONDS[unit]}{unit}"


Duration = Annotated[
    timedelta,
    BeforeValidator(_read_duration),
    PlainSerializer(write_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": _DURATION.pattern, "examples": ["7d", "1h"]}),
]
"""A length of time: a whole number and a unit of s, m, h, d or w; 36500d at most."""


def _require_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: a folder's name
        raise ValueError("an IANA time zone such as UTC or America/New_York") from error
    return name


TimeZone = Annotated[str, AfterValidator(_require_zone)]
"""An IANA time zone."""

_IMPORT_PATH = r"^[A-Za-z_][\w.]*[.:][A-Za-z_]\w*$"
_IDENTIFIER = r"^[a-z]([a-z0-9_]{0,38}[a-z0-9])?$"
_OWNER = r"^(team:[\w.\-]+|[^@\s]+@[^@\s]+\.[^@\s]+)$"

PATTERN_WORDS = {
    _IMPORT_PATH: "an import path such as package.module:name",
    _IDENTIFIER: (
        "lower-case letters, digits and _, the first a letter, the last no _, at most 40"
    ),
    _OWNER: "team:<name> or an e-mail address",
}
"""What each pattern means, for those who meet it in an error."""

ImportPath = Annotated[str, StringConstraints(pattern=_IMPORT_PATH)]
"""Where a Python object stands: `package.module:name` or `package.module.name`."""

Identifier = Annotated[str, StringConstraints(pattern=_IDENTIFIER)]
"""A name usable as a folder, an asset key and, with dashes, a Kubernetes object."""

Owner = Annotated[str, StringConstraints(pattern=_OWNER)]
"""Who answers for a model: `team:<name>` or an e-mail address."""

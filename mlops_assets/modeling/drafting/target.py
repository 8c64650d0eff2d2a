"""What kind of answer the target column holds: binary, multiclass or regression, and why.

Pure: from the column's profile to the fields of a document's `target`.
"""

from dataclasses import dataclass

from mlops_assets.errors import SourceError
from mlops_assets.modeling.drafting.profile import ColumnProfile, Scalar
from mlops_assets.spec import TargetSpec

LEAST_OF_A_CLASS = 10
"""A class with fewer rows can be neither learned nor judged."""

_MOST_CLASSES = 20
_MOST_INTEGER_CLASSES = 10
_MOST_RARE_RATIO = 0.05
_YES = ("yes", "y", "true", "t", "1", "positive", "pos", "churned", "late", "default", "fraud")
_NO = ("no", "n", "false", "f", "0", "negative", "neg")


@dataclass(frozen=True, slots=True)
class DraftedTarget:
    """The target of a first model.

    Attributes:
        spec: Fields of the document's `target`.
        why: What was seen, in words.
        rare: Classes with too few rows, whose rows are quarantined.
    """

    spec: TargetSpec
    why: str
    rare: tuple[tuple[Scalar, int], ...] = ()


def draft_target(profile: ColumnProfile) -> DraftedTarget:
    """What a target column's values suggest.

    Raises:
        SourceError: no values, one value, too few rows of a class, or values that are no answer.
    """
    name, n_distinct = profile.name, profile.n_distinct
    if profile.type is None or profile.type in ("datetime", "date"):
        kind = profile.type or "lists, records or bytes"
        raise SourceError(f"target {name} holds {kind}, allowed: text, numbers, true and false")
    if profile.n_present == 0:
        raise SourceError(f"target {name} has no value in any of {profile.n_rows:,} rows")
    if n_distinct == 1:
        only = profile.values[0][0]
        raise SourceError(
            f"target {name} has one value only, {only!r}, in all {profile.n_present:,} rows that "
            "have one; there is nothing to tell apart"
        )
    if profile.type in ("integer", "number") and not _is_class(profile):
        why = f"numbers with {n_distinct:,} different values"
        return DraftedTarget(TargetSpec(column=name, task="regression"), why)
    if n_distinct == 2:
        return _binary(profile)
    if n_distinct > _MOST_CLASSES:
        raise SourceError(
            f"target {name} is text with {n_distinct:,} different values, allowed: numbers, or at "
            f"most {_MOST_CLASSES} classes{_mixed(profile)}"
        )
    return _multiclass(profile)


def _is_class(profile: ColumnProfile) -> bool:
    """Whether numbers are few and whole, so that they name classes rather than measure."""
    if profile.type == "integer":
        return profile.n_distinct <= _MOST_INTEGER_CLASSES
    return profile.n_distinct == 2 and all(float(value).is_integer() for value, _ in profile.values)


def _mixed(profile: ColumnProfile) -> str:
    if profile.number_ratio < 0.5:
        return ""
    others = ", ".join(repr(text) for text in profile.not_numbers[:3])
    return f" ({profile.number_ratio:.0%} are numbers; others are not: {others})"


def _binary(profile: ColumnProfile) -> DraftedTarget:
    (first, n_first), (second, n_second) = profile.values
    _require_rows(profile, second, n_second)
    words = {str(first).strip().lower(): first, str(second).strip().lower(): second}
    told = next((words[yes] for yes in _YES if yes in words), None)
    told = told if told is not None else _other_than_no(words)
    positive = told if told is not None else second
    reason = "the one that says yes" if told is not None else "the rarer one, until you change it"
    positive = int(positive) if isinstance(positive, float) else positive
    spec = TargetSpec(column=profile.name, task="binary", positive=positive)
    why = f"two values: {first!r} ({n_first:,} rows) and {second!r} ({n_second:,})"
    return DraftedTarget(spec, f"{why}; positive is {reason}")


def _other_than_no(words: dict[str, Scalar]) -> Scalar | None:
    no = next((word for word in _NO if word in words), None)
    return next((value for word, value in words.items() if word != no), None) if no else None


def _multiclass(profile: ColumnProfile) -> DraftedTarget:
    rare = tuple((value, n) for value, n in profile.values if n < LEAST_OF_A_CLASS)
    kept = [(value, n) for value, n in profile.values if n >= LEAST_OF_A_CLASS]
    n_rare = sum(n for _, n in rare)
    if len(kept) < 2 or n_rare > _MOST_RARE_RATIO * profile.n_present:
        _require_rows(profile, *rare[0])
    shown = ", ".join(f"{value!r} ({n:,})" for value, n in profile.values[:6])
    why = f"{profile.n_distinct} values: {shown}{', …' if profile.n_distinct > 6 else ''}"
    if profile.type == "integer":
        why += "; if they are amounts rather than names, make it regression"
    if rare:
        words = "class" if len(rare) == 1 else "classes"
        why += f"; {len(rare)} {words} with fewer than {LEAST_OF_A_CLASS} rows quarantined"
    return DraftedTarget(TargetSpec(column=profile.name, task="multiclass"), why, rare)


def _require_rows(profile: ColumnProfile, value: Scalar, n_rows: int) -> None:
    if n_rows < LEAST_OF_A_CLASS:
        raise SourceError(
            f"target {profile.name} is {value!r} in {n_rows:,} of {profile.n_present:,} rows, at "
            f"least {LEAST_OF_A_CLASS} of each value are needed to learn and to judge"
        )

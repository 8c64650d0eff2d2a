"""What a first contract asks of a column, and why: types, ranges and categories as they were seen.

Pure: from a column's profile to the fields of its contract and the comment beside them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlops_assets.modeling.drafting.profile import ColumnProfile, Scalar

MOST_CATEGORIES = 20
"""Longer lists of values are not written down."""

_MOST_FAR_OUT_RATIO = 0.02  # more rows than this are not a mistake but the data

Field = str | int | float | bool | list[Scalar]


@dataclass(frozen=True, slots=True)
class DraftedContract:
    """Contract of one column.

    Attributes:
        fields: Fields of a `ColumnContract`.
        why: What was seen, in words.
        n_violating: Rows that break it already.
    """

    fields: Mapping[str, Field]
    why: str
    n_violating: int = 0


def draft_contract(
    profile: ColumnProfile, *, is_unique: bool = False, classes: Sequence[Scalar] = ()
) -> DraftedContract:
    """The contract that a column's values suggest.

    Args:
        profile: A column with a type and some value.
        is_unique: Whether no value may ever stand twice.
        classes: The only values of a target that can be learned; empty when it has no classes.
    """
    fields: dict[str, Field] = {"type": profile.type or "string"}
    told = []
    if profile.datetime_format is not None:
        fields["datetime_format"] = profile.datetime_format
        swapped = ", day and month could be swapped: check it" if profile.is_ambiguous else ""
        told.append(f"every text is in this format{swapped}")
    if profile.n_missing:
        fields["nullable"] = True
        told.append(f"{profile.n_missing:,} of {profile.n_rows:,} missing")
    if is_unique:
        fields["unique"] = True
        told.append("no value stands twice")
    n_violating = profile.n_infinite
    if profile.n_infinite:
        told.append(f"{profile.n_infinite:,} infinite, which no contract allows")
    if classes:
        fields["categories"] = list(classes)
        n_violating += sum(n for value, n in profile.values if value not in classes)
    elif profile.type in ("integer", "number") and profile.n_distinct > 1:
        n_violating += _draft_range(profile, fields, told)
    if not classes and _is_listed(profile):
        fields["categories"] = sorted(str(value) for value, _ in profile.values)
        told.append(
            f"the {profile.n_distinct} values seen" if profile.n_distinct > 1 else "one value"
        )
    return DraftedContract(fields, "; ".join(told), n_violating)


def _is_listed(profile: ColumnProfile) -> bool:
    """Whether the values are few enough and frequent enough to be all there are."""
    few = 0 < len(profile.values) <= MOST_CATEGORIES
    return profile.type == "string" and few and profile.n_distinct * 5 <= profile.n_present


def _draft_range(profile: ColumnProfile, fields: dict[str, Field], told: list[str]) -> int:
    """Adds a range as wide again as what was seen; the number of rows outside it."""
    low, high = profile.near_low, profile.near_high
    n_far_out = profile.n_far_out
    if low is None or high is None or profile.low is None or profile.high is None:
        return 0
    if n_far_out > _MOST_FAR_OUT_RATIO * profile.n_rows:
        low, high, n_far_out = profile.low, profile.high, 0
    span = high - low
    step = 10.0 ** math.floor(math.log10(span)) if span > 0 else 1.0
    minimum = math.floor((low - span) / step) * step
    minimum = max(minimum, 0.0) if low >= 0 else minimum
    maximum = math.ceil((high + span) / step) * step
    fields["minimum"], fields["maximum"] = _plain(minimum), _plain(maximum)
    told.append(f"{_short(low)} to {_short(high)} seen")
    if n_far_out:
        extreme = profile.high if profile.high > maximum else profile.low
        told.append(f"and {n_far_out:,} far out, such as {_short(extreme)}, to be quarantined")
    return n_far_out


def _plain(number: float) -> int | float:
    """Without the digits that binary fractions add: 0.30000000000000004 is 0.3."""
    rounded = float(f"{number:.14g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _short(number: float) -> str:
    return f"{number:,.0f}" if number.is_integer() else f"{number:,.6g}"

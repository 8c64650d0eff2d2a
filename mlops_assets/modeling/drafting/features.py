"""Which columns a first model sees, and why the others are left out.

Pure: from profiles to roles. A column is left out when it could only be learned by heart (ids, free
text), says nothing (constant, empty), or has no single meaning (numbers and words mixed).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mlops_assets.errors import SourceError
from mlops_assets.modeling.drafting.profile import PARTS, ColumnProfile
from mlops_assets.spec.data import DatetimePart

_ID_NAME = re.compile(
    r"(^|[\s_.-])(id|ids|uuid|guid|key|index|idx|no|nr|number|code|hash|token)$", re.IGNORECASE
)
_CAMEL_ID = re.compile(r"[a-z](Id|ID|Key)$")
_TIME_NAME = re.compile(
    r"(time|date|day|created|updated|recorded|observed|started|event|at$|_ts$|^ts$)", re.IGNORECASE
)
_BIRTH_NAME = re.compile(r"(birth|born|dob)", re.IGNORECASE)

_MOST_CATEGORIES = 50
_LEAST_ROWS_A_CATEGORY = 20
_LONG_TEXT = 60  # characters on average
_EMPTY_RATIO = 0.99
_MONTHS = 12


@dataclass(frozen=True, slots=True)
class Features:
    """The columns of a document's `features`, and why each other column is not among them."""

    numeric: list[str] = field(default_factory=list)
    categorical: list[str] = field(default_factory=list)
    boolean: list[str] = field(default_factory=list)
    datetime: dict[str, list[DatetimePart]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def choose_features(
    profiles: Sequence[ColumnProfile], *, target: str, excluded: Mapping[str, str], time: str | None
) -> Features:
    """The features of a first model.

    Args:
        profiles: All columns of the data.
        target: The column to predict.
        excluded: Columns that are known to be unfit, with the reason.
        time: The time column by which rows are split; its month is no feature.

    Raises:
        SourceError: every column is unfit; tells why, one by one.
    """
    chosen = Features()
    for profile in profiles:
        if profile.name == target:
            continue
        reason = excluded.get(profile.name) or _unfit(profile)
        if reason is not None:
            chosen.left_out[profile.name] = reason
        elif profile.type in ("datetime", "date"):
            _add_parts(chosen, profile, is_time=profile.name == time)
        elif profile.type == "boolean":
            chosen.boolean.append(profile.name)
        elif profile.type == "string":
            chosen.categorical.append(profile.name)
        else:
            chosen.numeric.append(profile.name)
    if not (chosen.numeric or chosen.categorical or chosen.boolean or chosen.datetime):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in chosen.left_out.items())
        raise SourceError(f"no column is left to predict {target} from; {reasons or 'it is alone'}")
    return chosen


def _add_parts(chosen: Features, profile: ColumnProfile, *, is_time: bool) -> None:
    counts = profile.parts or {}
    parts = [part for part in PARTS if counts.get(part, 0) > 1]
    if is_time or counts.get("month", 0) < _MONTHS:
        parts = [part for part in parts if part != "month"]  # later rows have months never seen
    if parts:
        chosen.datetime[profile.name] = parts
    else:
        chosen.left_out[profile.name] = "a date whose parts say nothing of rows to come"


def _unfit(profile: ColumnProfile) -> str | None:
    """Why a column cannot be a feature; None when it can."""
    present = profile.n_present
    if profile.type is None:
        return "its values are lists, records or bytes"
    if present == 0:
        return "it has no value at all"
    if profile.n_distinct == 1 and not profile.n_missing:
        return "it has the same value in every row"
    if present < (1 - _EMPTY_RATIO) * profile.n_rows:
        return f"only {present:,} of {profile.n_rows:,} rows have a value"
    if is_id(profile):
        return "it names the row or whom it is about, and would be learned by heart"
    return _unfit_text(profile) if profile.type == "string" else None


def _unfit_text(profile: ColumnProfile) -> str | None:
    if profile.number_ratio >= 0.5 and profile.not_numbers:
        others = ", ".join(repr(text) for text in profile.not_numbers[:3])
        return (
            f"{profile.number_ratio:.0%} of its values are numbers, but others are not ({others}); "
            "put missing ones under source.null_values or clean the source"
        )
    if profile.mean_length > _LONG_TEXT:
        return f"free text, {profile.mean_length:.0f} characters on average"
    rare = profile.n_distinct * _LEAST_ROWS_A_CATEGORY > profile.n_present
    if profile.n_distinct > _MOST_CATEGORIES and rare:
        return f"{profile.n_distinct:,} different values in {profile.n_present:,} rows"
    return None


def is_id(profile: ColumnProfile) -> bool:
    """Whether a column names the row, or whom or what it is about."""
    if profile.type not in ("string", "integer") or profile.n_distinct < 10:
        return False
    is_unique = profile.n_distinct == profile.n_present
    if has_id_name(profile) and profile.n_distinct > _MOST_CATEGORIES:
        return True
    if profile.type == "string":
        return is_unique and profile.mean_length <= _LONG_TEXT
    low, high = profile.low, profile.high
    return (
        is_unique and low is not None and high is not None and high - low == profile.n_present - 1
    )


def has_id_name(profile: ColumnProfile) -> bool:
    """Whether a column is named as ids are: `id`, `customer_id`, `orderKey`."""
    return bool(_ID_NAME.search(profile.name) or _CAMEL_ID.search(profile.name))


def choose_id(profiles: Sequence[ColumnProfile], target: str) -> ColumnProfile | None:
    """The column that names the row, else the one that names whom rows are about."""
    ids = [p for p in profiles if is_id(p) and p.name != target and not p.n_missing]
    unique = [p for p in ids if p.n_distinct == p.n_rows]
    repeated = [p for p in ids if p.n_distinct < p.n_rows and has_id_name(p)]
    return next(iter([*unique, *repeated]), None)


def choose_time(profiles: Sequence[ColumnProfile], target: str) -> ColumnProfile | None:
    """The column with the time of the rows: never missing, named or ordered like one."""
    candidates = [
        p
        for p in profiles
        if p.type in ("datetime", "date")
        and p.name != target
        and not p.n_missing
        and p.n_distinct >= 10
        and not _BIRTH_NAME.search(p.name)
        and (p.is_sorted or _TIME_NAME.search(p.name))
    ]
    return max(candidates, key=lambda p: (p.is_sorted, -profiles.index(p)), default=None)

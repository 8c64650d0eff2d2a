"""What there is to see in each column of a data file, before anything is decided about it.

Two passes over the rows, however many there are; the second only for columns with few values or
with some far out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast, get_args

import polars as pl

from mlops_assets.data.casting import cast_values
from mlops_assets.data.column_types import type_name
from mlops_assets.spec.data import ColumnType, DatetimePart

Scalar = str | int | float | bool

MOST_LISTED = 50
"""Columns with more different values are not listed value by value."""

FAR_OUT = 50.0
"""Interquartile ranges beyond the quartiles from which on a number is far out."""

_ISO_EXAMPLES = 200  # values that a format must fit before all are tried
_FORMATS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y"),
    *("%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M"),
    *("%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%Y/%m/%d %H:%M:%S"),
)
PARTS: tuple[DatetimePart, ...] = ("month", "weekday", "hour")
"""Parts of a datetime that may say something about rows to come."""


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """One column of the data.

    Attributes:
        name: Its name.
        type: Its type in the words of a contract; None when no contract has one for it.
        n_rows: Rows of the data.
        n_missing: Rows without a value; not-a-number is none.
        n_distinct: Different values.
        low, high: Smallest and largest finite number.
        quartiles: First and third quartile of the numbers.
        n_far_out: Numbers more than `FAR_OUT` interquartile ranges beyond the quartiles.
        near_low, near_high: Smallest and largest of the others.
        n_infinite: Infinite numbers.
        values: Every value with its rows, most frequent first; empty beyond `MOST_LISTED`.
        mean_length: Characters of a text on average.
        datetime_format: Format of dates in text; None for ISO 8601 and for other types.
        is_ambiguous: Whether day and month may be swapped in `datetime_format`.
        is_sorted: Whether the values never fall from row to row.
        parts: Different values of each part of a datetime.
        number_ratio: Share of the texts that are numbers.
        not_numbers: Some texts that are not.
    """

    name: str
    type: ColumnType | None
    n_rows: int
    n_missing: int
    n_distinct: int
    low: float | None = None
    high: float | None = None
    quartiles: tuple[float, float] | None = None
    n_far_out: int = 0
    near_low: float | None = None
    near_high: float | None = None
    n_infinite: int = 0
    values: tuple[tuple[Scalar, int], ...] = ()
    mean_length: float = 0.0
    datetime_format: str | None = None
    is_ambiguous: bool = False
    is_sorted: bool = False
    parts: Mapping[DatetimePart, int] | None = None
    number_ratio: float = 0.0
    not_numbers: tuple[str, ...] = ()

    @property
    def n_present(self) -> int:
        """Rows with a value."""
        return self.n_rows - self.n_missing


def profile_columns(rows: pl.LazyFrame) -> list[ColumnProfile]:
    """What there is to see in each column, in order."""
    schema = rows.collect_schema()
    measures = [pl.len().alias("n_rows")]
    for position, (name, dtype) in enumerate(schema.items()):
        measures += [
            measure.alias(f"{position} {label}")
            for label, measure in _measures(pl.col(name), dtype).items()
        ]
    found = rows.select(measures).collect(engine="streaming").row(0, named=True)
    profiles = []
    for position, (name, dtype) in enumerate(schema.items()):
        prefix = f"{position} "
        own = {key.removeprefix(prefix): v for key, v in found.items() if key.startswith(prefix)}
        first = _profile(name, dtype, found["n_rows"], own)
        profiles.append(_look_closer(rows, first, dtype))
    return profiles


def _measures(column: pl.Expr, dtype: pl.DataType) -> dict[str, pl.Expr]:
    measures = {"n_missing": column.null_count()}
    if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
        return measures
    if dtype.is_float():
        measures["n_infinite"] = column.is_infinite().sum()
        column = pl.when(column.is_finite()).then(column)
        measures["n_missing"] = column.null_count() - measures["n_infinite"]
    measures["n_distinct"] = column.drop_nulls().n_unique()
    if dtype.is_numeric():
        measures |= {"low": column.min(), "high": column.max()}
        measures |= {"q1": column.quantile(0.25), "q3": column.quantile(0.75)}
    if dtype == pl.String:
        measures["mean_length"] = column.str.len_chars().mean()
        measures["n_numbers"] = column.str.strip_chars().cast(pl.Float64, strict=False).count()
    return measures


def _profile(
    name: str, dtype: pl.DataType, n_rows: int, found: Mapping[str, float]
) -> ColumnProfile:
    word = type_name(dtype)
    n_present = n_rows - int(found["n_missing"])
    is_number = found.get("q1") is not None
    return ColumnProfile(
        name=name,
        type=cast("ColumnType", word) if word in get_args(ColumnType) else None,
        n_rows=n_rows,
        n_missing=int(found["n_missing"]),
        n_distinct=int(found.get("n_distinct", 0)),
        low=float(found["low"]) if is_number else None,
        high=float(found["high"]) if is_number else None,
        quartiles=(float(found["q1"]), float(found["q3"])) if is_number else None,
        n_infinite=int(found.get("n_infinite", 0)),
        mean_length=float(found.get("mean_length") or 0.0),
        number_ratio=found.get("n_numbers", 0) / n_present if n_present else 0.0,
    )


def _look_closer(rows: pl.LazyFrame, profile: ColumnProfile, dtype: pl.DataType) -> ColumnProfile:
    """What only some columns need: values, dates in text, and numbers far out."""
    column = rows.select(pl.col(profile.name))
    if dtype == pl.String and profile.n_present:
        profile = _look_at_text(column, profile)
    if profile.type in ("datetime", "date"):
        profile = _look_at_times(column, profile)
    elif profile.type is not None and 0 < profile.n_distinct <= MOST_LISTED:
        counts = column.drop_nulls().group_by(profile.name).len().collect()
        listed = sorted(counts.rows(), key=lambda pair: (-pair[1], str(pair[0])))
        profile = replace(profile, values=tuple(listed))
    return _look_far_out(column, profile)


def _look_at_text(column: pl.LazyFrame, profile: ColumnProfile) -> ColumnProfile:
    texts = column.drop_nulls().collect().to_series()
    fitting = _fitting_formats(texts)
    if fitting:
        kind, written = fitting[0]
        swapped = written and written.replace("%m", "%x").replace("%d", "%m").replace("%x", "%d")
        is_ambiguous = any(other == swapped for _, other in fitting[1:])
        return replace(
            profile, type=kind, datetime_format=written, is_ambiguous=is_ambiguous, mean_length=0.0
        )
    if 0 < profile.number_ratio < 1:
        numbers = texts.str.strip_chars().cast(pl.Float64, strict=False)
        others = texts.filter(numbers.is_null()).unique(maintain_order=True)
        return replace(profile, not_numbers=tuple(others.head(MOST_LISTED).to_list()))
    return profile


def _fitting_formats(texts: pl.Series) -> list[tuple[ColumnType, str | None]]:
    """Date types and formats that fit every text; ISO 8601, which needs no format, first."""
    sample = texts.head(_ISO_EXAMPLES)
    tried: list[tuple[ColumnType, str | None]] = [("date", None), ("datetime", None)]
    tried += [("datetime" if "%H" in one else "date", one) for one in _FORMATS]
    return [
        (kind, written)
        for kind, written in tried
        if all(
            part.len() and not cast_values(part, kind, datetime_format=written).has_nulls()
            for part in (sample, texts)
        )
    ]


def _look_at_times(column: pl.LazyFrame, profile: ColumnProfile) -> ColumnProfile:
    raw = column.collect().to_series()
    times = cast_values(raw, "datetime", datetime_format=profile.datetime_format)
    present = times.drop_nulls()
    parts: dict[DatetimePart, int] = {
        "month": present.dt.month().n_unique(),
        "weekday": present.dt.weekday().n_unique(),
        "hour": present.dt.hour().n_unique(),
    }
    return replace(profile, is_sorted=present.is_sorted(), parts=parts)


def _look_far_out(column: pl.LazyFrame, profile: ColumnProfile) -> ColumnProfile:
    low, high, quartiles = profile.low, profile.high, profile.quartiles
    if low is None or high is None or quartiles is None:
        return profile
    reach = FAR_OUT * (quartiles[1] - quartiles[0])
    lowest, highest = quartiles[0] - reach, quartiles[1] + reach
    if reach == 0 or (low >= lowest and high <= highest):
        return replace(profile, near_low=low, near_high=high)
    values = pl.col(profile.name).cast(pl.Float64)
    near = values.filter(values.is_between(lowest, highest))
    found = column.select(n=near.len(), low=near.min(), high=near.max()).collect()
    n_near, near_low, near_high = found.row(0)
    return replace(
        profile,
        n_far_out=profile.n_present - profile.n_infinite - n_near,
        near_low=float(near_low),
        near_high=float(near_high),
    )

"""The values of a watched column, read so that both sides of a comparison are alike.

Here: `read_values`, numbers and moments as Float64, categories and booleans as text.

A moment always moves on, so its position is no drift. It is compared as its age: seconds before the
time of its row. The time column itself is compared by the time of day; without a time column, a
moment is what it is.
"""

from dataclasses import dataclass

import polars as pl

from mlops_assets.monitoring.layout import WatchedColumn

_SECONDS_A_DAY = 86_400
_TRUE, _FALSE = ["true", "1", "1.0", "yes"], ["false", "0", "0.0", "no"]


@dataclass(frozen=True, slots=True)
class ReadValues:
    """A column of a batch.

    Attributes:
        values: Float64 (finite or null) or String.
        problem: What is wrong with the column; None when nothing is.
    """

    values: pl.Series
    problem: str | None = None


def read_values(batch: pl.DataFrame, column: WatchedColumn, time_column: str | None) -> ReadValues:
    """The values of one column; all are missing when the column is."""
    kind = column.kind
    if column.name not in batch.columns:
        empty = pl.Series(column.name, [None], _TYPES[kind]).new_from_index(0, batch.height)
        return ReadValues(empty, "the column is missing")
    found = batch[column.name]
    if found.dtype == pl.Null:
        return ReadValues(found.cast(_TYPES[kind]))
    if kind == "number":
        return _numbers(found)
    if kind == "boolean":
        return _booleans(found)
    if kind == "datetime":
        return _moments(found, column.name, batch, time_column)
    return ReadValues(_texts(found))


_TYPES: dict[str, type[pl.DataType]] = {
    "number": pl.Float64,
    "datetime": pl.Float64,
    "category": pl.String,
    "boolean": pl.String,
}


def _numbers(found: pl.Series) -> ReadValues:
    problem = None
    if not (found.dtype.is_numeric() or found.dtype == pl.Boolean):
        problem = f"the type changed: {found.dtype} where numbers are expected"
        if found.dtype.is_temporal() or found.dtype.is_nested():
            found = pl.Series(found.name, [None], pl.Float64).new_from_index(0, found.len())
    values = found.cast(pl.Float64, strict=False)
    if found.dtype.is_float() or problem is not None:
        values = values.set(~values.is_finite().fill_null(True), None)
    return ReadValues(values, problem)


def _booleans(found: pl.Series) -> ReadValues:
    if found.dtype == pl.Boolean:
        words = pl.Series(["false", "true"])
        return ReadValues(words.gather(found.cast(pl.UInt32)).alias(found.name))
    texts = found.cast(pl.String, strict=False).str.to_lowercase()
    known = texts.replace_strict(
        [*_TRUE, *_FALSE],
        ["true"] * len(_TRUE) + ["false"] * len(_FALSE),
        default=None,
        return_dtype=pl.String,
    )
    if known.null_count() == texts.null_count():
        return ReadValues(known)
    return ReadValues(known, f"the type changed: {found.dtype} where yes or no is expected")


def _texts(found: pl.Series) -> pl.Series:
    if found.dtype == pl.Boolean:
        return _booleans(found).values
    if found.dtype.is_float():  # a category 3 is read as 3.0 where some are missing
        finite = found.set(~found.is_finite().fill_null(True), None)
        whole = (finite == finite.round()).fill_null(False) & (finite.abs() < 2**53).fill_null(
            False
        )
        texts = finite.cast(pl.String)
        return texts.set(whole, None).fill_null(
            finite.set(~whole, None).cast(pl.Int64).cast(pl.String)
        )
    return found.cast(pl.String, strict=False)


def _moments(
    found: pl.Series, name: str, batch: pl.DataFrame, time_column: str | None
) -> ReadValues:
    problem = None
    if not isinstance(found.dtype, pl.Datetime | pl.Date):
        texts = found.cast(pl.String, strict=False)
        read = texts.str.to_datetime(strict=False, time_unit="us", time_zone="UTC")
        if read.null_count() > texts.null_count():
            problem = f"the type changed: {found.dtype} where dates or times are expected"
        found = read
    seconds = epoch_seconds(found)
    if name == time_column:
        return ReadValues(seconds % _SECONDS_A_DAY, problem)
    if time_column is not None and time_column in batch.columns:
        return ReadValues(epoch_seconds(batch[time_column]) - seconds, problem)
    return ReadValues(seconds, problem)


def epoch_seconds(moments: pl.Series) -> pl.Series:
    """Seconds since 1970 UTC, as Float64; a time without a zone is UTC."""
    exact = moments.cast(pl.Datetime("us")) if moments.dtype == pl.Date else moments
    return exact.dt.epoch("us").cast(pl.Float64) / 1e6

"""Columns of a dataset as a model sees them: numbers, categories, booleans, parts of datetimes.

Each function takes a column as the source typed it, and returns one of a fixed type, or raises a
`FeatureError` that names the column, the row and the value. Rows are counted from 1, as in reports
of the contract.
"""

from typing import NoReturn

import polars as pl

from mlops_assets.errors import FeatureError
from mlops_assets.spec.data import DatetimePart

LARGEST_NUMBER = 3.4e38  # of a 32-bit float, in which models see their numbers

_TRUE, _FALSE = ["true", "yes", "t", "y", "1"], ["false", "no", "f", "n", "0"]


def refuse(values: pl.Series, bad: pl.Series, allowed: str, rows: pl.Series) -> NoReturn:
    """Raise the error that names the first bad value of a column.

    Raises:
        FeatureError: always.
    """
    first = int(bad.arg_max() or 0)
    others = int(bad.sum()) - 1
    more = f" (and {others:,} more rows)" if others else ""
    raise FeatureError(
        f"column {values.name}, row {rows[first] + 1}: found {values[first]!r}{more}, "
        f"allowed: {allowed}"
    )


def as_number(values: pl.Series, rows: pl.Series) -> pl.Series:
    """Float64; missing and not-a-number are null. Text must spell a number.

    Raises:
        FeatureError: text that is no number, a time, or a number beyond 32-bit floats.
    """
    if values.dtype.is_temporal() or values.dtype.is_nested():
        raise FeatureError(
            f"column {values.name} holds {values.dtype}, allowed: numbers; parts of a time go "
            "under features.datetime"
        )
    text = values.dtype == pl.String
    source = _blank_as_null(values) if text else values
    numbers = source.cast(pl.Float64, strict=False)
    if (bad := source.is_not_null() & numbers.is_null()).any():
        refuse(values, bad, "numbers", rows)
    numbers = numbers.fill_nan(None)
    if (bad := (numbers.abs() > LARGEST_NUMBER).fill_null(False)).any():
        refuse(values, bad, f"finite numbers up to {LARGEST_NUMBER:g}", rows)
    return numbers


def as_category(values: pl.Series) -> pl.Series:
    """Text; the empty text is missing. A whole number reads the same as integer and as float,
    whatever stands beside it: so callers send it, and so a champion knows it from other rows.

    Raises:
        FeatureError: a time or a nested value.
    """
    if values.dtype.is_temporal() or values.dtype.is_nested():
        raise FeatureError(
            f"column {values.name} holds {values.dtype}, allowed: text, numbers or booleans; parts "
            "of a time go under features.datetime"
        )
    texts = _float_text(values.fill_nan(None)) if values.dtype.is_float() else values
    return _blank_as_null(texts.cast(pl.String))


def _float_text(values: pl.Series) -> pl.Series:
    whole = ((values.abs() < 2**53) & (values == values.round())).fill_null(False)
    integers = values.set(~whole, None).cast(pl.Int64).cast(pl.String)
    return integers.fill_null(values.cast(pl.String))


def as_boolean(values: pl.Series, rows: pl.Series) -> pl.Series:
    """Boolean. Numbers may be 0 and 1; text may be true and false, yes and no, in any case.

    Raises:
        FeatureError: anything else.
    """
    if values.dtype == pl.Boolean:
        return values
    words = as_category(values).str.to_lowercase()
    known = {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}
    booleans = words.replace_strict(known, default=None, return_dtype=pl.Boolean)
    if (bad := words.is_not_null() & booleans.is_null()).any():
        refuse(values, bad, "true and false, yes and no, or 1 and 0", rows)
    return booleans


def as_datetime(values: pl.Series, rows: pl.Series, text_format: str | None = None) -> pl.Series:
    """Datetime in microseconds, with the zone that it came with.

    Raises:
        FeatureError: not a date or datetime, and no text that can be read as one.
    """
    if values.dtype == pl.Date or values.dtype == pl.Datetime:
        zone = getattr(values.dtype, "time_zone", None)
        return values.cast(pl.Datetime("us", zone))
    if values.dtype != pl.String:
        raise FeatureError(
            f"column {values.name} holds {values.dtype}, allowed: dates, datetimes or their text"
        )
    texts = _blank_as_null(values)
    times = _read_times(texts, text_format)
    if (bad := texts.is_not_null() & times.is_null()).any():
        refuse(values, bad, f"datetimes such as {text_format or '2013-01-31T17:00:00'}", rows)
    return times


def _read_times(texts: pl.Series, text_format: str | None) -> pl.Series:
    try:
        times = texts.str.to_datetime(text_format, strict=False, time_unit="us")
    except pl.exceptions.PolarsError:  # none of the texts has a format that Polars can infer
        times = pl.repeat(None, texts.len(), dtype=pl.Datetime("us"), eager=True)
    return times.alias(texts.name)


def as_utc(times: pl.Series) -> pl.Series:
    """Aware UTC; a time without a zone is UTC already."""
    zone = getattr(times.dtype, "time_zone", None)
    aware = times.dt.replace_time_zone("UTC") if zone is None else times
    return aware.dt.convert_time_zone("UTC")


def datetime_part(times: pl.Series, part: DatetimePart) -> pl.Series:
    """One part as a number. weekday: Monday is 1. The zone is the column's own."""
    found: pl.Series = {
        "year": times.dt.year,
        "month": times.dt.month,
        "day": times.dt.day,
        "weekday": times.dt.weekday,
        "hour": times.dt.hour,
        "minute": times.dt.minute,
        "day_of_year": times.dt.ordinal_day,
    }[part]()
    return found.cast(pl.Float64).alias(f"{times.name}_{part}")


def _blank_as_null(texts: pl.Series) -> pl.Series:
    return texts.set(texts.str.strip_chars() == "", None)

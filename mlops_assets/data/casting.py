"""Reading values as the type that a contract gives: what cannot be read becomes missing.

Here: `cast_values`, pure, one column of one batch. Whether something that became missing breaks the
contract is for the rules to say (`contract_rules.py`), which see the values as they came too.
Held by tests: the result of a value does not depend on the other values of its batch, so nothing is
ever guessed from the first rows.
"""

from collections.abc import Callable

import polars as pl

from mlops_assets.data.column_types import UTC_MICROSECONDS
from mlops_assets.spec.data import ColumnType

LARGEST_WHOLE = 2**53 - 1
"""Up to this each whole number has a floating-point number of its own; larger ones are not read
through it."""

_YES = ["true", "t", "yes", "y", "1"]
_NO = ["false", "f", "no", "n", "0"]

_ISO_DATETIMES = (  # "%+" needs an offset or Z, and takes both separators
    *("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%+"),
    *("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"),
)


def cast_values(values: pl.Series, to: ColumnType, *, datetime_format: str | None) -> pl.Series:
    """Values as a contract's type, missing where they cannot be read as it.

    - integer: whole numbers, also written as `3.0` or `1e3`.
    - number: finite ones; NaN and infinity become missing.
    - boolean: true, t, yes, y, 1 and their opposites, in any case.
    - datetime: UTC when it has no zone; from text by the format, by default ISO 8601.
    - date: from text by the format, by default ISO 8601, or from a datetime at midnight UTC.
    - string: every value has a text.

    Args:
        values: Any type.
        to: The contract's type.
        datetime_format: strftime format of dates and datetimes in text.

    Returns:
        Same name and length, the type that `POLARS_TYPES` gives.
    """
    if isinstance(values.dtype, pl.Null | pl.Categorical | pl.Enum):
        values = values.cast(pl.String)
    return _READERS[to](values, datetime_format)


def is_not_finite(column: str) -> pl.Expr:
    """Whether a value, a number or its text, is NaN or infinite. False where it is missing."""
    return ~pl.col(column).cast(pl.Float64, strict=False).is_finite().fill_null(value=True)


def _string(values: pl.Series, _: str | None) -> pl.Series:
    if isinstance(values.dtype, pl.Datetime):
        return _datetime(values, None).dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ")
    return values.cast(pl.String, strict=False)


def _integer(values: pl.Series, _: str | None) -> pl.Series:
    if values.dtype.is_temporal():
        return _nothing(values, pl.Int64())
    values = _stripped(values)
    if values.dtype.is_integer() or isinstance(values.dtype, pl.Boolean):
        return values.cast(pl.Int64, strict=False)
    whole = _nothing(values, pl.Int64())
    if isinstance(values.dtype, pl.String):
        whole = values.cast(pl.Int64, strict=False)
        if whole.null_count() == values.null_count():
            return whole
    number = values.cast(pl.Float64, strict=False)
    is_whole = (number.abs() <= LARGEST_WHOLE) & (number == number.round(0))
    return whole.fill_null(_only(number, is_whole).cast(pl.Int64))


def _number(values: pl.Series, _: str | None) -> pl.Series:
    if values.dtype.is_temporal():
        return _nothing(values, pl.Float64())
    number = _stripped(values).cast(pl.Float64, strict=False)
    return _only(number, number.is_finite())


def _boolean(values: pl.Series, _: str | None) -> pl.Series:
    if isinstance(values.dtype, pl.Boolean):
        return values
    if values.dtype.is_numeric():
        return _only(values == 1, (values == 0) | (values == 1))
    if not isinstance(values.dtype, pl.String):
        return _nothing(values, pl.Boolean())
    text = _stripped(values).str.to_lowercase()
    return _only(text.is_in(_YES), text.is_in([*_YES, *_NO]))


def _datetime(values: pl.Series, datetime_format: str | None) -> pl.Series:
    if isinstance(values.dtype, pl.Datetime):
        if values.dtype.time_zone is None:
            values = values.dt.replace_time_zone("UTC")
        return values.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    if isinstance(values.dtype, pl.Date):
        return values.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if not isinstance(values.dtype, pl.String):
        return _nothing(values, UTC_MICROSECONDS)
    formats = _ISO_DATETIMES if datetime_format is None else (datetime_format,)
    return _by_first_fitting(_stripped(values), formats)


def _date(values: pl.Series, datetime_format: str | None) -> pl.Series:
    if isinstance(values.dtype, pl.Date):
        return values
    moments = _datetime(values, datetime_format)
    days = moments.dt.date()
    return _only(days, days.cast(pl.Datetime("us")).dt.replace_time_zone("UTC") == moments)


_READERS: dict[ColumnType, Callable[[pl.Series, str | None], pl.Series]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "datetime": _datetime,
    "date": _date,
}


def _by_first_fitting(text: pl.Series, formats: tuple[str, ...]) -> pl.Series:
    """Each text by the first format that fits it; a format is tried on what is left only."""
    moments, left = _nothing(text, UTC_MICROSECONDS), text
    for one_format in formats:
        moments = moments.fill_null(_parsed(left, one_format))
        if moments.null_count() == text.null_count():
            break
        left = _only(text, moments.is_null())
    return moments


def _parsed(text: pl.Series, datetime_format: str) -> pl.Series:
    try:
        return text.str.to_datetime(datetime_format, strict=False, time_unit="us", time_zone="UTC")
    except pl.exceptions.PolarsError:  # a format that Polars cannot use fits no value
        return _nothing(text, UTC_MICROSECONDS)


def _stripped(values: pl.Series) -> pl.Series:
    return values.str.strip_chars() if isinstance(values.dtype, pl.String) else values


def _only(values: pl.Series, wanted: pl.Series) -> pl.Series:
    """The values where `wanted` is true, missing elsewhere."""
    return values.set(~wanted.fill_null(value=False), None)


def _nothing(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    return pl.Series(values.name, [None], dtype).new_from_index(0, len(values))

"""Types of columns: the words of a contract, what a Delta table holds, what two files agree on."""

from collections.abc import Mapping

import polars as pl

from mlops_assets.errors import SourceError
from mlops_assets.spec.data import ColumnType

UTC_MICROSECONDS = pl.Datetime("us", "UTC")

POLARS_TYPES: dict[ColumnType, pl.DataType] = {
    "string": pl.String(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "boolean": pl.Boolean(),
    "datetime": UTC_MICROSECONDS,
    "date": pl.Date(),
}
"""What a column is stored as when its contract gives the type."""

_UNSIGNED: dict[pl.DataType, pl.DataType] = {  # Delta has signed integers only
    pl.UInt8(): pl.Int16(),
    pl.UInt16(): pl.Int32(),
    pl.UInt32(): pl.Int64(),
    pl.UInt64(): pl.Int64(),
}


def type_name(dtype: pl.DataType) -> str:
    """The type in the words of a contract, or as Polars calls it when a contract has no word.

    >>> type_name(pl.Int32()), type_name(pl.Datetime("ns")), type_name(pl.List(pl.Int64))
    ('integer', 'datetime', 'List(Int64)')
    """
    if dtype.is_integer():
        return "integer"
    if dtype.is_float():
        return "number"
    if isinstance(dtype, pl.Datetime):
        return "datetime"
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Null):
        return "string"
    return {pl.Boolean(): "boolean", pl.Date(): "date"}.get(dtype, str(dtype))


def stored_type(column: str, dtype: pl.DataType) -> pl.DataType:
    """The type that a column without a contract has in a snapshot.

    Datetimes become UTC in microseconds, unsigned integers signed ones, categories text; a column
    without any value is text.

    Raises:
        SourceError: Delta has no such type; names the column.
    """
    if dtype in _UNSIGNED:
        return _UNSIGNED[dtype]
    if isinstance(dtype, pl.Datetime):
        return UTC_MICROSECONDS
    if isinstance(dtype, pl.Categorical | pl.Enum | pl.Null):
        return pl.String()
    if isinstance(dtype, pl.List | pl.Array):
        return pl.List(stored_type(column, dtype.inner))  # type: ignore[arg-type]
    if isinstance(dtype, pl.Struct):
        fields = {name: stored_type(f"{column}.{name}", t) for name, t in dtype}  # type: ignore[arg-type]
        return pl.Struct(fields)
    if isinstance(dtype, pl.Time | pl.Duration | pl.Object | pl.Int128 | pl.Unknown):
        raise SourceError(
            f"column {column!r} has the type {dtype}, which a snapshot cannot hold; "
            "make it a number, a text or a datetime in the source"
        )
    return dtype


def to_stored(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Values as their stored type.

    Raises:
        SourceError: a value does not fit, such as an unsigned integer above 2^63 - 1.
    """
    if isinstance(values.dtype, pl.Datetime):
        zone = values.dtype.time_zone
        in_zone = values.dt.replace_time_zone("UTC") if zone is None else values
        return in_zone.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    if values.dtype == dtype:
        return values
    try:
        return values.cast(dtype)
    except pl.exceptions.PolarsError as error:
        raise SourceError(f"column {values.name!r} cannot be kept as {dtype}: {error}") from error


def common_type(left: pl.DataType, right: pl.DataType) -> pl.DataType:
    """The type that holds the values of both without loss; text when there is no other.

    >>> common_type(pl.Int64(), pl.Float32()), common_type(pl.Null(), pl.Date())
    (Float64, Date)
    >>> common_type(pl.Int64(), pl.String())
    String
    """
    if left == right or isinstance(right, pl.Null):
        return left
    if isinstance(left, pl.Null):
        return right
    if left.is_integer() and right.is_integer():
        return pl.Int64()
    plain_numbers = (pl.Boolean, pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16)
    numbers = (*plain_numbers, pl.UInt32, pl.UInt64, pl.Float32, pl.Float64, pl.Decimal)
    if isinstance(left, plain_numbers) and isinstance(right, plain_numbers):
        return pl.Int64()
    if isinstance(left, numbers) and isinstance(right, numbers):
        return pl.Float64()
    if isinstance(left, pl.Datetime | pl.Date) and isinstance(right, pl.Datetime | pl.Date):
        return UTC_MICROSECONDS
    return pl.String()


def common_schema(
    schemas: Mapping[str, Mapping[str, pl.DataType]],
) -> dict[str, pl.DataType]:
    """The columns of several files, by file name, with types that hold the values of all.

    Raises:
        SourceError: a file lacks a column that the first one has, or has one more.
    """
    names = list(schemas)
    merged = dict(schemas[names[0]])
    for name in names[1:]:
        found = schemas[name]
        missing, extra = sorted(merged.keys() - found.keys()), sorted(found.keys() - merged.keys())
        if missing or extra:
            differences = [f"lacks {missing}"] * bool(missing) + [f"also has {extra}"] * bool(extra)
            raise SourceError(
                f"{name} {' and '.join(differences)}, compared with {names[0]}; "
                "all files of one source need the same columns"
            )
        merged = {column: common_type(dtype, found[column]) for column, dtype in merged.items()}
    return merged

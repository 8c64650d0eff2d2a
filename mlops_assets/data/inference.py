"""Types of text columns that no contract types, found over all their values.

A column is an integer, a number, a boolean, a date or a datetime (ISO 8601) when every value can be
read as one, and text otherwise. Codes stay text: `007`, and digits too long for 64 bits.
"""

from collections.abc import Collection, Iterable
from functools import partial

import polars as pl

from mlops_assets.data.batches import open_batches
from mlops_assets.data.casting import cast_values
from mlops_assets.data.column_types import POLARS_TYPES
from mlops_assets.data.source_rows import SourceRows
from mlops_assets.spec.data import ColumnType

_CANDIDATES: tuple[ColumnType, ...] = ("integer", "number", "boolean", "date", "datetime")
_WHOLE = r"^\s*[+-]?\d+\s*$"
_CODE = r"^\s*[+-]?(0\d|\d{19,}\s*$)"
_BOOLEAN = r"^(?i)\s*(true|false)\s*$"


def infer_types(batches: Iterable[pl.DataFrame], columns: Collection[str]) -> dict[str, ColumnType]:
    """The type of each text column over all batches; `string` when there is no value at all."""
    left: dict[str, list[ColumnType]] = {name: list(_CANDIDATES) for name in columns}
    seen: set[str] = set()
    for batch in batches:
        for name in columns:
            values = batch[name].drop_nulls()
            if values.is_empty():
                continue
            seen.add(name)
            left[name] = [to for to in left[name] if _fits(values, to)]
    return {name: (*left[name], "string")[0] if name in seen else "string" for name in columns}


def typed_rows(rows: SourceRows) -> pl.LazyFrame:
    """The rows of a source with types: inferred over all values when the source is text.

    Reads a text source twice; for a look at data, not for the way into the lake.

    Raises:
        SourceError: the rows cannot be read.
    """
    if not rows.is_text:
        return rows.frame
    with open_batches(rows) as source:
        types = infer_types(source.batches(), list(source.schema))
    casts = [
        pl.col(name).map_batches(
            partial(cast_values, to=to, datetime_format=None),
            return_dtype=POLARS_TYPES[to],
            is_elementwise=True,
        )
        for name, to in types.items()
    ]
    return rows.frame.with_columns(casts)


def _fits(values: pl.Series, to: ColumnType) -> bool:
    if to in ("integer", "number") and values.str.contains(_CODE).any():
        return False
    pattern = {"integer": _WHOLE, "boolean": _BOOLEAN}.get(to)
    if pattern is not None and not values.str.contains(pattern).all():
        return False
    return cast_values(values, to, datetime_format=None).null_count() == 0

"""The rows of a dataset as they were known at some moment of the past.

Here: `rows_as_known`, which leaves out later rows and truths that had not come yet, and
`truth_times`. Times in text are read as on the way into the lake (`casting.py`). Not here: the
source of the past (`history:` of the document), and what is played on it.
"""

from datetime import datetime
from functools import partial

import polars as pl

from mlops_assets.data.casting import cast_values
from mlops_assets.data.column_types import UTC_MICROSECONDS
from mlops_assets.errors import HistoryError
from mlops_assets.spec import ModelSpec


def rows_as_known(rows: pl.LazyFrame, spec: ModelSpec, now: datetime) -> pl.LazyFrame:
    """Rows dated before a moment; their target is missing where it was not known by then.

    Args:
        rows: Rows of all times, typed or text.
        spec: The document; it needs a time column.
        now: Aware.

    Raises:
        HistoryError: there is no time column, or a column is missing.
    """
    target, truth = spec.target.column, spec.history.truth_column
    known = truth_times(rows, spec) < now
    hidden = [target, *([truth] if truth is not None else [])]
    return rows.filter(row_times(rows, spec) < now).with_columns(
        pl.when(known).then(pl.col(name)).alias(name) for name in hidden
    )


def row_times(rows: pl.LazyFrame, spec: ModelSpec) -> pl.Expr:
    """The time of each row, UTC.

    Raises:
        HistoryError: there is no time column.
    """
    if spec.time_column is None:
        raise HistoryError(
            f"{spec.name}: only a model with time_column has a past that can be played; declare it"
        )
    return _moment(rows, spec, spec.time_column)


def truth_times(rows: pl.LazyFrame, spec: ModelSpec) -> pl.Expr:
    """The time at which the target of each row became known, UTC; null: it never did.

    Raises:
        HistoryError: there is no time column, or the truth column is missing.
    """
    if spec.history.truth_column is not None:
        return _moment(rows, spec, spec.history.truth_column)
    return row_times(rows, spec) + spec.history.truth_delay


def _moment(rows: pl.LazyFrame, spec: ModelSpec, name: str) -> pl.Expr:
    dtype = rows.collect_schema().get(name)
    if dtype is None:
        raise HistoryError(f"{spec.name}: the history has no column {name}")
    if isinstance(dtype, pl.String | pl.Datetime | pl.Date):
        contract = spec.contract.columns.get(name)
        written = contract.datetime_format if contract is not None else None
        return pl.col(name).map_batches(
            partial(cast_values, to="datetime", datetime_format=written),
            return_dtype=UTC_MICROSECONDS,
            is_elementwise=True,
        )
    raise HistoryError(f"{spec.name}: column {name} is {dtype}, where times are expected")

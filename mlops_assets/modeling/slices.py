"""The rows that share a value of a column."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.modeling.features import SLICE_PREFIX

MISSING = "(missing)"
OTHERS = "(other values)"
_MOST_VALUES = 50  # of one column; the rarer ones are one slice
_MOST_NUMBERS = 20  # distinct numbers that are slices of their own; more are cut at quartiles


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows that share a value.

    Attributes:
        column: The declared column.
        value: Its value as text; a range for numbers with many values.
        rows: Positions of the rows.
    """

    column: str
    value: str
    rows: NDArray[np.int64]


def cut_slices(frame: pl.DataFrame, columns: list[str]) -> list[Slice]:
    """Every slice of every declared column, largest first within a column, then by name."""
    slices = []
    for column in columns:
        values = frame[column if column in frame.columns else SLICE_PREFIX + column]
        labels = _label(values)
        counts = labels.value_counts().sort("count", labels.name, descending=[True, False])
        common = counts.head(_MOST_VALUES)[labels.name].to_list()
        labels = labels.set(~labels.is_in(common), OTHERS)
        for label in [*common, OTHERS]:
            rows = (labels == label).arg_true().to_numpy().astype(np.int64)
            if rows.size:
                slices.append(Slice(column, str(label), rows))
    return slices


def _label(values: pl.Series) -> pl.Series:
    """What each row's slice is called."""
    if values.dtype == pl.Boolean:
        values = values.replace_strict({True: "true", False: "false"}, return_dtype=pl.String)
    elif values.dtype == pl.Float64:
        values = _label_numbers(values)
    return values.cast(pl.String).fill_null(MISSING)


def _label_numbers(values: pl.Series) -> pl.Series:
    distinct = values.drop_nulls().unique()
    if distinct.len() <= _MOST_NUMBERS:
        return values.replace_strict(_names(distinct.to_list()), return_dtype=pl.String)
    edges = [values.quantile(share) for share in (0, 0.25, 0.5, 0.75, 1)]
    names = _names(sorted({edge for edge in edges if edge is not None}))
    labels = pl.repeat(None, values.len(), dtype=pl.String, eager=True)
    for low, high in pairwise(names):
        inside = (values >= low) & (values <= high) & labels.is_null()
        labels = labels.set(inside.fill_null(False), f"{names[low]} to {names[high]}")
    return labels.alias(values.name)


def _names(numbers: list[float]) -> dict[float, str]:
    """Six digits of each, or all of them where six do not tell the numbers apart."""
    names = {number: f"{number:g}" for number in numbers}
    if len(set(names.values())) < len(names):
        names = {number: f"{number:.17g}" for number in numbers}
    return names

"""The rows of a dataset that a document's features are made of.

Here: which columns are needed, the user's feature function, and the errors when either does not
fit. Not here: types and values of the columns (`columns.py`).
"""

from collections.abc import Sequence
from difflib import get_close_matches

import polars as pl

from mlops_assets.errors import FeatureError
from mlops_assets.modeling.importing import NotImportableError, import_object
from mlops_assets.modeling.split import id_columns
from mlops_assets.spec import ModelSpec

ROW_ID = "__row_id"


def read_rows(dataset: pl.LazyFrame, spec: ModelSpec) -> pl.DataFrame:
    """The columns that the document needs, with the position of each row as `__row_id`.

    Raises:
        FeatureError: a column is missing, or the feature function failed, lost rows or columns.
    """
    needed = list(
        dict.fromkeys(
            [
                *spec.features.source_columns,
                spec.target.column,
                *([spec.time_column] if spec.time_column else []),
                *spec.evaluation.slices,
                *id_columns(spec),
            ]
        )
    )
    if reserved := [name for name in needed if name.startswith("__")]:
        raise FeatureError(f"{', '.join(reserved)}: names with __ in front are the platform's own")
    rows = dataset.with_row_index(ROW_ID)
    if spec.features.function is not None:
        rows = _apply_function(rows, spec.features.function)
    try:
        found = rows.collect_schema().names()
        _require_columns(needed, found)
        raw = rows.select(pl.col(ROW_ID).cast(pl.Int64), *needed).collect()
    except pl.exceptions.PolarsError as error:
        function = spec.features.function
        blamed = f"features.function {function}" if function else "the dataset"
        raise FeatureError(f"{blamed} cannot be computed: {error}") from error
    return raw if spec.features.function is None else _require_same_rows(raw, dataset, spec)


def _apply_function(rows: pl.LazyFrame, path: str) -> pl.LazyFrame:
    try:
        function = import_object(path)
    except NotImportableError as error:
        raise FeatureError(f"features.function {path}: {error}") from error
    if not callable(function):
        raise FeatureError(f"features.function {path} is no function but {function!r}")
    try:
        made = function(rows)
    except Exception as error:  # the user's function may raise anything
        raise FeatureError(
            f"features.function {path} failed: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(made, pl.LazyFrame):
        raise FeatureError(
            f"features.function {path} returned {type(made).__name__}, allowed: a polars LazyFrame"
        )
    return made


def _require_columns(needed: Sequence[str], found: Sequence[str]) -> None:
    if ROW_ID not in found:
        raise FeatureError(
            f"features.function dropped the column {ROW_ID}; it must add columns and keep the rest"
        )
    told = []
    for name in needed:
        if name not in found:
            near = get_close_matches(name, found, n=1)
            told.append(f"{name}{f' (is it {near[0]}?)' if near else ''}")
    if told:
        there = ", ".join(name for name in found if name != ROW_ID)
        raise FeatureError(f"the dataset has no column {', '.join(told)}; it has {there}")


def _require_same_rows(raw: pl.DataFrame, dataset: pl.LazyFrame, spec: ModelSpec) -> pl.DataFrame:
    n_before = dataset.select(pl.len()).collect().item()
    if raw.height != n_before or raw[ROW_ID].n_unique() != n_before:
        raise FeatureError(
            f"features.function {spec.features.function} made {raw.height:,} rows of "
            f"{n_before:,}; it must keep each row once"
        )
    return raw.sort(ROW_ID)

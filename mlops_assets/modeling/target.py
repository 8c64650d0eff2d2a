"""The target column as the estimator sees it, and the classes that it has."""

from dataclasses import dataclass

import polars as pl

from mlops_assets.errors import FeatureError
from mlops_assets.modeling.columns import as_number
from mlops_assets.spec import TargetSpec

Label = str | int | bool

_MOST_CLASSES = 200  # more are a number or an id


@dataclass(frozen=True, slots=True)
class EncodedTarget:
    """The target of the rows that have one.

    Attributes:
        values: binary: Int64 0 and 1. multiclass: String, Int64 or Boolean. regression: Float64.
        classes: Labels in the order of the probability columns; None for regression.
        positive: binary: the value that 1 stands for.
    """

    values: pl.Series
    classes: list[Label] | None
    positive: Label | None = None


def has_target(values: pl.Series) -> pl.Series:
    """True for rows that have an answer. The empty text is none."""
    if values.dtype.is_float():
        return values.is_not_nan().fill_null(False)
    if values.dtype == pl.String:
        return (values.str.strip_chars() != "").fill_null(False)
    return values.is_not_null()


def encode_target(values: pl.Series, spec: TargetSpec, rows: pl.Series) -> EncodedTarget:
    """The target of rows that all have one (`has_target`).

    Raises:
        FeatureError: one class only, too many classes, no numbers in a regression; it names the
            values that were found.
    """
    if spec.task == "regression":
        numbers = as_number(values, rows)
        if numbers.n_unique() < 2:
            raise FeatureError(f"target {values.name} is {numbers[0]} in all {len(rows):,} rows")
        return EncodedTarget(numbers, None)
    values = _as_labels(values)
    found: list[Label] = values.unique().sort().to_list()
    if len(found) < 2:
        raise FeatureError(
            f"target {values.name} has one class only, {found[0]!r}, in all {len(rows):,} rows"
        )
    if spec.task == "multiclass":
        if len(found) > _MOST_CLASSES:
            raise FeatureError(
                f"target {values.name} has {len(found):,} classes, at most {_MOST_CLASSES} can be "
                "told apart; for numbers use task regression"
            )
        return EncodedTarget(values, found)
    return _encode_binary(values, spec, found)


def _encode_binary(values: pl.Series, spec: TargetSpec, found: list[Label]) -> EncodedTarget:
    shown = ", ".join(map(repr, found[:10])) + (", …" if len(found) > 10 else "")
    positive = spec.positive
    if positive is None:
        if len(found) > 2:
            raise FeatureError(
                f"target {values.name} has {len(found):,} values ({shown}): declare "
                "target.positive, or use task multiclass"
            )
        positive = found[-1]
    elif not any(positive == label and type(positive) is type(label) for label in found):
        raise FeatureError(
            f"target.positive {positive!r} does not occur in {values.name}, found: {shown}"
        )
    return EncodedTarget((values == positive).cast(pl.Int64), [0, 1], positive)


def _as_labels(values: pl.Series) -> pl.Series:
    """Labels as text, integers or booleans; floats become integers when all are whole."""
    if values.dtype == pl.Boolean or values.dtype == pl.String:
        return values
    if values.dtype.is_integer():
        return values.cast(pl.Int64)
    if values.dtype.is_float():
        whole = values.cast(pl.Int64, strict=False)
        others = values.filter(~(whole.cast(pl.Float64) == values).fill_null(False))
        if others.is_empty():
            return whole
        raise FeatureError(
            f"target {values.name} holds numbers such as {others[0]}, allowed: text, integers or "
            "booleans; for numbers use task regression"
        )
    if values.dtype in (pl.Categorical, pl.Enum):
        return values.cast(pl.String)
    raise FeatureError(
        f"target {values.name} holds {values.dtype}, allowed: text, integers or booleans"
    )

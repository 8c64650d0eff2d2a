"""Performance of a regression without truth: direct loss estimation (DLE).

A small model learns from rows that the model was not trained on how far off its answers are: the
absolute and the squared error, from the features and the answer. On a window it says what errors to
expect there, before anybody knows the truth.

Here: `LossModel`, a small forest as plain numbers, and the estimates that follow from it. It is
fitted by scikit-learn and answers without it.
Not here: whether an estimate is believed (`trust.py`).

Like CBPE it is right while only the inputs change, and where rows are like some that it learned
from: beyond them a tree says what it says at the edge. R² is not estimated, since it needs how much
the target varies in the window.

Source: the same idea as in Białek et al. (2024), arXiv:2401.08348, section on regression, and in
NannyML's documentation of DLE; the categories' codes are smoothed means as of Micci-Barreca (2001),
SIGKDD Explorations 3:27; forests are Breiman's (2001), Machine Learning 45:5.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.modeling.bootstrap import StatisticOf, resample
from mlops_assets.modeling.evaluation import Estimate
from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.modeling.metrics import Floats, number_statistic
from mlops_assets.monitoring.realised import N_DRAWS, as_estimate
from mlops_assets.monitoring.record import Record
from mlops_assets.spec.model import Metric

FEWEST_ROWS = 100
_N_TREES, _MOST_DEPTH, _FEWEST_IN_LEAF, _MOST_LEAVES = 40, 6, 20, 200
_MOST_ROWS = 20_000
_MOST_CATEGORIES = 200
_SMOOTHING = 20  # rows by which a category's mean is drawn towards that of all
_LARGEST = float(np.finfo(np.float32).max)

_CAUSES: dict[Metric, str] = {
    "r2": "it needs how much the target varies in the window",
}


class LossColumn(Record):
    """How a feature becomes a number.

    Attributes:
        name: The feature.
        kind: As in the model's manifest.
        codes: Categories: the mean absolute error of each frequent one.
        others: Categories: of all other values and of missing ones.
    """

    name: str
    kind: Literal["number", "category", "boolean"]
    codes: dict[str, float] = {}
    others: float = 0.0


class LossTree(Record):
    """One tree; node 0 is its root. A leaf has −1 as its feature.

    Attributes:
        feature: Column that a node asks about.
        threshold: Rows at most this go left.
        left: Node on the left.
        right: Node on the right.
        missing_left: Whether rows without a value go left.
        absolute: Mean absolute error at a node.
        squared: Mean squared error at a node.
    """

    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    missing_left: tuple[bool, ...]
    absolute: tuple[float, ...]
    squared: tuple[float, ...]

    def leaves(self, inputs: NDArray[np.float32]) -> NDArray[np.int64]:
        """The leaf of each row."""
        feature, left, right = (np.asarray(v) for v in (self.feature, self.left, self.right))
        threshold, missing_left = np.asarray(self.threshold), np.asarray(self.missing_left)
        at = np.zeros(len(inputs), dtype=np.int64)
        while True:
            inner = np.flatnonzero(feature[at] >= 0)
            if not inner.size:
                return at
            node = at[inner]
            value = inputs[inner, feature[node]]
            goes_left = np.where(np.isnan(value), missing_left[node], value <= threshold[node])
            at[inner] = np.where(goes_left, left[node], right[node])


class LossModel(Record):
    """How far off a model's answers are; JSON both ways.

    Attributes:
        n_rows: Rows that it learned from.
        columns: The features; the model's answer follows them as the last input.
        trees: The forest.
    """

    n_rows: int
    columns: tuple[LossColumn, ...]
    trees: tuple[LossTree, ...]

    def losses(self, features: pl.DataFrame, predicted: Floats) -> tuple[Floats, Floats]:
        """The absolute and the squared error to expect of each row.

        Args:
            features: The raw features; a column that is missing counts as missing values.
            predicted: What the model answered.
        """
        inputs = _inputs(self.columns, features, predicted)
        absolute, squared = np.zeros(len(predicted)), np.zeros(len(predicted))
        for tree in self.trees:
            leaves = tree.leaves(inputs)
            absolute += np.asarray(tree.absolute)[leaves]
            squared += np.asarray(tree.squared)[leaves]
        return absolute / len(self.trees), squared / len(self.trees)


def fit_losses(
    features: pl.DataFrame,
    fields: Sequence[FeatureField],
    predicted: Floats,
    truth: Floats,
    *,
    seed: int,
) -> LossModel:
    """Learn how far off a model's answers are, on rows that it was not trained on.

    Args:
        features: The raw features.
        fields: Their kinds.
        predicted: What the model answered.
        truth: What was true.
        seed: Of the forest, and of the rows that are taken of more than 20,000.

    Raises:
        ValueError: fewer than 100 rows.
    """
    if truth.size < FEWEST_ROWS:
        raise ValueError(f"a loss model needs {FEWEST_ROWS} rows, found {truth.size}")
    from sklearn.ensemble import RandomForestRegressor

    if truth.size > _MOST_ROWS:
        chosen = np.sort(np.random.default_rng(seed).choice(truth.size, _MOST_ROWS, replace=False))
        features, predicted, truth = features[chosen], predicted[chosen], truth[chosen]
    error = np.abs(predicted - truth)
    columns = tuple(_column(field, features[field.name], error) for field in fields)
    forest = RandomForestRegressor(
        n_estimators=_N_TREES,
        max_depth=_MOST_DEPTH,
        min_samples_leaf=max(_FEWEST_IN_LEAF, truth.size // _MOST_LEAVES),
        random_state=seed,
    )
    scale = max(float(error.mean()), 1e-300)  # so that neither error outweighs the other
    targets = np.stack([error / scale, (error / scale) ** 2], axis=1)
    forest.fit(_inputs(columns, features, predicted), targets)
    trees = tuple(_tree(fitted.tree_, scale) for fitted in forest.estimators_)
    return LossModel(n_rows=truth.size, columns=columns, trees=trees)


def estimate_numbers(
    absolute: Floats,
    squared: Floats,
    rng: np.random.Generator,
    *,
    n_draws: int = N_DRAWS,
    confidence: float = 0.95,
) -> dict[Metric, Estimate]:
    """What the metrics will turn out to be, if the expected losses are right.

    Args:
        absolute: Expected absolute error of each row.
        squared: Expected squared error of each row.
        rng: Of the redraws.
        n_draws: Redraws of the rows behind each interval.
        confidence: Level of the intervals. They hold what redrawing the rows changes, and not that
            the loss model may be wrong.
    """
    losses: dict[Metric, Floats] = {
        "mean_absolute_error": absolute,
        "root_mean_squared_error": np.sqrt(squared),
    }
    built: dict[Metric, StatisticOf] = {
        metric: _statistic(metric, values) for metric, values in losses.items()
    }
    found = resample(built, absolute.size, n_draws, rng)
    estimates = {m: as_estimate(m, drawn, absolute.size, confidence) for m, drawn in found.items()}
    for metric, cause in _CAUSES.items():
        reason = f"{metric} is not estimated: {cause}"
        estimates[metric] = Estimate(value=None, low=None, high=None, reason=reason)
    return estimates


def _statistic(metric: Metric, losses: Floats) -> StatisticOf:
    """A metric of errors that are expected, not seen: those of answers that are off by them."""
    return lambda rows: number_statistic(metric, losses[rows], np.zeros(rows.size))


def _column(field: FeatureField, values: pl.Series, error: Floats) -> LossColumn:
    if field.kind != "category":
        return LossColumn(name=field.name, kind=field.kind)
    mean = float(error.mean())
    frame = pl.DataFrame({"value": values.cast(pl.String), "error": error}).drop_nulls("value")
    found = (
        frame.group_by("value")
        .agg(n=pl.len(), total=pl.col("error").sum())
        .sort("n", "value", descending=[True, False])
        .head(_MOST_CATEGORIES)
    )
    smoothed = (pl.col("total") + _SMOOTHING * mean) / (pl.col("n") + _SMOOTHING)
    codes = dict(found.select("value", code=smoothed).iter_rows())
    return LossColumn(name=field.name, kind=field.kind, codes=codes, others=mean)


def _inputs(
    columns: Sequence[LossColumn], features: pl.DataFrame, predicted: Floats
) -> NDArray[np.float32]:
    """Numbers [rows, features and answer]; NaN where a number is missing."""
    parts = [_numbers(column, features, len(predicted)) for column in columns]
    numbers = np.stack([*parts, predicted], axis=1)
    return np.clip(numbers, -_LARGEST, _LARGEST).astype(np.float32)


def _numbers(column: LossColumn, features: pl.DataFrame, n_rows: int) -> Floats:
    if column.name not in features.columns:
        missing = column.others if column.kind == "category" else np.nan
        return np.full(n_rows, missing)
    values = features[column.name]
    if column.kind == "category":
        texts = values.cast(pl.String)
        coded = texts.replace_strict(column.codes, default=column.others, return_dtype=pl.Float64)
        return coded.fill_null(column.others).to_numpy()
    return values.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()


def _tree(fitted: object, scale: float) -> LossTree:
    """scikit-learn's arrays as plain numbers, the errors in the target's unit again."""

    def numbers(name: str) -> NDArray[np.float64]:
        return np.asarray(getattr(fitted, name))

    left, values = numbers("children_left"), numbers("value")
    is_leaf = left < 0
    return LossTree(
        feature=tuple(int(v) for v in np.where(is_leaf, -1, numbers("feature"))),
        threshold=tuple(float(v) for v in np.where(is_leaf, 0.0, numbers("threshold"))),
        left=tuple(int(v) for v in left),
        right=tuple(int(v) for v in numbers("children_right")),
        missing_left=tuple(bool(v) for v in numbers("missing_go_to_left")),
        absolute=tuple(float(v) * scale for v in values[:, 0, 0]),
        squared=tuple(float(v) * scale**2 for v in values[:, 1, 0]),
    )

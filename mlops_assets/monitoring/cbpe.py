"""Performance of a classifier without truth: confidence-based performance estimation (CBPE).

If a probability of 0.7 is right, seven in ten such rows belong to the class. So calibrated
probabilities tell how often the model will turn out right, before anybody knows. Each row counts as
a row of every class, weighted by the calibrated probability of the class; the metrics then are
those of `modeling/metrics.py`, which take weights.

Here: `CalibrationMap`, fitted at the evaluation on rows that the model was not trained on, and the
estimates that follow from it.
Not here: whether an estimate is believed (`trust.py`).

It is right while only the inputs change and what they mean stays the same (covariate shift), and
where the rows are like some that calibrated it. It cannot see that what the model learned no longer
holds: that is what truth is for, and how the two tell drift from concept drift.

Sources: Białek, Kuberski, Perrakis and Bifet (2024), Journal of Artificial Intelligence Research,
"Estimating Model Performance Under Covariate Shift Without Labels" (arXiv:2401.08348), which
estimates expected confusion matrices; Zadrozny and Elkan (2002), KDD 8:694 (isotonic regression;
several classes each against the rest); Platt (1999), Advances in Large Margin Classifiers (sigmoid,
and the smoothed ends); Niculescu-Mizil and Caruana (2005), ICML 22:625 (isotonic from 1,000 rows).
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlops_assets.modeling.bootstrap import StatisticOf, resample
from mlops_assets.modeling.evaluation import Estimate
from mlops_assets.modeling.metrics import Floats, Statistic, class_statistic, metrics_of
from mlops_assets.monitoring.realised import N_DRAWS, as_estimate
from mlops_assets.monitoring.record import Record
from mlops_assets.spec.model import Metric

FEWEST_ROWS = 50
_ISOTONIC_ROWS = 1_000
_MOST_KNOTS = 200
_MOST_CELLS = 4_000_000  # rows × classes², 32 MB; of more rows a random part is taken
_FARTHEST = 1e-6  # of a probability from 0 and 1, before its log-odds are taken

Integers = NDArray[np.int64]


class ScoreMap(Record):
    """What a score of one class means.

    Attributes:
        kind: isotonic: a straight line between knots. sigmoid: 1 / (1 + exp(−(a·log-odds + b))).
        scores: isotonic: the knots, growing.
        meanings: isotonic: the calibrated probability at each.
        slope: sigmoid: a.
        intercept: sigmoid: b.
    """

    kind: Literal["isotonic", "sigmoid"]
    scores: tuple[float, ...] = ()
    meanings: tuple[float, ...] = ()
    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, scores: Floats) -> Floats:
        """The calibrated probability of each score."""
        if self.kind == "isotonic":
            return np.interp(scores, self.scores, self.meanings)
        return 1 / (1 + np.exp(-(self.slope * _log_odds(scores) + self.intercept)))


class CalibrationMap(Record):
    """What the probabilities of a model mean; JSON both ways.

    Attributes:
        n_rows: Rows that it was fitted on.
        maps: With two classes that of class 1, else one for each class.
    """

    n_rows: int
    maps: tuple[ScoreMap, ...]

    def apply(self, probabilities: Floats) -> Floats:
        """Calibrated probabilities [rows, classes]; each row sums to 1."""
        if len(self.maps) == 1:
            of_one = self.maps[0].apply(probabilities[:, 1])
            return np.stack([1 - of_one, of_one], axis=1)
        columns = [part.apply(probabilities[:, k]) for k, part in enumerate(self.maps)]
        found: Floats = np.stack(columns, axis=1)
        found /= found.sum(axis=1, keepdims=True)
        return found


def fit_calibration(truth: Integers, probabilities: Floats) -> CalibrationMap:
    """What the probabilities of a model mean, on rows that it was not trained on.

    Isotonic from 1,000 rows, else a sigmoid. No probability becomes 0 or 1: n rows cannot tell that
    something never happens, so the ends are those of n + 2 rows with one exception (Platt).

    Args:
        truth: Class of each row, as position of its column.
        probabilities: [rows, classes].

    Raises:
        ValueError: fewer than 50 rows, or one class only.
    """
    n_rows, n_classes = probabilities.shape
    if n_rows < FEWEST_ROWS or np.unique(truth).size < 2:
        found = f"{n_rows} rows of {np.unique(truth).size} classes"
        raise ValueError(f"calibration needs {FEWEST_ROWS} rows of two classes, found {found}")
    chosen = [1] if n_classes == 2 else range(n_classes)
    maps = tuple(_fit((truth == k).astype(np.float64), probabilities[:, k]) for k in chosen)
    return CalibrationMap(n_rows=n_rows, maps=maps)


def estimate_classes(
    calibrated: Floats,
    probabilities: Floats,
    rng: np.random.Generator,
    *,
    metrics: Sequence[Metric] = metrics_of("binary"),
    n_draws: int = N_DRAWS,
    confidence: float = 0.95,
) -> dict[Metric, Estimate]:
    """What the metrics will turn out to be, if the calibrated probabilities are right.

    Args:
        calibrated: [rows, classes], of `CalibrationMap.apply`.
        probabilities: [rows, classes], as the model gave them; the predicted class is that of the
            largest.
        rng: Of the redraws.
        metrics: Which.
        n_draws: Redraws of the rows behind each interval.
        confidence: Level of the intervals. They hold what redrawing the rows changes, and not that
            the calibration may be wrong.
    """
    most_rows = max(100, _MOST_CELLS // probabilities.shape[1] ** 2)
    if len(probabilities) > most_rows:
        rows = np.sort(rng.choice(len(probabilities), most_rows, replace=False))
        calibrated, probabilities = calibrated[rows], probabilities[rows]
    copied = _Copies(calibrated, probabilities)
    built: dict[Metric, StatisticOf] = {m: copied.statistic_of(m) for m in metrics}
    n_rows = len(probabilities)
    found = resample(built, n_rows, n_draws, rng)
    return {m: as_estimate(m, drawn, n_rows, confidence) for m, drawn in found.items()}


class _Copies:
    """Each row as one of every class, weighted by its calibrated probability."""

    def __init__(self, calibrated: Floats, probabilities: Floats) -> None:
        self._calibrated, self._probabilities = calibrated, probabilities
        self._n_classes = probabilities.shape[1]
        self._last: tuple[Floats, Floats] | None = None

    def statistic_of(self, metric: Metric) -> StatisticOf:
        """A metric of these copies, as a function of the weights of the rows."""

        def build(rows: NDArray[np.int64]) -> Statistic:
            classes = np.tile(np.arange(self._n_classes), rows.size)
            copies = np.repeat(self._probabilities[rows], self._n_classes, axis=0)
            shares = self._calibrated[rows].reshape(-1, 1)
            of_copies = class_statistic(metric, classes, copies)
            return lambda weights: of_copies(self._spread(weights, shares))

        return build

    def _spread(self, weights: Floats, shares: Floats) -> Floats:
        """Weights of the copies; those of the last call again, since all metrics ask in turn."""
        if self._last is None or self._last[0] is not weights:
            self._last = (weights, np.repeat(weights, self._n_classes, axis=0) * shares)
        return self._last[1]


def _fit(is_class: Floats, scores: Floats) -> ScoreMap:
    if is_class.size < _ISOTONIC_ROWS:
        return _fit_sigmoid(is_class, scores)
    from sklearn.isotonic import IsotonicRegression

    end = 1 / (is_class.size + 2)
    fitted = IsotonicRegression(y_min=end, y_max=1 - end, out_of_bounds="clip")
    fitted.fit(scores, is_class)
    at, meanings = fitted.X_thresholds_, fitted.y_thresholds_
    if at.size > _MOST_KNOTS:
        kept = np.unique(np.linspace(0, at.size - 1, _MOST_KNOTS).round().astype(int))
        at, meanings = at[kept], meanings[kept]
    return ScoreMap(kind="isotonic", scores=_plain(at), meanings=_plain(meanings))


def _fit_sigmoid(is_class: Floats, scores: Floats) -> ScoreMap:
    """Platt's: each row is its class by (n₁ + 1) / (n₁ + 2), and the other by the rest."""
    from sklearn.linear_model import LogisticRegression

    n_class, n_others = is_class.sum(), is_class.size - is_class.sum()
    if n_class == 0:
        return ScoreMap(kind="sigmoid", slope=0.0, intercept=float(-np.log(is_class.size + 1)))
    share = np.where(is_class == 1, (n_class + 1) / (n_class + 2), 1 / (n_others + 2))
    inputs = np.tile(_log_odds(scores), 2).reshape(-1, 1)
    classes = np.repeat([1, 0], is_class.size)
    weights = np.concatenate([share, 1 - share])
    fitted = LogisticRegression(C=np.inf).fit(inputs, classes, sample_weight=weights)
    return ScoreMap(
        kind="sigmoid",
        slope=max(0.0, float(fitted.coef_[0, 0])),  # a score that ranks backwards means nothing
        intercept=float(fitted.intercept_[0]),
    )


def _log_odds(scores: Floats) -> Floats:
    inside = np.clip(scores, _FARTHEST, 1 - _FARTHEST)
    odds: Floats = np.log(inside / (1 - inside))
    return odds


def _plain(values: NDArray[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)

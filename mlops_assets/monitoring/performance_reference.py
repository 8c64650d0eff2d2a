"""What later windows are compared with: a model's performance at its evaluation, and what it takes
to estimate it without truth. Made once, from rows that the model was not trained on.

Here: `PerformanceReference`, stored as JSON with the evaluation's run, and how it is made.
Not here: what is made of it in a window (`estimation.py`, `realised.py`).

The rows are cut into four parts by time. Each is estimated by what the three others taught; so the
estimate at the evaluation rests on rows that it did not learn from, like those of later windows,
and its four errors are the first on which trust rests.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import ValidationError

from mlops_assets.errors import MonitoringError
from mlops_assets.modeling.evaluation import Estimate
from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.monitoring.answers import Answers
from mlops_assets.monitoring.cbpe import CalibrationMap, estimate_classes, fit_calibration
from mlops_assets.monitoring.dle import LossModel, estimate_numbers, fit_losses
from mlops_assets.monitoring.losses import LossProfile, profile_losses
from mlops_assets.monitoring.realised import measure_metrics
from mlops_assets.monitoring.record import Record
from mlops_assets.monitoring.trust import EstimateError, error_of
from mlops_assets.spec.model import Metric

N_PARTS = 4
_MOST_ROWS = 50_000

Integers = NDArray[np.int64]


class PerformanceReference(Record):
    """A model's performance at its evaluation.

    Attributes:
        format: Number of this layout; a reader refuses numbers it does not know.
        n_rows: Rows that it rests on.
        realised: Each metric, as truth says.
        estimated: Each metric, as the estimate says; empty without one.
        calibration: Of a classifier; None for regression, or when it cannot be fitted.
        loss_model: Of a regression; None for classes, or when it cannot be fitted.
        errors: Of the estimate, part by part.
        losses: The mean loss by slice.
        reason: Why there is no estimate; empty when there is one.
    """

    format: Literal[1] = 1
    n_rows: int
    realised: dict[Metric, Estimate]
    estimated: dict[Metric, Estimate]
    calibration: CalibrationMap | None = None
    loss_model: LossModel | None = None
    errors: tuple[EstimateError, ...] = ()
    losses: LossProfile
    reason: str = ""

    def to_storage(self) -> str:
        """The stored form: JSON."""
        return self.model_dump_json()

    @staticmethod
    def from_storage(text: str) -> "PerformanceReference":
        """The reference of its stored form.

        Raises:
            MonitoringError: it is none, or was written by a later version of this platform.
        """
        try:
            return PerformanceReference.model_validate_json(text)
        except ValidationError as error:
            raise MonitoringError(f"a performance reference cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class EvaluatedRows:
    """Rows that a model was not trained on, with its answers.

    Attributes:
        answers: Answers and truth.
        features: The raw features.
        fields: Their kinds.
        times: Time of each row; None: the rows are in no order.
    """

    answers: Answers
    features: pl.DataFrame
    fields: Sequence[FeatureField]
    times: pl.Series | None = None

    def at(self, rows: Integers) -> "EvaluatedRows":
        """Some of the rows."""
        times = None if self.times is None else self.times[rows]
        return EvaluatedRows(self.answers.at(rows), self.features[rows], self.fields, times)


@dataclass(frozen=True, slots=True)
class _Estimator:
    """What was learned from some rows; one of both is set."""

    calibration: CalibrationMap | None = None
    loss_model: LossModel | None = None


def build_performance_reference(
    rows: EvaluatedRows, slices: Sequence[str] = (), *, seed: int
) -> PerformanceReference:
    """The reference of a model.

    Of more than 50,000 rows a random part is taken. Too few rows give no estimate and a reason.

    Args:
        rows: What the model answered to rows that it was not trained on.
        slices: Columns of the features whose losses are kept by value, beside all features.
        seed: Of all that is random.
    """
    rng = np.random.default_rng(seed)
    if rows.answers.n_rows > _MOST_ROWS:
        chosen = np.sort(rng.choice(rows.answers.n_rows, _MOST_ROWS, replace=False))
        rows = rows.at(chosen)
    names = dict.fromkeys([*slices, *(field.name for field in rows.fields)])
    kept = [name for name in names if name in rows.features.columns]
    realised = measure_metrics(rows.answers, rng)
    losses = profile_losses(rows.features, rows.answers.losses(), kept)
    try:
        whole = _fit(rows, seed)
        estimated, errors = _estimate_in_parts(rows, rng, seed)
    except ValueError as error:
        return PerformanceReference(
            n_rows=rows.answers.n_rows,
            realised=realised,
            estimated={},
            losses=losses,
            reason=f"performance cannot be estimated without truth: {error}",
        )
    return PerformanceReference(
        n_rows=rows.answers.n_rows,
        realised=realised,
        estimated=estimated,
        calibration=whole.calibration,
        loss_model=whole.loss_model,
        errors=errors,
        losses=losses,
    )


def _fit(rows: EvaluatedRows, seed: int) -> _Estimator:
    answers = rows.answers
    if answers.subject.task == "regression":
        model = fit_losses(rows.features, rows.fields, answers.predicted, answers.truth, seed=seed)
        return _Estimator(loss_model=model)
    return _Estimator(calibration=fit_calibration(answers.truth, answers.predicted))


def _expect(estimator: _Estimator, rows: EvaluatedRows) -> NDArray[np.float64]:
    """Calibrated probabilities, or expected losses [rows, 2]."""
    if estimator.calibration is not None:
        return estimator.calibration.apply(rows.answers.predicted)
    if estimator.loss_model is None:
        raise ValueError("an estimator holds a calibration or a loss model")
    return np.stack(estimator.loss_model.losses(rows.features, rows.answers.predicted), axis=1)


def _estimate(
    expected: NDArray[np.float64], answers: Answers, rng: np.random.Generator
) -> dict[Metric, Estimate]:
    if answers.subject.task == "regression":
        return estimate_numbers(expected[:, 0], expected[:, 1], rng)
    return estimate_classes(expected, answers.predicted, rng)


def _estimate_in_parts(
    rows: EvaluatedRows, rng: np.random.Generator, seed: int
) -> tuple[dict[Metric, Estimate], tuple[EstimateError, ...]]:
    """The estimate of all rows, each by what the other parts taught, and the errors by part."""
    n_rows = rows.answers.n_rows
    order = rng.permutation(n_rows) if rows.times is None else rows.times.arg_sort().to_numpy()
    parts = np.array_split(order.astype(np.int64), N_PARTS)
    expected: NDArray[np.float64] | None = None
    errors: list[EstimateError] = []
    for number, part in enumerate(parts):
        others = np.concatenate([p for k, p in enumerate(parts) if k != number])
        inside = rows.at(part)
        found = _expect(_fit(rows.at(others), seed), inside)
        expected = np.zeros((n_rows, found.shape[1])) if expected is None else expected
        expected[part] = found
        estimated = _estimate(found, inside.answers, rng)
        realised = measure_metrics(inside.answers, rng)
        pairs = ((m, estimated[m], realised[m]) for m in estimated)
        errors += [e for m, a, b in pairs if (e := error_of(m, a, b)) is not None]
    if expected is None:
        raise ValueError("there are no rows")
    return _estimate(expected, rows.answers, rng), tuple(errors)

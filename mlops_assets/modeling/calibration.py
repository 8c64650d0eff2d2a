"""Whether predictions mean what they say."""

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mlops_assets.modeling.metrics import Floats
from mlops_assets.spec.data import Task

N_BINS = 10
_FEWEST_ROWS = 2 * N_BINS  # with fewer, a bin is a single row


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CalibrationBin(_Record):
    """Rows with similar predictions: what was predicted and what came."""

    n_rows: int
    mean_predicted: float
    mean_observed: float


class Calibration(_Record):
    """Whether predictions mean what they say.

    Attributes:
        error: Classes: expected calibration error over bins of equal count (multiclass: of the
            probability of the predicted class). Regression: absolute mean error in standard
            deviations of the target. None when unknown.
        by_chance: The error that perfectly calibrated predictions would show on average on as many
            rows; small samples are never calibrated by the numbers.
        bins: Ten bins of equal count, ascending by prediction; none of too few rows, or where an
            answer is no number.
        reason: Why the error is unknown; empty when it is known.
    """

    error: float | None
    by_chance: float | None
    bins: list[CalibrationBin]
    reason: str = ""


def assess_calibration(truth: NDArray[np.generic], answers: Floats, task: Task) -> Calibration:
    """Compare what was predicted with what came, in ten bins of as many rows each.

    Args:
        truth: Class of each row as position of its column, or its number.
        answers: Probabilities [rows, classes], or predicted numbers [rows].
        task: Which of both.

    Source of the expected calibration error: Naeini et al. (2015), AAAI 29:2901, with bins of equal
    count. By chance, a bin's mean differs from its expectation by the mean of a half-normal.
    """
    if len(answers) < _FEWEST_ROWS:
        return _unknown(f"unknown on {len(answers):,} rows, at least {_FEWEST_ROWS} are needed")
    is_finite = np.isfinite(answers.reshape(len(answers), -1)).all(axis=1)
    if not is_finite.all():
        n_others = len(answers) - int(is_finite.sum())
        return _unknown(f"unknown, since {n_others:,} of {len(answers):,} answers are no number")
    if task == "regression":
        return _of_numbers(truth.astype(np.float64), answers)
    if task == "binary":
        predicted, observed = answers[:, 1], (truth == 1).astype(np.float64)
    else:
        chosen = answers.argmax(axis=1)
        predicted, observed = answers.max(axis=1), (chosen == truth).astype(np.float64)
    return _of_probabilities(observed, predicted)


def _unknown(reason: str) -> Calibration:
    return Calibration(error=None, by_chance=None, bins=[], reason=reason)


def _of_probabilities(observed: Floats, predicted: Floats) -> Calibration:
    error = by_chance = 0.0
    for rows in _equal_bins(predicted):
        share = rows.size / predicted.size
        error += share * abs(predicted[rows].mean() - observed[rows].mean())
        variance = (predicted[rows] * (1 - predicted[rows])).sum() / rows.size**2
        by_chance += share * _mean_of_half_normal(variance)
    return Calibration(error=error, by_chance=by_chance, bins=_describe(observed, predicted))


def _of_numbers(truth: Floats, predicted: Floats) -> Calibration:
    bins = _describe(truth, predicted)
    spread = float(truth.std())
    if np.ptp(truth) == 0:  # the deviation of 0.1, thirty times, is not 0
        reason = f"unknown, since the target is {truth[0]} in all {truth.size:,} rows"
        return Calibration(error=None, by_chance=None, bins=bins, reason=reason)
    errors = predicted - truth
    by_chance = _mean_of_half_normal(errors.var() / errors.size) / spread
    return Calibration(error=abs(errors.mean()) / spread, by_chance=by_chance, bins=bins)


def _mean_of_half_normal(variance: float) -> float:
    return math.sqrt(2 * variance / math.pi)


def _describe(observed: Floats, predicted: Floats) -> list[CalibrationBin]:
    return [
        CalibrationBin(
            n_rows=rows.size,
            mean_predicted=float(predicted[rows].mean()),
            mean_observed=float(observed[rows].mean()),
        )
        for rows in _equal_bins(predicted)
    ]


def _equal_bins(predicted: Floats) -> list[NDArray[np.int64]]:
    """Rows by ascending prediction, in ten parts whose sizes differ by one at most."""
    return np.array_split(np.argsort(predicted, kind="stable"), N_BINS)

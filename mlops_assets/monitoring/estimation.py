"""Performance of a window before its truth is known, and whether it may be believed.

Here: `estimate_window` for either method, and the signal that follows from it.
Not here: how classes (`cbpe.py`) and numbers (`dle.py`) are estimated, and trust (`trust.py`).
"""

from typing import Literal

import numpy as np
import polars as pl

from mlops_assets.modeling.evaluation import Estimate
from mlops_assets.monitoring.answers import Answers
from mlops_assets.monitoring.cbpe import estimate_classes
from mlops_assets.monitoring.change import Change, compare, margin_of
from mlops_assets.monitoring.dle import estimate_numbers
from mlops_assets.monitoring.performance_reference import PerformanceReference
from mlops_assets.monitoring.record import Record
from mlops_assets.monitoring.trust import Trust
from mlops_assets.monitoring.verdict import PerformanceSignal
from mlops_assets.spec.model import Metric
from mlops_assets.spec.monitoring import PerformanceSpec


class EstimatedPerformance(Record):
    """What performance will turn out to be, if the estimate is right.

    Attributes:
        method: How it is estimated: cbpe for classes, dle for numbers; none: not at all.
        n_rows: Rows that it rests on.
        metrics: Each metric that can be estimated; others say why not.
        reason: Why there is none; empty when there is.
    """

    method: Literal["cbpe", "dle", "none"]
    n_rows: int
    metrics: dict[Metric, Estimate] = {}
    reason: str = ""


def estimate_window(
    reference: PerformanceReference,
    answers: Answers,
    features: pl.DataFrame,
    rng: np.random.Generator,
) -> EstimatedPerformance:
    """What performance in a window will turn out to be.

    Args:
        reference: Of the version that answered.
        answers: What it answered; truth is not looked at.
        features: The raw features of the same rows.
        rng: Of the redraws.
    """
    n_rows = answers.n_rows
    if n_rows == 0:
        return EstimatedPerformance(method="none", n_rows=0, reason="no rows")
    if reference.calibration is not None:
        calibrated = reference.calibration.apply(answers.predicted)
        metrics = estimate_classes(calibrated, answers.predicted, rng)
        return EstimatedPerformance(method="cbpe", n_rows=n_rows, metrics=metrics)
    if reference.loss_model is not None:
        absolute, squared = reference.loss_model.losses(features, answers.predicted)
        metrics = estimate_numbers(absolute, squared, rng)
        return EstimatedPerformance(method="dle", n_rows=n_rows, metrics=metrics)
    return EstimatedPerformance(method="none", n_rows=n_rows, reason=reference.reason)


def tolerance_of(
    reference: PerformanceReference, metric: Metric, settings: PerformanceSpec
) -> float:
    """How far an estimate may be off: the margin by which performance may be worse."""
    return margin_of(metric, reference.realised[metric], settings.margin)


def estimated_change(
    reference: PerformanceReference,
    estimated: EstimatedPerformance,
    trust: Trust,
    metric: Metric,
    settings: PerformanceSpec,
) -> Change:
    """How a window's estimate compares with the estimate at the evaluation.

    Estimate is compared with estimate, so that what is wrong with the method on both sides cancels.
    One that is not trusted concludes nothing.
    """
    nothing = Estimate(value=None, low=None, high=None, reason=estimated.reason)
    before = reference.estimated.get(metric, nothing)
    now = estimated.metrics.get(metric, nothing)
    margin = tolerance_of(reference, metric, settings)
    change = compare(metric, before, now, margin)
    if change.state == "unknown" or trust.state == "trusted":
        return change
    reason = f"the estimate is {trust.state} ({trust.reason}); it says: {change.reason}"
    return change.model_copy(update={"state": "unknown", "reason": reason})


def estimated_signal(change: Change) -> PerformanceSignal:
    """What a verdict is told of it."""
    return PerformanceSignal(state=change.state, reason=f"by the estimate {change.reason}")

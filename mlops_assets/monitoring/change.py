"""Whether performance is worse than at the evaluation: two estimates with intervals, and a margin.

Here: `Change` and `compare`; margins by metric.
Not here: how either number is measured (`realised.py`, `estimation.py`).
"""

import math

from mlops_assets.modeling.evaluation import Estimate
from mlops_assets.modeling.metrics import direction
from mlops_assets.monitoring.record import Record
from mlops_assets.monitoring.verdict import Performance
from mlops_assets.spec.model import Metric

_MARGIN, _RELATIVE_MARGIN = 0.05, 0.1
_RELATIVE: tuple[Metric, ...] = (
    "log_loss",
    "brier_score",
    "mean_absolute_error",
    "root_mean_squared_error",
)


class Change(Record):
    """How performance changed since the evaluation.

    Attributes:
        metric: What is compared.
        state: worse: the interval of the drop lies above 0, and the drop above the margin. held:
            the whole interval lies below the margin. unknown: neither, or a number is unknown.
        before: At the evaluation.
        now: In the window.
        drop: How much worse, in the metric's unit; below 0: better.
        low: Lower end of its interval.
        high: Upper end.
        margin: How much worse is allowed, in the metric's unit.
        reason: In words.
    """

    metric: Metric
    state: Performance
    before: Estimate
    now: Estimate
    drop: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float
    reason: str


def margin_of(metric: Metric, before: Estimate, margin: float | None) -> float:
    """How much worse is allowed, in the metric's unit.

    Args:
        metric: Which.
        before: At the evaluation.
        margin: As the document says; None: 0.05, or 0.1 of the value for losses and errors.
    """
    if metric in _RELATIVE and before.value is not None:
        return (_RELATIVE_MARGIN if margin is None else margin) * abs(before.value)
    return _MARGIN if margin is None else margin


def compare(metric: Metric, before: Estimate, now: Estimate, margin: float) -> Change:
    """Whether performance is worse than before, has held, or whether nobody can say.

    The interval of the difference is made of both intervals, which rest on different rows.

    Source: Zou and Donner (2008), Statistics in Medicine 27:1693 (MOVER).

    >>> then = Estimate(value=0.80, low=0.79, high=0.81)
    >>> compare("roc_auc", then, Estimate(value=0.70, low=0.66, high=0.74), 0.05).state
    'worse'
    >>> compare("roc_auc", then, Estimate(value=0.80, low=0.74, high=0.86), 0.05).state
    'unknown'
    """
    difference = _difference(metric, before, now)
    if difference is None:
        unknown = _unknown(before, "at the evaluation") or _unknown(now, "in the window")
        reason = f"{metric} is unknown {unknown}"
        return Change(
            metric=metric, state="unknown", before=before, now=now, margin=margin, reason=reason
        )
    drop, low, high = difference
    state: Performance = "unknown"
    if low > 0 and drop > margin:
        state = "worse"
    elif high <= margin:
        state = "held"
    told = (
        f"{metric} {now.value:.3g} against {before.value:.3g} at the evaluation, "
        f"{_words(drop)} ({low:+.3g} to {high:+.3g}, margin {margin:.3g})"
    )
    if state == "unknown":
        told += ", which proves neither"
    return Change(
        metric=metric,
        state=state,
        before=before,
        now=now,
        drop=drop,
        low=low,
        high=high,
        margin=margin,
        reason=told,
    )


def _difference(
    metric: Metric, before: Estimate, now: Estimate
) -> tuple[float, float, float] | None:
    """The drop with its interval: better minus worse side, as the metric's direction has it."""
    first, second = (before, now) if direction(metric) > 0 else (now, before)
    a, b = _bounds(first), _bounds(second)
    if a is None or b is None:
        return None
    drop = a[0] - b[0]
    low = drop - math.hypot(a[0] - a[1], b[2] - b[0])
    high = drop + math.hypot(a[2] - a[0], b[0] - b[1])
    return drop, low, high


def _bounds(found: Estimate) -> tuple[float, float, float] | None:
    if found.value is None or found.low is None or found.high is None:
        return None
    return found.value, found.low, found.high


def _unknown(found: Estimate, where: str) -> str:
    if _bounds(found) is not None:
        return ""
    return f"{where}: {found.reason}" if found.reason else where


def _words(drop: float) -> str:
    if drop == 0:
        return "the same"
    return f"{abs(drop):.3g} {'worse' if drop > 0 else 'better'}"

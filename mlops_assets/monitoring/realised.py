"""Performance of a window as truth tells it, with how much truth there is and how old it is.

Here: `Coverage`, `RealisedPerformance` and `measure_realised`, pure functions of logged rows.
Not here: estimates without truth (`estimation.py`), and the verdict (`verdict.py`).

Truth that comes early is not like truth that comes late: who pays at once tells nothing about who
pays late. So a window is compared with the evaluation, whose truth is complete, only once enough of
its own has come (`monitoring.performance.minimum_truth_ratio`); until then its numbers are shown
and conclude nothing.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from mlops_assets.modeling.bootstrap import Resampled, StatisticOf, resample
from mlops_assets.modeling.evaluation import Estimate
from mlops_assets.modeling.metrics import class_statistic, metrics_of, number_statistic
from mlops_assets.monitoring.answers import Answers, Subject, is_readable, read_answers, unusable
from mlops_assets.monitoring.change import Change, compare, margin_of
from mlops_assets.monitoring.record import Record
from mlops_assets.monitoring.verdict import PerformanceSignal, SliceFinding
from mlops_assets.spec.data import Task
from mlops_assets.spec.model import Metric
from mlops_assets.spec.monitoring import PerformanceSpec

N_DRAWS = 200
"""Redraws behind each interval."""


class Coverage(Record):
    """How much truth a window has.

    Attributes:
        n_rows: Rows that were answered.
        n_with_truth: Rows whose truth counts.
        n_contradicted: Rows that were given different truths; none of them counts.
        n_unreadable: Other rows whose truth is no class or no number.
        n_early: Rows whose truth came before their prediction, by the clocks; they count.
        n_unusable: Rows whose answer is no number; they count in nothing else.
        age: Time since the window ended; 0 while it lasts.
        median_lag: From prediction to truth; None without truth.
        lag_p90: What nine in ten truths stay below.
    """

    n_rows: int
    n_with_truth: int
    n_contradicted: int = 0
    n_unreadable: int = 0
    n_early: int = 0
    n_unusable: int = 0
    age: timedelta = timedelta(0)
    median_lag: timedelta | None = None
    lag_p90: timedelta | None = None

    @property
    def ratio(self) -> float | None:
        """Share of rows with truth; None without rows."""
        return self.n_with_truth / self.n_rows if self.n_rows else None


class RealisedPerformance(Record):
    """What truth says of a window.

    Attributes:
        coverage: How much truth there is.
        metrics: Each metric of the task, with its interval; on the rows with truth.
        comparable: Whether there is enough truth to compare with another window.
        reason: Why not; empty when it is.
    """

    coverage: Coverage
    metrics: dict[Metric, Estimate]
    comparable: bool
    reason: str = ""


def measure_coverage(
    rows: pl.DataFrame,
    subject: Subject,
    *,
    end: datetime,
    now: datetime,
    clock_tolerance: timedelta = timedelta(0),
) -> Coverage:
    """How much truth the rows of a window have.

    Args:
        rows: Logged rows: `event_time`, `truth`, `truth_received_at`, `contradicted` and what was
            answered.
        subject: What the model answers.
        end: End of the window.
        now: Aware.
        clock_tolerance: How far before its prediction a truth may come and not be early.
    """
    useless = unusable(rows, subject)
    rows = rows.filter(~useless)
    has_truth = rows["truth"].is_not_null()
    readable = pl.Series(is_readable(rows["truth"], subject), dtype=pl.Boolean)
    known = rows.filter(readable & ~rows["contradicted"])
    lag = known["truth_received_at"] - known["event_time"]
    return Coverage(
        n_rows=rows.height,
        n_with_truth=known.height,
        n_contradicted=int(rows["contradicted"].sum()),
        n_unreadable=int((has_truth & ~readable & ~rows["contradicted"]).sum()),
        n_early=int((lag < -clock_tolerance).sum()),
        n_unusable=int(useless.sum()),
        age=max(now - end, timedelta(0)),
        median_lag=_as_lag(lag.median()),
        lag_p90=_as_lag(lag.dt.total_microseconds().quantile(0.9)),
    )


def measure_realised(
    rows: pl.DataFrame,
    coverage: Coverage,
    subject: Subject,
    settings: PerformanceSpec,
    rng: np.random.Generator,
) -> RealisedPerformance:
    """The metrics of a window on its rows with truth.

    Args:
        rows: As for `measure_coverage`.
        coverage: What that found.
        subject: What the model answers.
        settings: How much truth a comparison needs.
        rng: Of the redraws.
    """
    answers = read_answers(rows.filter(~unusable(rows, subject)), subject).with_truth()
    metrics = measure_metrics(answers, rng)
    reason = _why_not_comparable(coverage, settings)
    return RealisedPerformance(
        coverage=coverage, metrics=metrics, comparable=not reason, reason=reason
    )


def measure_metrics(
    answers: Answers,
    rng: np.random.Generator,
    *,
    metrics: Sequence[Metric] | None = None,
    n_draws: int = N_DRAWS,
    confidence: float = 0.95,
) -> dict[Metric, Estimate]:
    """Metrics, by default all of the task, on rows whose truth is known, with their percentile
    intervals."""
    task = answers.subject.task
    chosen = metrics_of(task) if metrics is None else metrics
    built: dict[Metric, StatisticOf] = {m: statistic_of(task, m, answers) for m in chosen}
    found = resample(built, answers.n_rows, n_draws, rng)
    return {
        metric: as_estimate(metric, drawn, answers.n_rows, confidence)
        for metric, drawn in found.items()
    }


def statistic_of(task: Task, metric: Metric, answers: Answers) -> StatisticOf:
    """A metric as a function of some of the rows."""
    build = number_statistic if task == "regression" else class_statistic
    return lambda rows: build(metric, answers.truth[rows], answers.predicted[rows])


def as_estimate(metric: Metric, drawn: Resampled, n_rows: int, confidence: float) -> Estimate:
    """A resampled number with its interval, or why one of them is unknown."""
    if not np.isfinite(drawn.value):
        reason = f"{metric} is undefined on {n_rows:,} rows"
        return Estimate(value=None, low=None, high=None, reason=reason)
    interval = drawn.interval(confidence)
    if interval is None:
        reason = f"no interval: {metric} is undefined in too many redraws of {n_rows:,} rows"
        return Estimate(value=drawn.value, low=None, high=None, reason=reason)
    return Estimate(value=drawn.value, low=interval[0], high=interval[1])


def realised_change(
    realised: RealisedPerformance, before: Estimate, metric: Metric, settings: PerformanceSpec
) -> Change:
    """How a window's realised performance compares with that at the evaluation."""
    margin = margin_of(metric, before, settings.margin)
    if realised.comparable:
        return compare(metric, before, realised.metrics[metric], margin)
    return Change(
        metric=metric,
        state="unknown",
        before=before,
        now=realised.metrics[metric],
        margin=margin,
        reason=realised.reason,
    )


def realised_signal(change: Change, slices: tuple[SliceFinding, ...] = ()) -> PerformanceSignal:
    """What a verdict is told of it."""
    return PerformanceSignal(
        state=change.state,
        reason=change.reason,
        slices=slices if change.state == "worse" else (),
    )


def _why_not_comparable(coverage: Coverage, settings: PerformanceSpec) -> str:
    ratio = coverage.ratio
    if ratio is None:
        return "no rows"
    if coverage.n_with_truth == 0:
        return f"no truth yet for {coverage.n_rows:,} rows"
    if ratio < settings.minimum_truth_ratio:
        return (
            f"truth is known of {ratio:.0%} of {coverage.n_rows:,} rows, "
            f"{settings.minimum_truth_ratio:.0%} needed to compare"
        )
    if coverage.n_with_truth < settings.minimum_rows:
        return f"{coverage.n_with_truth:,} rows with truth, {settings.minimum_rows:,} needed"
    return ""


def _as_lag(found: object) -> timedelta | None:
    if isinstance(found, timedelta):
        return found
    return timedelta(microseconds=found) if isinstance(found, int | float) else None

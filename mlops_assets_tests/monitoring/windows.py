"""Judged windows, in few words."""

from datetime import UTC, datetime, timedelta

from mlops_assets.monitoring.verdict import (
    Drift,
    DriftSignal,
    Performance,
    PerformanceSignal,
    Quality,
    QualitySignal,
    Signals,
    WindowFacts,
    WindowVerdict,
    judge_window,
)

START = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)


def signals_of(
    drift: Drift = "none",
    estimated: Performance = "unknown",
    realised: Performance = "unknown",
    quality: Quality = "sound",
) -> Signals:
    """Signals whose reasons are their own names."""
    return Signals(
        quality=QualitySignal(state=quality, reason=f"quality is {quality}"),
        drift=DriftSignal(state=drift, reason=f"drift is {drift}"),
        estimated=PerformanceSignal(state=estimated, reason=f"the estimate is {estimated}"),
        realised=PerformanceSignal(state=realised, reason=f"truth is {realised}"),
    )


def window_of(
    day: int,
    *,
    drift: Drift = "none",
    estimated: Performance = "unknown",
    realised: Performance = "unknown",
    quality: Quality = "sound",
    n_rows: int = 1_000,
    n_with_truth: int = 1_000,
    version: str | None = "1",
) -> WindowVerdict:
    """The verdict on the day so many days after `START`."""
    facts = WindowFacts(
        model="churn",
        model_version=version,
        start=START + day * DAY,
        end=START + (day + 1) * DAY,
        n_rows=n_rows,
        n_with_truth=n_with_truth,
    )
    signals = signals_of(drift, estimated, realised, quality)
    return judge_window(facts, signals, minimum_rows=30)


def worse(day: int) -> WindowVerdict:
    """A day on which truth says that performance fell."""
    return window_of(day, realised="worse")


def held(day: int) -> WindowVerdict:
    """A day on which truth says that performance held."""
    return window_of(day, realised="held")

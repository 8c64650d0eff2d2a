"""What a window of the prediction log holds, in numbers: for the asset of a day, and for people.

Here: counts by version, how much truth is known at which age, and what is odd.
Not here: whether any of it is good or bad (drift and performance).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from mlops_assets.serving.prediction_log.completeness import HalvesSummary, summarize_halves
from mlops_assets.serving.prediction_log.store import PredictionStore

AGES = (
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(days=1),
    timedelta(days=3),
    timedelta(days=7),
    timedelta(days=30),
)
_USUAL_LAG = timedelta(days=31)  # most truth comes within


@dataclass(frozen=True, slots=True)
class AgeCoverage:
    """How much truth had come by the time that predictions were of an age.

    Attributes:
        age: Time since the prediction.
        n_rows: Rows predicted that long ago, or longer: of the others nobody can say.
        n_with_truth: Of these, rows whose truth came by that age and is not contradicted.
    """

    age: timedelta
    n_rows: int
    n_with_truth: int

    @property
    def ratio(self) -> float | None:
        """Share with truth; None when no prediction is that old."""
        return self.n_with_truth / self.n_rows if self.n_rows else None


@dataclass(frozen=True, slots=True)
class VersionCount:
    """What one revision answered, or saw as a shadow.

    Attributes:
        revision: Its name.
        model_version: Version in the registry; None when it is unknown.
        shadow: Whether its answers went to nobody.
        n_requests: Requests, each id once.
        n_rows: Rows of these.
        n_with_truth: Rows whose truth is known and not contradicted; 0 for a shadow, whose truth
            counts for the revision that answered.
    """

    revision: str
    model_version: str | None
    shadow: bool
    n_requests: int
    n_rows: int
    n_with_truth: int


@dataclass(frozen=True, slots=True)
class WindowSummary:
    """A window of one service's log. Shadows count in `versions` alone.

    Attributes:
        versions: By revision.
        coverage: Truth by age of the prediction.
        n_contradicted: Rows that were given different truths.
        n_unknown_truths: Truths that came in the window for ids that nobody predicted.
        truth_lag: Median time from a prediction to its truth; None without any.
        truth_lag_p90: What nine in ten truths stay below.
        latency_ms: Median time that an answer took, of however many rows; None without any.
        latency_p99_ms: What 99 in 100 answers stay below.
        n_failed: Requests that a revision failed.
        newest_at: Time of the newest prediction.
        halves: What KServe's agent sent.
    """

    versions: Sequence[VersionCount]
    coverage: Sequence[AgeCoverage]
    n_contradicted: int
    n_unknown_truths: int
    truth_lag: timedelta | None
    truth_lag_p90: timedelta | None
    latency_ms: float | None
    latency_p99_ms: float | None
    n_failed: int
    newest_at: datetime | None
    halves: HalvesSummary

    @property
    def n_requests(self) -> int:
        """Requests that were answered."""
        return sum(found.n_requests for found in self.versions if not found.shadow)

    @property
    def n_rows(self) -> int:
        """Rows of these."""
        return sum(found.n_rows for found in self.versions if not found.shadow)

    @property
    def n_with_truth(self) -> int:
        """Rows whose truth is known and not contradicted."""
        return sum(found.n_with_truth for found in self.versions)


def summarize_window(
    store: PredictionStore, service: str, start: datetime, end: datetime, now: datetime
) -> WindowSummary:
    """The numbers of a window `[start, end)`, with the truth that came until now.

    Args:
        store: Where the tables are.
        service: Whose log.
        start: Aware.
        end: Aware; may lie ahead.
        now: The age of a prediction is counted to here.
    """
    judged = (
        store.scan_judged(service, start, end)
        .select(
            "prediction_id", "event_time", "revision", "model_version", "latency_ms",
            "contradicted",
            lag=pl.col("truth_received_at") - pl.col("event_time"),
            known=pl.col("truth").is_not_null() & ~pl.col("contradicted"),
        )
        .collect()
    )  # fmt: skip
    shadows = (
        store.scan_predictions(service, start, end, shadow=True)
        .select("prediction_id", "revision", "model_version", known=pl.lit(False))
        .collect()
    )
    known = judged.filter("known")
    latencies = judged.unique("prediction_id", keep="any")["latency_ms"]
    newest = judged["event_time"].max()
    return WindowSummary(
        versions=[*_count_versions(judged, shadow=False), *_count_versions(shadows, shadow=True)],
        coverage=[_coverage(judged, age, now) for age in AGES],
        n_contradicted=int(judged["contradicted"].sum()),
        n_unknown_truths=_count_unknown(store, service, start, end),
        truth_lag=_as_lag(known["lag"].median()),
        truth_lag_p90=_as_lag(known["lag"].dt.total_microseconds().quantile(0.9)),
        latency_ms=_as_number(latencies.median()),
        latency_p99_ms=_as_number(latencies.quantile(0.99)),
        n_failed=store.scan_failures(service, start, end).select(pl.len()).collect().item(),
        newest_at=newest if isinstance(newest, datetime) else None,
        halves=summarize_halves(store, service, start, end),
    )


def _count_versions(frame: pl.DataFrame, *, shadow: bool) -> list[VersionCount]:
    counts = (
        frame.group_by("revision", "model_version")
        .agg(
            n_requests=pl.col("prediction_id").n_unique(),
            n_rows=pl.len(),
            n_with_truth=pl.col("known").sum(),
        )
        .sort("n_rows", "revision", descending=[True, False])
    )
    return [VersionCount(shadow=shadow, **found) for found in counts.iter_rows(named=True)]


def _coverage(judged: pl.DataFrame, age: timedelta, now: datetime) -> AgeCoverage:
    old = judged.filter(pl.col("event_time") <= now.astimezone(UTC) - age)
    return AgeCoverage(age, old.height, old.filter(pl.col("known") & (pl.col("lag") <= age)).height)


def _count_unknown(store: PredictionStore, service: str, start: datetime, end: datetime) -> int:
    """Truths that came in the window for ids that nobody predicted, at whatever time.

    Young predictions are looked through first. The old ones, most of a log, are read only for ids
    that are not among those.
    """
    came = pl.col("received_at").is_between(
        start.astimezone(UTC), end.astimezone(UTC), closed="left"
    )
    key = ["prediction_id", "row"]
    unknown = store.scan_truth(service).filter(came).select(key).unique().collect()
    young = start - _USUAL_LAG
    for since, until in ((young, None), (None, young)):
        if unknown.height:
            predicted = store.scan_ids(service, since, until)
            unknown = unknown.lazy().join(predicted, on=key, how="anti").collect()
    return unknown.height


def _as_lag(found: object) -> timedelta | None:
    if isinstance(found, timedelta):
        return found
    return timedelta(microseconds=found) if isinstance(found, int | float) else None


def _as_number(found: object) -> float | None:
    return float(found) if isinstance(found, int | float) else None

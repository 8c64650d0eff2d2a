"""What of a window came whole: requests with their responses, predictions with their truth."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from mlops_assets.serving.prediction_log.store import DAYS_APART, PredictionStore, inside
from mlops_assets.serving.prediction_log.tables import HALVES


@dataclass(frozen=True, slots=True)
class TruthSummary:
    """How well the truth of a window is known.

    Attributes:
        n_predictions: Rows predicted, each id once.
        n_with_truth: Of these, rows whose truth is known and not contradicted.
        n_contradicted: Rows that were given two different truths; the first one counts.
        n_unknown_ids: Truths of ids that were never predicted here.
        median_lag: Median time from the prediction to the arrival of its truth; None without any.
    """

    n_predictions: int
    n_with_truth: int
    n_contradicted: int
    n_unknown_ids: int
    median_lag: timedelta | None

    @property
    def coverage_ratio(self) -> float | None:
        """Share of predictions whose truth is known; None when nothing was predicted."""
        return self.n_with_truth / self.n_predictions if self.n_predictions else None


@dataclass(frozen=True, slots=True)
class HalvesSummary:
    """Requests and responses that came apart, as KServe's agent sends them.

    Attributes:
        n_requests: Requests, each id once.
        n_responses: Responses, each id once.
        n_lone_requests: Requests whose response did not come: refused by the model, or lost.
        n_lone_responses: Responses whose request did not come.
        n_unreadable: Whole pairs that are not in the log, since a body is no V1 or V2 JSON.
    """

    n_requests: int
    n_responses: int
    n_lone_requests: int
    n_lone_responses: int
    n_unreadable: int


def summarize_halves(
    store: PredictionStore, service: str, start: datetime | None = None, end: datetime | None = None
) -> HalvesSummary:
    """What KServe's agent sent in a window, and what of it is no whole prediction.

    The other half of one may lie outside of the window, up to two days before or after.
    """
    if store.open_table(service, HALVES) is None:
        return HalvesSummary(0, 0, 0, 0, 0)
    near = timedelta(days=DAYS_APART)
    halves = store.scan_halves(
        service,
        None if start is None else start.astimezone(UTC).date() - near,
        None if end is None else end.astimezone(UTC).date() + near,
    )
    key = ["event_id", "component"]
    requests, responses = (halves.filter(kind=kind) for kind in ("request", "response"))
    asked, said = (inside(side, start, end).select(key) for side in (requests, responses))
    logged = store.scan_predictions(service, start, end).select(event_id="prediction_id")
    lone = asked.join(responses, on=key, how="anti")
    frames = (
        asked,
        said,
        lone,
        said.join(requests, on=key, how="anti"),
        asked.join(lone, on=key, how="anti").join(logged, on="event_id", how="anti"),
    )
    counts = pl.collect_all([frame.select(pl.len()) for frame in frames])
    return HalvesSummary(*(count.item() for count in counts))


def summarize_truth(
    store: PredictionStore, service: str, start: datetime | None = None, end: datetime | None = None
) -> TruthSummary:
    """Coverage, contradictions and lag of a window, and ids that nobody predicted."""
    judged = store.scan_judged(service, start, end).select(
        "event_time", "truth", "truth_received_at", "contradicted"
    )
    known = judged.filter(pl.col("truth").is_not_null())
    found = known.select(
        n=pl.len(),
        contradicted=pl.col("contradicted").sum(),
        lag=(pl.col("truth_received_at") - pl.col("event_time")).median(),
    ).collect()
    unknown = store.scan_truth(service).join(
        store.scan_predictions(service).select("prediction_id", "row"),
        on=["prediction_id", "row"],
        how="anti",
    )
    return TruthSummary(
        n_predictions=judged.select(pl.len()).collect().item(),
        n_with_truth=found["n"][0] - (found["contradicted"][0] or 0),
        n_contradicted=found["contradicted"][0] or 0,
        n_unknown_ids=unknown.select(pl.len()).collect().item(),
        median_lag=found["lag"][0],
    )

"""How many of the requests and responses that came apart are whole predictions by now."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from mlops_assets.serving.prediction_log.store import DAYS_APART, PredictionStore, inside
from mlops_assets.serving.prediction_log.tables import HALVES


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

"""What a day's window of the log tells in numbers."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.serving.prediction_log.completeness import HalvesSummary, summarize_halves
from mlops_assets.serving.prediction_log.frames import build_frame
from mlops_assets.serving.prediction_log.store import PredictionStore
from mlops_assets.serving.prediction_log.summary import summarize_window

MIDNIGHT = datetime(2026, 3, 5, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> PredictionStore:
    return PredictionStore(str(tmp_path))


def prediction(name: str, n_rows: int, latency_ms: float) -> list[dict[str, object]]:
    event_us = int((MIDNIGHT + timedelta(hours=1)).timestamp() * 1e6)
    told = {"revision": "v1", "model_version": "1", "protocol": "v1", "prediction": "1"}
    empty = {"probability": None, "probabilities": None, "shadow": False, "unit": ""}
    rest = {"prediction_id": name, "event_us": event_us, "latency_ms": latency_ms}
    return [{"row": row, **rest, **told, **empty} for row in range(n_rows)]


def half(name: str, kind: str, at: datetime) -> dict[str, object]:
    told = {"namespace": "default", "component": "predictor", "revision": "", "body": b"{}"}
    when = {"event_time": at, "received_at": at, "day": at.date()}
    return {
        "event_id": name, "kind": kind, "model_version": None, "content_type": "", **told, **when
    }  # fmt: skip


def test_latency_is_that_of_answers_however_many_rows_they_have(store: PredictionStore) -> None:
    rows = [row for n in range(3) for row in prediction(f"single{n}", 1, 2.0)]
    rows += prediction("batch", 1_000, 90.0)
    store.append_predictions("toy", build_frame(rows, []), [], source="s", offset=1)
    summary = summarize_window(store, "toy", MIDNIGHT, MIDNIGHT + DAY, MIDNIGHT + DAY)
    assert (summary.n_requests, summary.n_rows) == (4, 1_003)
    assert (summary.latency_ms, summary.latency_p99_ms) == (2.0, 90.0)
    assert summary.halves == HalvesSummary(0, 0, 0, 0, 0)


def test_halves_on_both_sides_of_midnight_are_not_alone(store: PredictionStore) -> None:
    before, after = MIDNIGHT - timedelta(milliseconds=1), MIDNIGHT + timedelta(milliseconds=1)
    rows = [
        half("pair", "request", before), half("pair", "response", after),
        half("asked", "request", before), half("said", "response", after),
    ]  # fmt: skip
    store.append_halves("toy", rows, source="s", offset=1)
    of_day = [
        summarize_halves(store, "toy", start, start + DAY) for start in (MIDNIGHT - DAY, MIDNIGHT)
    ]
    # The bodies of the pair are no V1 or V2 JSON, which counts on the day of the request.
    assert of_day == [HalvesSummary(2, 0, 1, 0, 1), HalvesSummary(0, 2, 0, 1, 0)]
    assert summarize_halves(store, "toy") == HalvesSummary(2, 2, 1, 1, 1)


def test_pairs_are_looked_for_near_their_day(store: PredictionStore) -> None:
    for days in (0, 2, 3):
        at = MIDNIGHT + days * DAY
        store.append_halves("toy", [half("a", "request", at)], source=f"s{days}", offset=1)
        store.append_halves("toy", [half(f"b{days}", "response", at)], source="r", offset=days + 1)
    assert store.find_pairs("toy", ["a"], MIDNIGHT.date()) == []
    store.append_halves("toy", [half("a", "response", MIDNIGHT + DAY)], source="t", offset=1)
    ((request, response),) = store.find_pairs("toy", ["a"], MIDNIGHT.date())
    assert (request["event_time"], response["event_time"]) == (MIDNIGHT, MIDNIGHT + DAY)


def tell(store: PredictionStore, *names: str, offset: int = 1) -> None:
    at = MIDNIGHT + timedelta(hours=2)
    told = {"row": 0, "value": "1", "time": at, "received_at": at, "day": at.date()}
    rows = [told | {"prediction_id": name} for name in names]
    store.append_truth("toy", rows, source="t", offset=offset)


def predict(store: PredictionStore, name: str, days: int, *, shadow: bool = False) -> None:
    rows = prediction(name, 1, 1.0)
    later_us = days * 86_400_000_000
    rows = [row | {"event_us": int(str(row["event_us"])) + later_us} for row in rows]
    rows = [row | {"shadow": shadow} for row in rows]
    store.append_predictions("toy", build_frame(rows, []), [], source=f"{name}{shadow}", offset=1)


def n_unknown(store: PredictionStore) -> int:
    return summarize_window(store, "toy", MIDNIGHT, MIDNIGHT + DAY, MIDNIGHT + DAY).n_unknown_truths


def test_a_truth_is_known_however_old_or_young_its_prediction(store: PredictionStore) -> None:
    for name, days in (("old", -400), ("edge", -31), ("now", 0), ("ahead", 1)):
        predict(store, name, days)
    predict(store, "copy", 0, shadow=True)
    predict(store, "old_copy", -400, shadow=True)
    tell(store, "old", "edge", "now", "ahead")
    assert n_unknown(store) == 0
    tell(store, "copy", "old_copy", "nobody", "nobody", "now", offset=2)
    assert n_unknown(store) == 3


def test_old_days_are_not_read_when_young_ones_hold_all(
    store: PredictionStore, tmp_path: Path
) -> None:
    predict(store, "old", -400)
    predict(store, "now", 0)
    tell(store, "now")
    old = (MIDNIGHT - 400 * DAY).date()
    for path in tmp_path.glob(f"toy/prediction_log/day={old}/*.parquet"):
        path.unlink()
    assert n_unknown(store) == 0

"""A glance at real tables, without opening them."""

from datetime import UTC, date, datetime
from pathlib import Path

from mlops_assets.serving.prediction_log.compaction import compact_table
from mlops_assets.serving.prediction_log.frames import build_frame
from mlops_assets.serving.prediction_log.glance import glance, rows_since
from mlops_assets.serving.prediction_log.store import PredictionStore
from mlops_assets.serving.prediction_log.tables import PREDICTIONS, TRUTH

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


def append(store: PredictionStore, n_rows: int, offset: int, at: datetime = AT) -> None:
    row = {
        "row": 0, "event_us": round(at.timestamp() * 1e6), "revision": "v1", "model_version": "1",
        "protocol": "v1", "latency_ms": 1.0, "prediction": "1", "probability": 0.5,
        "probabilities": [0.5, 0.5], "shadow": False, "unit": "",
    }  # fmt: skip
    rows = [row | {"prediction_id": f"{offset}-{i}"} for i in range(n_rows)]
    store.append_predictions("churn", build_frame(rows, []), [], source="segment", offset=offset)


def test_rows_are_counted_from_a_version_on_and_no_further_than_asked(tmp_path: Path) -> None:
    store = PredictionStore(str(tmp_path))
    uri = store.uri("churn", PREDICTIONS)
    assert rows_since(uri, -1, 10) == 0
    for offset, n_rows in enumerate((3, 4, 5), start=1):
        append(store, n_rows, offset)
    assert store.table_version("churn", PREDICTIONS) == 2
    assert [rows_since(uri, version, 100) for version in (-1, 0, 1, 2)] == [12, 9, 5, 0]
    assert rows_since(uri, -1, 4) == 7  # the commit that made it enough is the last one read


def test_rows_that_were_moved_into_fewer_files_are_not_new(tmp_path: Path) -> None:
    store = PredictionStore(str(tmp_path))
    for offset in range(1, 11):
        append(store, 1, offset)
    assert compact_table(store, "churn", PREDICTIONS, date(2026, 3, 3)) == 1
    append(store, 2, 11)
    assert rows_since(store.uri("churn", PREDICTIONS), 7, 100) == 4


def test_a_history_that_was_cut_counts_as_enough(tmp_path: Path) -> None:
    store = PredictionStore(str(tmp_path))
    for offset in (1, 2, 3):
        append(store, 1, offset)
    uri = store.uri("churn", PREDICTIONS)
    Path(uri, "_delta_log", f"{1:020d}.json").unlink()
    assert rows_since(uri, 0, 50) == 50


def test_days_and_the_coming_of_truth_are_seen(tmp_path: Path) -> None:
    store = PredictionStore(str(tmp_path))
    places = store.uri("churn", PREDICTIONS), store.uri("churn", TRUTH)
    assert (glance(*places).days, glance(*places).truth_changed_at) == (frozenset(), None)
    append(store, 1, 1)
    append(store, 1, 2, datetime(2026, 3, 4, tzinfo=UTC))
    truth = {"prediction_id": "1-0", "row": 0, "value": "1", "time": AT, "received_at": AT}
    store.append_truth("churn", [truth | {"day": AT.date()}], source="truths", offset=1)
    seen = glance(*places)
    assert seen.days == {date(2026, 3, 2), date(2026, 3, 4)}
    assert seen.truth_changed_at is not None


def test_nothing_is_known_of_tables_elsewhere() -> None:
    assert not glance("s3://bucket/a", "s3://bucket/b").is_known
    assert rows_since("s3://bucket/a", 3, 20) == 20

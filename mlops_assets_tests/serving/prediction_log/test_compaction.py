"""A closed day of many files becomes one of few, with the same records, whoever else is at work."""

import multiprocessing
import os
import signal
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.errors import ServingError
from mlops_assets.serving.home import ServingHome
from mlops_assets.serving.prediction_log import sink
from mlops_assets.serving.prediction_log.compaction import (
    CLOSED_AFTER,
    FEW_FILES,
    compact_closed,
    compact_table,
    rewrite_day,
)
from mlops_assets.serving.prediction_log.frames import build_frame
from mlops_assets.serving.prediction_log.store import PredictionStore
from mlops_assets.serving.prediction_log.tables import HALVES, PREDICTIONS, TRUTH
from mlops_assets_tests.object_storage import BUCKET, running_object_storage

DAY, NEXT = date(2026, 3, 2), date(2026, 3, 3)
AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
MANY = FEW_FILES + 1


@pytest.fixture(params=["tables", "with blank"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> PredictionStore:
    return PredictionStore(str(tmp_path / request.param))


def log(
    store: PredictionStore, offset: int, at: datetime = AT, feature: tuple[str, str] | None = None
) -> None:
    row = {
        "prediction_id": f"p{offset}", "row": 0,
        "event_us": int((at + timedelta(seconds=offset)).timestamp() * 1e6),
        "revision": "v1", "model_version": "1", "protocol": "v1", "latency_ms": 1.0,
        "prediction": "1", "probability": None, "probabilities": [0.5, 0.5], "shadow": False,
        "unit": "", **({} if feature is None else {f"feature__{feature[0]}": 1.5}),
    }  # fmt: skip
    features = [] if feature is None else [feature]
    frame = build_frame([row], features)
    store.append_predictions("toy", frame, features, source="s", offset=offset)


def log_many(store: PredictionStore, at: datetime = AT) -> None:
    for offset in range(1, MANY + 1):
        log(store, offset, at)


def ids(store: PredictionStore) -> list[str]:
    """Of every record as it stands in the files, those that are there twice twice."""
    table = store.open_table("toy", PREDICTIONS)
    assert table is not None
    return sorted(pl.DataFrame(table.to_pyarrow_table())["prediction_id"])


def n_files(store: PredictionStore, table: str = PREDICTIONS) -> int:
    found = store.open_table("toy", table)
    assert found is not None
    return len(found.file_uris())


def rewrite(store: PredictionStore) -> bool:
    table = store.open_table("toy", PREDICTIONS)
    assert table is not None
    return rewrite_day(store, "toy", PREDICTIONS, table, DAY)


def test_a_day_becomes_one_file_with_the_same_rows_and_a_second_time_changes_nothing(
    store: PredictionStore,
) -> None:
    log_many(store)
    log(store, MANY + 1, feature=("late_column", "number"))
    log(store, MANY + 2, AT + timedelta(days=1))
    before = store.scan_predictions("toy").collect()
    assert compact_table(store, "toy", PREDICTIONS, NEXT) == 1
    assert n_files(store) == 2
    assert store.scan_predictions("toy").collect().equals(before)
    assert store.committed_offset("toy", PREDICTIONS, "s") == MANY + 2  # nothing comes back
    version = store.table_version("toy", PREDICTIONS)
    assert compact_table(store, "toy", PREDICTIONS, NEXT) == 0
    assert store.table_version("toy", PREDICTIONS) == version


def test_it_takes_what_the_image_of_the_sink_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = (Path(__file__).parents[3] / "k8s" / "images" / "predictor.lock").read_text()
    assert "pyarrow==" not in lock
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    store = PredictionStore(str(tmp_path))
    log_many(store)
    assert compact_table(store, "toy", PREDICTIONS, NEXT) == 1
    assert store.scan_predictions("toy").collect().height == MANY


def test_bodies_of_requests_stay_as_they_came(store: PredictionStore) -> None:
    told: dict[str, object] = dict.fromkeys(("namespace", "component", "revision"), "")
    told |= {"kind": "request", "content_type": ""}
    told |= {"model_version": None, "event_time": AT, "received_at": AT, "day": DAY}
    for n in range(MANY):
        row = told | {"event_id": f"e{n}", "body": bytes([n, 255, 0])}
        store.append_halves("toy", [row], source="h", offset=n + 1)
    before = store.scan_halves("toy").collect().sort("event_id")
    assert compact_table(store, "toy", HALVES, NEXT) == 1
    assert store.scan_halves("toy").collect().sort("event_id").equals(before)


def test_tables_in_object_storage_are_compacted_and_a_lost_race_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with running_object_storage() as storage:
        for name, value in storage.environment.items():
            monkeypatch.setenv(name, value)  # as pods of the sink have them
        store = PredictionStore(f"s3://{BUCKET}/predictions")
        log_many(store)
        before = store.open_table("toy", PREDICTIONS)
        assert before is not None
        rows = store.scan_predictions("toy").collect()
        assert compact_table(store, "toy", PREDICTIONS, NEXT) == 1
        assert n_files(store) == 1
        assert rewrite_day(store, "toy", PREDICTIONS, before, DAY) is False
        assert store.scan_predictions("toy").collect().equals(rows)
        assert compact_table(store, "toy", PREDICTIONS, NEXT) == 0


def test_few_files_are_left_as_they_are(store: PredictionStore) -> None:
    for offset in range(FEW_FILES):
        log(store, offset + 1)
    assert compact_table(store, "toy", PREDICTIONS, NEXT) == 0


def test_a_day_is_closed_some_hours_after_its_end(tmp_path: Path) -> None:
    home, store = ServingHome.under(tmp_path), PredictionStore(str(tmp_path / "tables"))
    (home.predictions / "toy").mkdir(parents=True)  # of the sink's server, which has no manifests
    log_many(store)
    closed = datetime(2026, 3, 3, tzinfo=UTC) + CLOSED_AFTER
    assert compact_closed(home, store, closed - timedelta(microseconds=1)) == 0
    assert compact_closed(home, store, closed) == 1


def test_of_two_who_rewrite_a_day_at_the_same_time_one_does(store: PredictionStore) -> None:
    """deltalake's own compaction lets both, and doubles each record."""
    log_many(store)
    before, second = ids(store), store.open_table("toy", PREDICTIONS)
    assert second is not None
    assert rewrite(store)
    assert not rewrite_day(store, "toy", PREDICTIONS, second, DAY)
    assert ids(store) == before


def test_what_comes_meanwhile_is_neither_lost_nor_doubled(store: PredictionStore) -> None:
    log_many(store)
    table = store.open_table("toy", PREDICTIONS)
    assert table is not None
    log(store, MANY + 1, AT + timedelta(days=1))
    assert rewrite_day(store, "toy", PREDICTIONS, table, DAY)  # another day's batch is no conflict
    table = store.open_table("toy", PREDICTIONS)
    assert table is not None
    log(store, MANY + 2)
    assert not rewrite_day(store, "toy", PREDICTIONS, table, DAY)
    assert rewrite(store)
    assert ids(store) == sorted(f"p{n}" for n in range(1, MANY + 3))


def test_a_day_that_was_forgotten_meanwhile_does_not_come_back(store: PredictionStore) -> None:
    log_many(store)
    table = store.open_table("toy", PREDICTIONS)
    assert table is not None
    assert store.forget_before("toy", PREDICTIONS, NEXT)
    assert not rewrite_day(store, "toy", PREDICTIONS, table, DAY)
    assert ids(store) == []


def test_a_day_of_which_a_file_is_gone_stays_as_it_is(store: PredictionStore) -> None:
    log_many(store)
    version = store.table_version("toy", PREDICTIONS)
    root = Path(store.uri("toy", PREDICTIONS))
    sorted(root.glob("day=*/*.parquet"), key=os.path.getmtime)[-1].unlink()
    with pytest.raises(ServingError, match=r"2026-03-02"):
        compact_table(store, "toy", PREDICTIONS, NEXT)
    assert (store.table_version("toy", PREDICTIONS), n_files(store)) == (version, MANY)


def test_readers_of_an_older_version_go_on_and_files_go_a_day_later(store: PredictionStore) -> None:
    log_many(store)
    reader = store.open_table("toy", PREDICTIONS)
    assert reader is not None
    root = Path(store.uri("toy", PREDICTIONS))
    left_by_a_kill = root / f"day={DAY}" / "part-0-killed.parquet"
    left_by_a_kill.write_bytes(b"half")
    assert compact_table(store, "toy", PREDICTIONS, NEXT) == 1
    assert reader.to_pyarrow_table().num_rows == MANY
    assert left_by_a_kill.exists()
    long_ago = time.time() - 25 * 3600
    os.utime(left_by_a_kill, (long_ago, long_ago))
    for path in root.glob("day=*/*.parquet"):
        os.utime(path, (long_ago, long_ago))  # old is not enough where a reader may be
    compact_table(store, "toy", PREDICTIONS, NEXT)
    assert not left_by_a_kill.exists()
    assert reader.to_pyarrow_table().num_rows == MANY


def test_old_commits_leave_the_log(tmp_path: Path) -> None:
    store = PredictionStore(str(tmp_path))
    log_many(store)
    compact_table(store, "toy", PREDICTIONS, DAY)
    commits = Path(store.uri("toy", PREDICTIONS), "_delta_log")
    table = store.open_table("toy", PREDICTIONS)
    assert table is not None
    table.create_checkpoint()
    long_ago = time.time() - 49 * 3600
    for path in commits.glob("*"):
        os.utime(path, (long_ago, long_ago))
    log(store, MANY + 1)
    table.update_incremental()
    table.create_checkpoint()
    table.cleanup_metadata()
    assert not (commits / f"{0:020d}.json").exists()
    assert len(ids(store)) == MANY + 1


def _rewrite_for_ever(root: str) -> None:
    store = PredictionStore(root)
    while True:
        rewrite(store)


def test_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    store = PredictionStore(str(tmp_path))
    log_many(store)
    before = ids(store)
    context = multiprocessing.get_context("spawn")
    for n in range(3):
        version = store.table_version("toy", PREDICTIONS)
        process = context.Process(target=_rewrite_for_ever, args=(str(tmp_path),))
        process.start()
        while store.table_version("toy", PREDICTIONS) == version:  # until it is at work
            time.sleep(0.01)
        time.sleep(0.003 * n)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert ids(store) == before
    assert rewrite(store)


def test_the_sink_compacts_and_ends_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "IDLE_SECONDS", 0.01)
    monkeypatch.setattr(sink, "PASS_SECONDS", 0.01)
    store = sink.open_store(tmp_path)
    (ServingHome.under(tmp_path).predictions / "toy").mkdir(parents=True)
    log_many(store)
    for offset in range(1, MANY + 1):
        truth = {"prediction_id": f"p{offset}", "row": 0, "value": "1", "time": AT}
        rows = [truth | {"received_at": AT, "day": DAY}]
        store.append_truth("toy", rows, source="t", offset=offset)
    assert sink.run_sink(tmp_path) == 0
    assert (n_files(store), n_files(store, TRUTH)) == (1, 1)

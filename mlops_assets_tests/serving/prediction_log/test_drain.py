"""From segments to tables: once each, whatever happens between."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from mlops_assets.errors import ServingError
from mlops_assets.serving.prediction_log.drain import drain
from mlops_assets.serving.prediction_log.halves import HalfRecord
from mlops_assets.serving.prediction_log.records import (
    FailureRecord,
    Preamble,
    PredictionRecord,
    TruthRecord,
    encode,
)
from mlops_assets.serving.prediction_log.segments import SegmentWriter, list_segments
from mlops_assets.serving.prediction_log.store import PredictionStore
from mlops_assets.serving.prediction_log.summary import WindowSummary, summarize_window
from mlops_assets.serving.prediction_log.tables import FAILURES, HALVES, PREDICTIONS, TRUTH

START = datetime(2013, 1, 31, 23, 59, tzinfo=UTC)
PREAMBLE = Preamble("toy", "v1", "1", [("hours", "number"), ("genre", "category")], [0, 1])


def at_ns(minutes: float = 0) -> int:
    return int((START + timedelta(minutes=minutes)).timestamp() * 1e9)


def prediction(name: str, minutes: float = 0, body: bytes = b"[[1.5,null]]") -> bytes:
    n_rows = body.count(b"],[") + 1
    shares = np.array([[0.25, 0.75]] * n_rows).tobytes()
    labels = [1] * n_rows
    return encode(
        PredictionRecord(
            name, at_ns(minutes), "v1", 2_000_000, b'{"instances":' + body + b"}", None, labels,
            shares,
        )
    )  # fmt: skip


def summarize_day(store: PredictionStore, service: str) -> WindowSummary:
    end = START + timedelta(days=1)
    return summarize_window(store, service, START, end, end)


@pytest.fixture
def store(tmp_path: Path) -> PredictionStore:
    return PredictionStore(str(tmp_path / "tables"))


def test_a_prediction_becomes_a_typed_row_of_its_day(
    tmp_path: Path, store: PredictionStore
) -> None:
    writer = SegmentWriter(tmp_path / "log", encode(PREAMBLE))
    writer.append(prediction("a"))
    writer.append(prediction("b", 1))
    assert drain(tmp_path / "log", store, table=PREDICTIONS).n_rows == 2
    frame = store.scan_predictions("toy").collect()
    first = frame.row(0, named=True)
    assert (first["prediction_id"], first["revision"], first["model_version"]) == ("a", "v1", "1")
    assert first["event_time"] == START
    assert (first["prediction"], first["probability"], first["latency_ms"]) == ("1", 0.75, 2.0)
    assert (first["feature__hours"], first["feature__genre"]) == (1.5, None)
    assert [str(day) for day in frame["day"]] == ["2013-01-31", "2013-02-01"]
    assert store.scan_predictions("toy", START + timedelta(minutes=1)).collect().height == 1
    writer.close()


def test_what_was_written_but_not_remembered_is_not_written_again(
    tmp_path: Path, store: PredictionStore
) -> None:
    writer = SegmentWriter(tmp_path / "log", encode(PREAMBLE))
    n = 0
    for batch in range(4):  # each pass begins as a fresh process would
        for _ in range(3):
            writer.append(prediction(f"p{n}"))
            n += 1
        fresh = PredictionStore(str(tmp_path / "tables"))
        assert drain(tmp_path / "log", fresh, table=PREDICTIONS).n_rows == 3, batch
        assert drain(tmp_path / "log", fresh, table=PREDICTIONS).n_rows == 0
    assert store.scan_predictions("toy").collect().height == 12
    writer.close()


def test_an_id_that_comes_twice_counts_once_and_rows_count_each(
    tmp_path: Path, store: PredictionStore
) -> None:
    writer = SegmentWriter(tmp_path / "log", encode(PREAMBLE))
    writer.append(prediction("a", body=b"[[1,null],[2,null]]"))
    writer.append(prediction("a", 1, body=b"[[9,null],[9,null]]"))
    drain(tmp_path / "log", store, table=PREDICTIONS)
    frame = store.scan_predictions("toy").collect()
    assert frame["row"].to_list() == [0, 1]
    assert frame["feature__hours"].to_list() == [1.0, 2.0]
    writer.close()


def test_an_unreadable_record_is_counted_and_the_rest_arrives(
    tmp_path: Path, store: PredictionStore
) -> None:
    writer = SegmentWriter(tmp_path / "log", encode(PREAMBLE))
    writer.append(b"no record")
    writer.append(prediction("a", body=b'[["text",null]]'))
    writer.append(prediction("b"))
    drained = drain(tmp_path / "log", store, table=PREDICTIONS)
    assert (drained.n_rows, drained.n_unreadable) == (1, 2)
    writer.close()


def test_segments_of_another_version_add_their_columns(
    tmp_path: Path, store: PredictionStore
) -> None:
    for version, features in (
        ("1", PREAMBLE.features),
        ("2", [("hours", "number"), ("x", "boolean")]),
    ):
        preamble = Preamble("toy", f"v{version}", version, features, [0, 1])
        writer = SegmentWriter(tmp_path / version, encode(preamble))
        writer.append(prediction(version))
        writer.close()
        drain(tmp_path / version, store, table=PREDICTIONS)
    frame = store.scan_predictions("toy").collect()
    assert {"feature__genre", "feature__x"} < set(frame.columns)


def test_a_feature_whose_kind_changed_has_a_column_for_each(
    tmp_path: Path, store: PredictionStore
) -> None:
    for version, kind, body in (("1", "number", b"[[7,null]]"), ("2", "category", b'[["x",null]]')):
        features = [("hours", kind), ("genre", "category")]
        preamble = Preamble("toy", f"v{version}", version, features, [0, 1])
        writer = SegmentWriter(tmp_path / version, encode(preamble))
        writer.append(prediction(version, body=body))
        writer.close()
        assert drain(tmp_path / version, store, table=PREDICTIONS).n_rows == 1
    frame = store.scan_predictions("toy").sort("prediction_id").collect()
    assert frame["feature__hours"].to_list() == [7.0, None]
    assert frame["feature__hours__category"].to_list() == [None, "x"]


def test_truth_is_joined_and_what_is_odd_about_it_is_reported(
    tmp_path: Path, store: PredictionStore
) -> None:
    log = SegmentWriter(tmp_path / "log", encode(PREAMBLE))
    for name in ("a", "b", "c", "d"):
        log.append(prediction(name))
    truth = SegmentWriter(tmp_path / "truth", encode(Preamble("toy", "", None, [], None)))
    for name, value, minutes in (("a", "1", 60), ("b", "0", 120), ("b", "1", 180), ("z", "1", 1)):
        truth.append(encode(TruthRecord(name, 0, value, at_ns(minutes), at_ns(minutes))))
    drain(tmp_path / "log", store, table=PREDICTIONS)
    drain(tmp_path / "truth", store, table=TRUTH)
    judged = store.scan_judged("toy").sort("prediction_id").collect()
    assert judged["truth"].to_list() == ["1", "0", None, None]
    assert judged["contradicted"].to_list() == [False, True, False, False]
    summary = summarize_day(store, "toy")
    assert (summary.n_rows, summary.n_with_truth) == (4, 1)
    assert (summary.n_contradicted, summary.n_unknown_truths) == (1, 1)
    assert summary.truth_lag == timedelta(minutes=60)  # of those that are not contradicted
    log.close()
    truth.close()


def test_a_service_without_a_log_has_empty_tables(store: PredictionStore) -> None:
    summary = summarize_day(store, "nobody")
    assert (summary.n_rows, summary.n_unknown_truths, summary.truth_lag) == (0, 0, None)
    assert list_segments(Path("/nowhere")) == []


@pytest.mark.parametrize(
    ("place", "n_rows"),
    [pytest.param("middle", 2, id="those_after_it_are_read"), pytest.param("length", 1, id="cut")],
)
def test_a_damaged_segment_gives_what_can_be_read_and_is_kept(
    tmp_path: Path, store: PredictionStore, place: str, n_rows: int
) -> None:
    folder = tmp_path / "log"
    writer = SegmentWriter(folder, encode(PREAMBLE))
    ends = []
    for name in "abc":
        writer.append(prediction(name))
        ends.append(list_segments(folder)[0].stat().st_size)
    writer.close()
    (path,) = list_segments(folder)
    content = bytearray(path.read_bytes())
    content[ends[1] - 3 if place == "middle" else ends[0] + 2] ^= 0xFF  # in the record of b
    path.write_bytes(content)
    drained = drain(folder, store, table=PREDICTIONS)
    assert (drained.n_rows, drained.n_unreadable) == (n_rows, 1)
    assert list_segments(folder) == []
    (kept,) = folder.glob("*.damaged")
    assert kept.read_bytes() == bytes(content)
    assert drain(folder, store, table=PREDICTIONS).n_rows == 0


@pytest.mark.parametrize("table", [TRUTH, FAILURES, HALVES])
def test_a_record_of_another_kind_holds_up_no_other(
    tmp_path: Path, store: PredictionStore, table: str
) -> None:
    """It was taken for a defect of the process, which then ended at it again and again."""
    ns = at_ns()
    good = {
        TRUTH: TruthRecord("a", 0, "1", ns, ns),
        FAILURES: FailureRecord("v1", "a", ns, 500, 1),
        HALVES: HalfRecord("a", "request", ns, ns, "default", "predictor", "", None, "", b"{}"),
    }[table]
    writer = SegmentWriter(tmp_path / "log", encode(Preamble("toy", "", None, [], None)))
    for content in (b"no record", encode(good), b"\x93\x01\x02\x03"):
        writer.append(content)
    writer.close()
    drained = drain(tmp_path / "log", store, table=table)
    assert (drained.n_rows, drained.n_unreadable) == (1, 2)
    assert [path.suffix for path in (tmp_path / "log").iterdir()] == [".damaged"]


def test_a_table_that_cannot_be_read_holds_up_no_other_service(
    tmp_path: Path, store: PredictionStore
) -> None:
    for name in ("broken", "toy"):
        writer = SegmentWriter(tmp_path / "log" / name, encode(replace(PREAMBLE, service=name)))
        writer.append(prediction("a"))
        writer.close()
    log = tmp_path / "tables" / "broken" / PREDICTIONS / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020d}.json").write_text("no commit")
    drained = drain(tmp_path / "log", store, table=PREDICTIONS)
    assert (drained.n_rows, drained.n_failed_segments) == (1, 1)
    assert [path.parent.name for path in list_segments(tmp_path / "log")] == ["broken"]
    with pytest.raises(ServingError, match="broken/prediction_log cannot be read"):
        store.scan_predictions("broken")

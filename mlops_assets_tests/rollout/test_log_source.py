import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlops_assets.rollout.log_source import LogPlace, PredictionLogSource
from mlops_assets.rollout.measures import Counts, Histogram, Moments
from mlops_assets.rollout.metrics_source import Question, Subject
from mlops_assets.rollout.policy import Criterion
from mlops_assets.serving.home import ServingHome
from mlops_assets.serving.prediction_log.compaction import compact_table
from mlops_assets.serving.prediction_log.records import Preamble, encode
from mlops_assets.serving.prediction_log.segments import SegmentWriter
from mlops_assets.serving.prediction_log.tables import FAILURES, PREDICTIONS, TRUTH
from mlops_assets_tests.rollout.logged import HandmadeLog

START = datetime(2026, 8, 3, 12, 0, tzinfo=UTC)
ERRORS = Criterion(title="error_ratio", metric="error_ratio", margin=0.01)
LATENCY = Criterion(title="latency", metric="latency", margin=0.5, relative=True)
SCORES = Criterion(title="scores", metric="score_mean", better="same", slice_by="plan")
SHAPE = Criterion(title="shape", metric="prediction_distribution", margin=0.2)
QUALITY = Criterion(title="quality", metric="quality", quality="brier_score", margin=0.1)
DIFFERS = Criterion(title="differs", metric="disagreement", maximum=0.1)
MINE = "mlops_assets_tests.rollout.test_log_source:score_squared"
BROKEN = "mlops_assets_tests.rollout.test_log_source:one_value_too_few"


def score_squared(rows: pl.DataFrame) -> pl.Series:
    """A person's own function."""
    assert {"prediction_id", "event_time", "prediction", "truth", "feature__plan"} <= {
        *rows.columns
    }
    return rows["score"] ** 2


def one_value_too_few(rows: pl.DataFrame) -> pl.Series:
    """A person's function that is wrong."""
    return rows["score"].head(max(rows.height - 1, 0))


def times(n: int, after_seconds: float = 1.0) -> list[datetime]:
    return [START + timedelta(seconds=after_seconds, milliseconds=k) for k in range(n)]


def question(*criteria: Criterion, **changes: Any) -> Question:
    asked = Question(
        service="toy",
        subject=Subject(task="binary", classes=("0", "1")),
        revisions={"stable": "v1", "challenger": "v2"},
        since=START,
        until=START + timedelta(minutes=1),
        criteria=criteria or (ERRORS, LATENCY),
    )
    return asked.model_copy(update=changes)


def source_of(home: Path) -> PredictionLogSource:
    return PredictionLogSource(LogPlace.under(home))


def test_requests_errors_and_latencies_are_counted_by_arm(home: Path) -> None:
    log = HandmadeLog(home)
    log.answer("v1", times(8), [0.2] * 8, ms=2.0)
    answered = log.answer("v2", times(3), [0.2, 0.3, float("nan")], ms=40.0)
    log.fail("v2", times(2), ["lost", answered[0]])  # the second had logged before it died
    log.answer("v7", times(5), [0.2] * 5)  # nobody asked about it
    log.answer("v1", [START - timedelta(seconds=1)], [0.2])  # before the window
    found = source_of(home).measure(question())
    assert found.source_error is None
    stable, challenger = found.arms["stable"], found.arms["challenger"]
    assert (stable.n_requests, challenger.n_requests) == (8, 4)
    errors = challenger.measures["error_ratio"]
    assert isinstance(errors, Moments)
    assert (errors.n, errors.total) == (4, 3.0)  # lost, died, not a number
    latency = challenger.measures["latency"]
    assert isinstance(latency, Histogram)
    assert latency.n == 2  # a request that failed has no time to answer


def test_a_tick_reads_only_what_is_new_and_agrees_with_reading_all(home: Path) -> None:
    log, source = HandmadeLog(home), source_of(home)
    cursor = ""
    for n in range(30):  # more than are kept apart
        log.answer("v1", times(4, n), [0.5] * 4)
        log.answer("v2", times(2, n), [0.5] * 2)
        found = source.measure(question(cursor=cursor))
        cursor = found.cursor
        assert found.arms["stable"].n_requests == 4 * (n + 1)
    assert source_of(home).measure(question(cursor=cursor)).arms == found.arms
    source.forget("toy")
    assert source.measure(question(cursor=cursor)).arms == found.arms


def test_what_is_kept_is_made_again_when_it_is_damaged(home: Path) -> None:
    log, source = HandmadeLog(home), source_of(home)
    log.answer("v1", times(4), [0.5] * 4)
    before = source.measure(question()).arms
    for note in ServingHome.under(home).rollouts.rglob("note.json"):
        note.write_text("{")
    assert source.measure(question()).arms == before


@pytest.mark.parametrize("is_gone", [True, False], ids=["lost", "half_written"])
def test_a_part_of_what_is_kept_is_made_again_too(home: Path, is_gone: bool) -> None:
    log, source = HandmadeLog(home), source_of(home)
    for n in range(3):
        log.answer("v1", times(4, n), [0.5] * 4)
        before = source.measure(question()).arms
    part = sorted(ServingHome.under(home).rollouts.rglob("*.parquet"))[1]
    part.unlink() if is_gone else part.write_bytes(b"")
    found = source.measure(question())
    assert (found.source_error, found.arms) == (None, before)
    assert found.arms["stable"].n_requests == 12


def test_a_file_that_comes_into_the_table_after_a_younger_one_is_read(home: Path) -> None:
    """Of two sinks that write at the same time the one that began first may commit last."""
    log, source = HandmadeLog(home), source_of(home)
    log.answer("v1", times(4), [0.5] * 4)
    commits = ServingHome.under(home).tables / "toy" / "prediction_log" / "_delta_log"
    assert source.measure(question()).arms["stable"].n_requests == 4
    log.answer("v1", times(3, 1), [0.5] * 3)
    (late,) = commits.glob("*1.json")
    lines = [json.loads(line) for line in late.read_text().splitlines()]
    for line in lines:
        if "add" in line:
            line["add"]["modificationTime"] -= 60_000
    late.write_text("\n".join(json.dumps(line) for line in lines))
    assert source.measure(question()).arms["stable"].n_requests == 7
    assert source.measure(question()).arms["stable"].n_requests == 7


def test_what_was_moved_into_fewer_files_counts_once(home: Path) -> None:
    log, source = HandmadeLog(home), source_of(home)
    for n in range(10):
        answered = log.answer("v1", times(2, n), [0.25] * 2)
        log.answer("v2", times(2, n), [0.25] * 2)
        log.fail("v1", times(1, n), [f"lost{n}"])
        log.tell_truth(answered, ["0", "1"], START + timedelta(seconds=30 + n))
        if n == 7:  # the rest is read from the new files alone
            before = source.measure(question(ERRORS, QUALITY))
    for table in (PREDICTIONS, FAILURES, TRUTH):
        after = START.date() + timedelta(days=1)
        assert compact_table(log.store, "toy", table, after) == 1
    found = source.measure(question(ERRORS, QUALITY, cursor=before.cursor))
    assert found.source_error is None
    assert found.arms == source_of(home).measure(question(ERRORS, QUALITY)).arms
    source.forget("toy")
    assert found.arms == source.measure(question(ERRORS, QUALITY)).arms
    stable = found.arms["stable"]
    assert (before.arms["stable"].n_requests, stable.n_requests) == (24, 30)
    quality, errors = stable.measures["quality"], stable.measures["error_ratio"]
    assert isinstance(quality, Moments)
    assert isinstance(errors, Moments)
    assert (quality.n, errors.total) == (20, 10)


def test_callers_are_units_where_they_are_kept_on_one_version(home: Path) -> None:
    log = HandmadeLog(home)
    log.answer("v1", times(4), [0.1, 0.2, 0.3, 0.4], units=["ann", "ann", "bob", ""])
    found = source_of(home).measure(question(SCORES, by_unit=True)).arms["stable"]
    assert (found.n_requests, found.n_units) == (4, 3)
    scores = found.measures["scores"]
    assert isinstance(scores, Moments)
    assert (scores.n, scores.n_units) == (4, 3)
    alone = source_of(home).measure(question(SCORES)).arms["stable"].measures["scores"]
    assert isinstance(alone, Moments)
    assert alone.n_units == 4


def test_the_first_requests_of_each_version_are_left_out_once(home: Path) -> None:
    log, source = HandmadeLog(home), source_of(home)
    log.answer("v1", times(10), [0.5] * 10)
    log.answer("v2", times(3), [0.5] * 3, ms=900.0)
    first = source.measure(question(warm_up_requests=5))
    assert (first.arms["stable"].n_requests, first.arms["challenger"].n_requests) == (5, 0)
    log.answer("v1", times(10, 70), [0.5] * 10)
    log.answer("v2", times(10, 70), [0.5] * 10)
    later = question(warm_up_requests=5, since=START + timedelta(seconds=60), cursor=first.cursor)
    second = source.measure(later)  # of the challenger 3 were left out before
    assert (second.arms["stable"].n_requests, second.arms["challenger"].n_requests) == (10, 8)


def test_a_class_that_is_called_none_is_an_answer(home: Path) -> None:
    """Of a model that says which side effect is to be expected, most answers are `None`."""
    log = HandmadeLog(home)
    log.answer("v1", times(4), [0.2] * 4, labels=["None", "rash", "None", "nan"])
    subject = Subject(task="multiclass", classes=("None", "rash"))
    found = source_of(home).measure(question(subject=subject)).arms["stable"]
    errors = found.measures["error_ratio"]
    assert isinstance(errors, Moments)
    assert (errors.n, errors.total) == (4, 1.0)  # a class "nan" is none of this model's


def test_callers_of_whom_only_warm_up_was_seen_are_told_apart(home: Path) -> None:
    log = HandmadeLog(home)
    log.answer("v1", times(4), [0.5] * 4, units=["ann", "ann", "bob", "cid"])
    found = source_of(home).measure(question(warm_up_requests=3, by_unit=True)).arms["stable"]
    assert (found.n_requests, found.n_units, found.n_units_warming, found.n_sent) == (1, 1, 2, 3)


def test_truth_that_comes_later_gives_quality(home: Path) -> None:
    log, source = HandmadeLog(home), source_of(home)
    ids = log.answer("v1", times(3), [0.9, 0.2, 0.5])
    unknown = source.measure(question(QUALITY)).arms["stable"].measures["quality"]
    assert isinstance(unknown, Moments)
    assert unknown.n == 0
    log.tell_truth(ids[:2], ["1", "1"], START + timedelta(seconds=9))
    log.tell_truth(ids[:1], ["0"], START + timedelta(seconds=10))  # the first one counts
    known = source.measure(question(QUALITY)).arms["stable"].measures["quality"]
    assert isinstance(known, Moments)
    assert known.n == 2
    assert known.total == pytest.approx(0.1**2 + 0.8**2)


def test_the_target_s_own_word_for_yes_is_a_truth_too(home: Path) -> None:
    log = HandmadeLog(home)
    ids = log.answer("v1", times(2), [0.9, 0.9])
    log.tell_truth(ids, ["yes", "no"], START + timedelta(seconds=9))
    subject = Subject(task="binary", classes=("0", "1"), positive="yes")
    found = source_of(home).measure(question(QUALITY, subject=subject))
    quality = found.arms["stable"].measures["quality"]
    assert isinstance(quality, Moments)
    assert quality.total == pytest.approx(0.1**2 + 0.9**2)


@pytest.mark.parametrize("is_late", [False, True], ids=["now", "late"])
def test_versions_with_other_classes_have_no_quality_of_probabilities(
    home: Path, is_late: bool
) -> None:
    """A retraining on data without the rarest class: its shares are those of fewer classes."""
    log, source = HandmadeLog(home), source_of(home)
    for revision in ("v1", "v2"):
        ids = log.answer(revision, times(2), [0.9, 0.9])
        log.tell_truth(ids, ["1", "2"], START + timedelta(seconds=9))
    subject = Subject(task="multiclass", classes=("0", "1", "2"))
    asked = question(QUALITY, ERRORS, subject=subject)
    if is_late:
        end = START + timedelta(minutes=1)
        asked = asked.model_copy(update={"since": end, "compared": (START, end)})
    found = source.measure(asked)
    assert found.source_error is None
    assert found.missing["quality"] == "there are 2 probabilities in an answer, and 3 classes"
    assert "error_ratio" in found.arms["challenger"].measures


def test_a_promoted_version_is_told_the_truth_about_the_last_step(home: Path) -> None:
    log, source = HandmadeLog(home), source_of(home)
    ids = log.answer("v2", times(2), [0.9, 0.9])
    promoted = START + timedelta(minutes=1)
    log.answer("v2", [promoted + timedelta(seconds=1)], [0.9])
    log.tell_truth(ids, ["0", "0"], START + timedelta(minutes=9))
    watched = question(QUALITY, since=promoted, compared=(START, promoted))
    found = source.measure(watched)
    late = found.late["challenger"].measures["quality"]
    assert isinstance(late, Moments)
    assert late.n == 2
    assert found.arms["challenger"].n_requests == 1


def test_warm_up_of_the_last_step_counts_in_no_later_truth_either(home: Path) -> None:
    log, source = HandmadeLog(home), source_of(home)
    ids = log.answer("v2", times(5), [0.9] * 5)
    cursor = source.measure(question(QUALITY, warm_up_requests=3)).cursor
    promoted = START + timedelta(minutes=1)
    log.tell_truth(ids, ["0"] * 5, START + timedelta(minutes=9))
    watched = question(
        QUALITY, since=promoted, compared=(START, promoted), warm_up_requests=3, cursor=cursor
    )
    late = source.measure(watched).late["challenger"].measures["quality"]
    assert isinstance(late, Moments)
    assert late.n == 2


def test_answers_to_copies_are_compared_with_the_answers_that_callers_got(home: Path) -> None:
    log = HandmadeLog(home)
    ids = log.answer("v1", times(4), [0.1, 0.2, 0.8, 0.9])
    log.answer("v2", times(4), [0.1, 0.9, 0.8, 0.9], ids=ids, shadow=True)
    log.answer("v2", times(4), [0.1] * 4)  # not a copy
    found = source_of(home).measure(question(DIFFERS, ERRORS, mirrored=True))
    differs = found.arms["challenger"].measures["differs"]
    assert isinstance(differs, Moments)
    assert (differs.n, differs.total) == (4, 1.0)
    assert found.arms["challenger"].n_requests == 4
    assert "differs" not in found.arms["stable"].measures


def test_slices_are_the_frequent_values_before_the_rollout(home: Path) -> None:
    log = HandmadeLog(home)
    log.answer("v1", times(3, -600), [0.5] * 3, plan="pro")
    log.answer("v1", times(2), [0.25] * 2, plan="pro")
    log.answer("v1", times(2), [0.5] * 2, plan="new")
    found = source_of(home).measure(question(SCORES)).arms["stable"]
    assert {value: m.mean for value, m in found.slices["scores"].items()} == {"pro": 0.25}


def test_a_text_is_no_value_of_a_slice(home: Path) -> None:
    """What the source remembers is kept in the rollout's state, which is small."""
    log = HandmadeLog(home)
    log.answer("v1", times(3, -600), [0.5] * 3, plan="long " * 2_000)
    log.answer("v1", times(2, -600), [0.5] * 2, plan="pro")
    log.answer("v1", times(2), [0.25] * 2, plan="pro")
    found = source_of(home).measure(question(SCORES))
    assert list(found.arms["stable"].slices["scores"]) == ["pro"]
    assert len(found.cursor) < 1_000


def test_scores_fall_into_ranges_that_are_fixed(home: Path) -> None:
    log = HandmadeLog(home)
    log.answer("v1", times(4), [0.0, 0.05, 0.95, 1.0])
    shape = source_of(home).measure(question(SHAPE)).arms["stable"].measures["shape"]
    assert isinstance(shape, Counts)
    assert dict(shape.counts) == {"0": 2, "9": 2}


def test_a_function_of_one_s_own_and_one_that_is_wrong(home: Path) -> None:
    mine = Criterion(title="mine", metric="function", function=MINE, margin=0.1)
    broken = Criterion(title="broken", metric="function", function=BROKEN, margin=0.1)
    log = HandmadeLog(home)
    log.answer("v1", times(2), [0.5, 1.0])
    found = source_of(home).measure(question(mine, broken))
    values = found.arms["stable"].measures["mine"]
    assert isinstance(values, Moments)
    assert values.total == pytest.approx(1.25)
    assert "found 1 values for 2 rows" in found.missing["broken"]
    assert "broken" not in found.arms["stable"].measures


def test_a_function_that_a_document_adds_in_mid_rollout_sees_every_feature(home: Path) -> None:
    mine = Criterion(title="mine", metric="function", function=MINE, margin=0.1)
    log, source = HandmadeLog(home), source_of(home)
    log.answer("v1", times(2), [0.5, 1.0])
    source.measure(question())  # keeps no feature
    assert source.measure(question(mine)).missing == {}


def test_no_traffic_is_nothing_counted_and_no_error(home: Path) -> None:
    found = source_of(home).measure(question())
    assert found.source_error is None
    assert found.arms["challenger"].n_requests == 0


def test_a_table_that_cannot_be_read_is_unknown(home: Path) -> None:
    log, source = HandmadeLog(home), source_of(home)
    log.answer("v1", times(2), [0.5] * 2)
    place = ServingHome.under(home).tables / "toy" / "prediction_log"
    shutil.rmtree(place / "_delta_log")
    (place / "_delta_log").mkdir()
    (place / "_delta_log" / "00000000000000000000.json").write_text("{broken")
    found = source.measure(question())
    assert found.source_error is not None
    assert not found.arms


def test_a_table_that_was_there_and_is_gone_is_unknown(home: Path) -> None:
    log, source = HandmadeLog(home), source_of(home)
    log.answer("v1", times(2), [0.5] * 2)
    cursor = source.measure(question()).cursor
    shutil.rmtree(ServingHome.under(home).tables / "toy")
    found = source.measure(question(cursor=cursor))
    assert found.source_error is not None
    assert "was there and is gone" in found.source_error


def test_records_that_nobody_moves_make_the_source_unknown_after_a_minute(home: Path) -> None:
    folder = ServingHome.under(home).predictions / "toy"
    writer = SegmentWriter(folder, encode(Preamble("toy", "v1", "1", [], None)))
    writer.append(b"x" * 10)
    source = source_of(home)
    first = source.measure(question(until=START))
    minute = question(until=START + timedelta(seconds=60), cursor=first.cursor)
    assert (first.source_error, source.measure(minute).source_error) == (None, None)
    stuck = source.measure(question(until=START + timedelta(seconds=61), cursor=first.cursor))
    assert stuck.source_error is not None
    assert "nobody moves them" in stuck.source_error
    writer.close()

"""Counters and a log together: each is asked for what it knows, and may fail alone."""

import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from mlops_assets.errors import ServingError
from mlops_assets.kserve.counters import Counters, Reading, Window
from mlops_assets.rollout.counter_source import CounterSource
from mlops_assets.rollout.joined_source import JoinedSource
from mlops_assets.rollout.log_source import LogPlace, PredictionLogSource
from mlops_assets.rollout.measures import Moments
from mlops_assets.serving.predictor.metrics import BUCKETS_SECONDS
from mlops_assets_tests.rollout.logged import HandmadeLog
from mlops_assets_tests.rollout.test_log_source import ERRORS, QUALITY, START, question, times


class Counted:
    """A reader that has counted the same at each look, or does not answer."""

    answers = True

    def read(self, service: str, revisions: Sequence[str], window: Window, cursor: str) -> Reading:
        assert window.since == START
        if not self.answers:
            raise ServingError("no pod answers")
        counters = Counters(100, 7, (93, *[0] * len(BUCKETS_SECONDS)))
        return Reading(dict.fromkeys(revisions, counters), f"{service}-{cursor}"[:40])


@pytest.fixture
def log(tmp_path: Path) -> HandmadeLog:
    made = HandmadeLog(tmp_path)
    for revision in ("v1", "v2"):
        ids = made.answer(revision, times(4), [0.9] * 4)
        made.tell_truth(ids, ["1"] * 4, START + timedelta(seconds=9))
    return made


def joined(home: Path, counted: Counted) -> JoinedSource:
    place = LogPlace(LogPlace.under(home).root, home / "kept")  # records come from elsewhere
    return JoinedSource(CounterSource(counted), PredictionLogSource(place))


def test_errors_are_counted_and_quality_is_logged(log: HandmadeLog, tmp_path: Path) -> None:
    source, asked = joined(tmp_path, Counted()), question(ERRORS, QUALITY)
    found = source.measure(asked)
    for arm in ("stable", "challenger"):
        did = found.arms[arm]
        assert did.n_requests == 100
        assert did.measures["error_ratio"] == Moments.of_flags(100, 7)
        quality = did.measures["quality"]
        assert isinstance(quality, Moments)
        assert quality.n == 4
    assert (found.missing, found.source_error) == ({}, None)
    again = source.measure(asked.model_copy(update={"cursor": found.cursor}))
    assert again.arms == found.arms


def test_a_log_that_does_not_answer_makes_its_own_criteria_unknown(
    log: HandmadeLog, tmp_path: Path
) -> None:
    source, asked = joined(tmp_path, Counted()), question(ERRORS, QUALITY)
    cursor = source.measure(asked).cursor
    shutil.rmtree(Path(LogPlace.under(tmp_path).root, "toy"))
    found = source.measure(asked.model_copy(update={"cursor": cursor}))
    assert found.source_error is None
    assert list(found.missing) == ["quality"]
    assert "was there and is gone" in found.missing["quality"]


def test_without_counters_nothing_is_known(log: HandmadeLog, tmp_path: Path) -> None:
    counted = Counted()
    counted.answers = False
    found = joined(tmp_path, counted).measure(question(ERRORS, QUALITY))
    assert found.source_error == "no pod answers"
    assert found.arms == {}


def test_a_cursor_of_another_source_begins_anew(log: HandmadeLog, tmp_path: Path) -> None:
    for cursor in ('{"since": "2026"}', "no JSON"):
        found = joined(tmp_path, Counted()).measure(question(ERRORS, QUALITY, cursor=cursor))
        assert found.arms["stable"].n_requests == 100

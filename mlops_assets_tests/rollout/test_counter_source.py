"""Counters as evidence: what they know, what they do not, and when they begin to count."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlops_assets.errors import ServingError
from mlops_assets.kserve.counters import Counters, Reading, Window
from mlops_assets.rollout.counter_source import CounterSource
from mlops_assets.rollout.measures import Histogram, Moments
from mlops_assets.rollout.metrics_source import Question, Subject
from mlops_assets.rollout.policy import Criterion
from mlops_assets.serving.predictor.metrics import BUCKETS_SECONDS

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
ERRORS = Criterion(title="errors", metric="error_ratio")
LATENCY = Criterion(title="latency", metric="latency")


class Counted:
    """A reader that answers from a list, and remembers what it was asked."""

    def __init__(self, *answers: Reading | ServingError) -> None:
        self.asked: list[tuple[datetime, str]] = []
        self._answers = list(answers)

    def read(self, service: str, revisions: Sequence[str], window: Window, cursor: str) -> Reading:
        assert (service, set(revisions) <= {"v1", "v2"}) == ("toy", True)
        self.asked.append((window.since, cursor))
        answer = self._answers.pop(0)
        if isinstance(answer, ServingError):
            raise answer
        return answer


def reading(v1: int, v2: int | None, cursor: str = "c") -> Reading:
    found = {"v1": counters(v1)}
    return Reading(found if v2 is None else {**found, "v2": counters(v2)}, cursor)


def counters(n: int) -> Counters:
    return Counters(n, n // 10, (n - n // 10, *[0] * len(BUCKETS_SECONDS)))


def question(minutes: int = 1, **fields: Any) -> Question:
    given: dict[str, Any] = {
        "service": "toy",
        "subject": Subject(task="binary"),
        "revisions": {"stable": "v1", "challenger": "v2"},
        "since": START,
        "until": START + timedelta(minutes=minutes),
        "criteria": (ERRORS, LATENCY),
    }
    return Question.model_validate({**given, **fields})


def test_errors_and_latencies_are_told_for_each_version() -> None:
    found = CounterSource(Counted(reading(100, 20))).measure(question())
    stable, challenger = found.arms["stable"], found.arms["challenger"]
    assert (stable.n_requests, challenger.n_requests) == (100, 20)
    assert challenger.measures["errors"] == Moments.of_flags(20, 2)
    latency = challenger.measures["latency"]
    assert isinstance(latency, Histogram)
    assert (latency.n, latency.edges, latency.n_units) == (18, BUCKETS_SECONDS, 18)
    assert (found.missing, found.source_error) == ({}, None)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"by_unit": True}, "do not tell callers apart"),
        ({"mirrored": True}, "do not tell copies"),
        ({"criteria": (Criterion(title="x", metric="score_mean"),)}, "know no score_mean"),
        (
            {"criteria": (Criterion(title="x", metric="error_ratio", slice_by="origin"),)},
            "know no origin",
        ),
    ],
)
def test_what_counters_cannot_know_is_missing(fields: dict[str, Any], reason: str) -> None:
    found = CounterSource(Counted(reading(100, 20))).measure(question(**fields))
    assert found.missing
    assert all(reason in words for words in found.missing.values())
    assert found.arms["challenger"].measures == {}


def test_a_version_without_counters_is_unknown_and_not_zero() -> None:
    found = CounterSource(Counted(reading(100, None))).measure(question())
    assert "challenger" not in found.arms
    assert found.missing["errors"] == "nothing was counted of v2"


def test_a_source_that_fails_is_told_and_forgets_nothing() -> None:
    source = CounterSource(Counted(reading(9, 9, "seen"), ServingError("gone")))
    first = source.measure(question())
    second = source.measure(question(2, cursor=first.cursor))
    assert (second.source_error, second.cursor, dict(second.arms)) == ("gone", first.cursor, {})


def test_the_readers_cursor_comes_back_within_a_window_and_not_beyond() -> None:
    reader = Counted(reading(1, 1, "seen"), reading(1, 1), reading(1, 1))
    source = CounterSource(reader)
    first = source.measure(question())
    source.measure(question(2, cursor=first.cursor))
    later = START + timedelta(minutes=5)
    source.measure(question(9, since=later, cursor=first.cursor))
    assert reader.asked == [(START, ""), (START, "seen"), (later, "")]


def test_counting_starts_for_all_when_the_slowest_is_warm() -> None:
    reader = Counted(reading(500, 9), reading(900, 10), reading(30, 3))
    source, cursor, seen = CounterSource(reader), "", []
    for minutes in (1, 2, 3):
        found = source.measure(question(minutes, cursor=cursor, warm_up_requests=10))
        seen.append(found.arms["stable"].n_requests)
        cursor = found.cursor
    assert seen == [0, 0, 30]
    assert [since for since, _ in reader.asked] == [START, START, START + timedelta(minutes=2)]


def test_a_version_is_warmed_up_once_in_a_rollout() -> None:
    """After promotion the former version gets no requests: it cannot warm up again."""
    reader = Counted(reading(50, 50), reading(0, 40))
    source = CounterSource(reader)
    warm = source.measure(question(warm_up_requests=10)).cursor
    later = START + timedelta(minutes=5)
    found = source.measure(question(6, since=later, cursor=warm, warm_up_requests=10))
    assert found.arms["challenger"].n_requests == 40


def test_a_version_that_comes_later_is_warmed_up_for_itself() -> None:
    """Before a blue-green promotion the serving version alone is asked."""
    reader = Counted(reading(50, None), reading(0, 12), reading(0, 30))
    source = CounterSource(reader)
    before = source.measure(question(revisions={"stable": "v1"}))
    assert before.arms["stable"].n_requests == 50
    cursor = before.cursor
    later, seen = START + timedelta(minutes=5), []
    for minutes in (6, 7):
        asked = question(minutes, since=later, cursor=cursor, warm_up_requests=10)
        found = source.measure(asked)
        seen.append(found.arms["challenger"].n_requests)
        cursor = found.cursor
    assert seen == [0, 30]


def test_a_cursor_of_another_source_begins_anew() -> None:
    found = CounterSource(Counted(reading(100, 20))).measure(question(cursor='{"slices": {}}'))
    assert found.arms["stable"].n_requests == 100

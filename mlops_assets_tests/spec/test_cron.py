import doctest
import re
from datetime import UTC, datetime, timedelta

import pytest
from dagster._utils.schedules import is_valid_cron_schedule, reverse_cron_string_iterator
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.spec import cron
from mlops_assets.spec.cron import latest_time, require_cron


@pytest.mark.parametrize(
    "text",
    [
        "0 6 * * 1",
        "*/5 * * * *",
        "5/10 * * * *",
        "0 22 1,15 * *",
        "0 6 * JAN mon-fri",
        "1-59/2 0-23 1-31 1-12 0-7",
        "0 0 29 2 *",
        "0 0 31 1-2 *",
        "0  6 *  * 7",
    ],
)
def test_expressions_that_come_true_pass(text: str) -> None:
    assert require_cron(text) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("@daily", "five fields"),
        ("0 6 * *", "found 4"),
        ("0 0 6 * * 1", "found 6"),
        ("60 * * * *", "as minute *, a number"),
        ("* 24 * * *", "as hour *, a number"),
        ("* * 0 * *", "as day of month *, a number"),
        ("* * * 13 *", "as month *, a number"),
        ("* * * * 8", "as day of week *, a number"),
        ("* * * * monday", "as day of week *, a number"),
        ("*/0 * * * *", "minute"),
        ("-1 * * * *", "minute"),
        ("1,,2 * * * *", "minute"),
        ("* 22-2 * * *", "hour"),
        ("0 0 30 2 *", "no month 2 has a day 30"),
        ("0 0 30 2 mon", "no month 2 has a day 30"),
        ("0 0 31 4,6 *", "no month 4,6 has a day 31"),
    ],
)
def test_expressions_that_cannot_be_read_or_never_come_true_are_refused(
    text: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        require_cron(text)


ITEM = st.from_regex(r"\A(\*|[0-9]{1,2}(-[0-9]{1,2})?)(/[0-9]{1,2})?\Z")


@given(st.lists(ITEM, min_size=5, max_size=5))
def test_dagster_accepts_whatever_passes(fields: list[str]) -> None:
    text = " ".join(fields)
    try:
        require_cron(text)
    except ValueError:
        return
    assert is_valid_cron_schedule(text)


@pytest.mark.parametrize(
    ("text", "zone", "now", "latest"),
    [
        ("0 6 * * *", "UTC", "2026-11-24T06:00", "2026-11-24T06:00"),
        ("0 6 * * *", "UTC", "2026-11-24T05:59", "2026-11-23T06:00"),
        ("0 6 * * 0", "UTC", "2026-11-24T06:00", "2026-11-22T06:00"),
        ("0 6 * * 7", "UTC", "2026-11-24T06:00", "2026-11-22T06:00"),
        ("0 6 1 * mon", "UTC", "2026-11-24T06:00", "2026-11-23T06:00"),
        ("0 0 29 2 *", "UTC", "2027-01-01T00:00", "2024-02-29T00:00"),
        ("0 6 * * *", "America/New_York", "2026-11-24T10:59", "2026-11-23T11:00"),
        ("30 2 * * *", "America/New_York", "2026-03-08T12:00", "2026-03-08T07:30"),
        ("30 1 * * *", "America/New_York", "2026-11-01T12:00", "2026-11-01T05:30"),
    ],
)
def test_the_latest_time_of_an_expression(text: str, zone: str, now: str, latest: str) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert latest_time(text, zone, at) == datetime.fromisoformat(latest).replace(tzinfo=UTC)


@given(
    text=st.sampled_from(["*/7 3,9 * * *", "0 6 1,15 * *", "5 0 * * mon-fri", "0 12 31 * *"]),
    zone=st.sampled_from(["UTC", "Asia/Tokyo"]),
    hours=st.integers(0, 24 * 365),
)
def test_dagster_finds_the_same_latest_time(text: str, zone: str, hours: int) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
    theirs = next(reverse_cron_string_iterator(now.timestamp(), text, zone))
    assert latest_time(text, zone, now) == theirs


def test_examples_run() -> None:
    assert doctest.testmod(cron).failed == 0

import doctest
import re

import pytest
from dagster._utils.schedules import is_valid_cron_schedule
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.spec import cron
from mlops_assets.spec.cron import require_cron


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


def test_examples_run() -> None:
    assert doctest.testmod(cron).failed == 0

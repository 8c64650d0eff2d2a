from datetime import UTC, date, datetime, timedelta
from typing import Literal

import polars as pl
import pytest

from mlops_assets.data.partitions import Window, part_names, parts_in, require_whole_partitions
from mlops_assets.spec.data import PartitionsSpec

TUESDAY = date(2013, 1, 1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def every(length: Literal["day", "week", "month"]) -> PartitionsSpec:
    return PartitionsSpec(every=length, start=TUESDAY)


@pytest.mark.parametrize(
    ("length", "time", "name"),
    [
        pytest.param("day", "2013-01-01T23:59:59", "2013-01-01", id="the_last_second_of_a_day"),
        pytest.param("day", "2013-01-02T00:00:00", "2013-01-02", id="midnight_begins_a_day"),
        pytest.param("week", "2013-01-07T23:00:00", "2013-01-01", id="the_last_day_of_a_week"),
        pytest.param("week", "2013-01-08T00:00:00", "2013-01-08", id="a_week_begins"),
        pytest.param("week", "2012-12-31T00:00:00", "2012-12-25", id="a_week_before_the_first"),
        pytest.param("month", "2013-02-28T23:00:00", "2013-02-01", id="months_begin_on_the_first"),
    ],
)
def test_the_partition_of_a_time(
    length: Literal["day", "week", "month"], time: str, name: str
) -> None:
    assert part_names(pl.Series([at(time), None]), every(length)).to_list() == [name, None]


@pytest.mark.parametrize(
    ("length", "start", "end", "whole"),
    [
        pytest.param("week", "2013-01-01", "2013-01-15", True, id="two_weeks"),
        pytest.param("week", "2013-01-01", "2013-01-14", False, id="a_day_short_of_two_weeks"),
        pytest.param("month", "2013-01-01", "2013-02-01", True, id="a_month"),
        pytest.param("month", "2013-01-02", "2013-02-01", False, id="a_month_but_a_day"),
        pytest.param("day", "2013-01-01", "2013-01-01", False, id="an_empty_window"),
        pytest.param("day", "2013-01-01T01:00", "2013-01-02", False, id="a_part_of_a_day"),
    ],
)
def test_a_window_that_cuts_a_partition_is_refused(
    length: Literal["day", "week", "month"], start: str, end: str, whole: bool
) -> None:
    window = Window(at(start), at(end))
    if whole:
        require_whole_partitions(window, every(length))
    else:
        with pytest.raises(ValueError, match="not made of whole partitions"):
            require_whole_partitions(window, every(length))


def test_a_window_is_half_open() -> None:
    window = Window(at("2013-01-02"), at("2013-01-04"))
    names = [f"2013-01-0{day}" for day in range(1, 6)]
    assert parts_in(window, names) == {"2013-01-02", "2013-01-03"}
    assert parts_in(None, names) == set(names)


def test_a_window_is_written_with_times_only_where_it_needs_them() -> None:
    start = at("2013-01-01")
    assert str(Window(start, start + timedelta(days=1))) == "2013-01-01/2013-01-02"
    assert str(Window(start, start + timedelta(hours=1))) == "2013-01-01/2013-01-01T01:00:00+00:00"

"""Which partition a row belongs to, and which partitions a window holds. Pure.

A partition is named by its first day, `2013-01-01`. Days and months are those of UTC; weeks begin
on the weekday of `source.partitions.start`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

import polars as pl

from mlops_assets.spec.data import PartitionsSpec


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open range of time, both ends aware."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{_written(self.start)}/{_written(self.end)}"


def part_names(times: pl.Series, partitions: PartitionsSpec) -> pl.Series:
    """The name of each time's partition; missing where the time is.

    >>> weekly = PartitionsSpec(every="week", start=date(2013, 1, 1))  # a Tuesday
    >>> times = pl.Series([datetime(2013, 1, 7, 23, tzinfo=UTC), datetime(2013, 1, 8, tzinfo=UTC)])
    >>> part_names(times, weekly).to_list()
    ['2013-01-01', '2013-01-08']
    """
    days = times.dt.date()
    if partitions.every == "month":
        days = days.dt.truncate("1mo")
    elif partitions.every == "week":
        into_week = (pl.col("day") - partitions.start).dt.total_days() % 7
        days = pl.select(day=days).select(pl.col("day") - pl.duration(days=into_week)).to_series()
    return days.dt.strftime("%Y-%m-%d")


def require_whole_partitions(window: Window, partitions: PartitionsSpec) -> None:
    """Refuses a window that cuts a partition, whose other rows would be lost.

    Raises:
        ValueError: it does, or it is empty.
    """
    ends = pl.Series([window.start, window.end]).dt.convert_time_zone("UTC")
    firsts = [f"{end:%Y-%m-%d}" for end in ends]
    cut = any(end.time() != time() for end in ends)
    if cut or part_names(ends, partitions).to_list() != firsts or window.start >= window.end:
        raise ValueError(f"{window} is not made of whole partitions of a {partitions.every}")


def parts_in(window: Window | None, names: Iterable[str]) -> set[str]:
    """The partitions among the names that lie in a window; all of them without one."""
    if window is None:
        return set(names)
    return {name for name in names if window.start <= _start(name) < window.end}


def _start(name: str) -> datetime:
    return datetime.combine(date.fromisoformat(name), time(), UTC)


def _written(end: datetime) -> str:
    end = end.astimezone(UTC)
    return f"{end:%Y-%m-%d}" if end.time() == time() else end.isoformat()

"""Which stretch of a model's predictions is judged at once: names and bounds of windows.

Here: `Window`, windows by time and their names, the cut of a window of rows, and which windows have
ended.
Not here: which of them is judged next (`due.py`), what is said of it (`judging.py`), and where that
is kept (`store.py`).

Windows of a day or an hour are UTC and named by their begin. A window of rows belongs to a version:
`v3-00007` is the seventh. It begins where the one before ended, and ends behind the row that makes
it full; rows of the same moment stay together, so it may hold a few more than asked.
"""

import re
from datetime import UTC, datetime, timedelta

import polars as pl
from pydantic import AwareDatetime

from mlops_assets.errors import MonitoringError
from mlops_assets.monitoring.record import Record
from mlops_assets.spec.monitoring import WindowLength, WindowSpec

_FORMATS: dict[WindowLength, str] = {"day": "%Y-%m-%d", "hour": "%Y-%m-%d-%H:%M"}  # as Dagster's
_LENGTHS: dict[WindowLength, timedelta] = {"day": timedelta(days=1), "hour": timedelta(hours=1)}
_ROWS_KEY = re.compile(r"v(?P<version>[^-]+)-(?P<number>\d{5,})")
_TICK = timedelta(microseconds=1)


class Window(Record):
    """A half-open stretch of time `[start, end)`, UTC, under its name."""

    key: str
    start: AwareDatetime
    end: AwareDatetime


def time_window(key: str, every: WindowLength) -> Window:
    """The window of a day or an hour, by its name.

    >>> time_window("2026-03-01-05:00", "hour").end.isoformat()
    '2026-03-01T06:00:00+00:00'

    Raises:
        MonitoringError: it is no such name.
    """
    try:
        start = datetime.strptime(key, _FORMATS[every]).replace(tzinfo=UTC)
    except (ValueError, KeyError) as error:
        raise MonitoringError(f"{key!r} names no window of a model judged by {every}") from error
    return Window(key=key, start=start, end=start + _LENGTHS[every])


def window_at(at: datetime, every: WindowLength) -> Window:
    """The window of a day or an hour that a moment lies in."""
    return time_window(floor_to(at, every).strftime(_FORMATS[every]), every)


def floor_to(at: datetime, every: WindowLength) -> datetime:
    """Begin of the day or the hour."""
    at = at.astimezone(UTC)
    begin = at.replace(minute=0, second=0, microsecond=0)
    return begin if every == "hour" else begin.replace(hour=0)


def ended_windows(after: datetime, now: datetime, every: WindowLength) -> list[Window]:
    """The windows that ended later than a moment and not later than now, oldest first."""
    step = _LENGTHS[every]
    window = window_at(max(after, now - 5_000 * step), every)
    found = []
    while window.end <= now:
        if window.end > after:
            found.append(window)
        window = window_at(window.end, every)
    return found


def rows_key(version: str, number: int) -> str:
    """Name of a version's n-th window of rows, from 1."""
    return f"v{version}-{number:05d}"


def read_rows_key(key: str) -> tuple[str, int]:
    """Version and number of a window of rows.

    Raises:
        MonitoringError: it is no such name.
    """
    found = _ROWS_KEY.fullmatch(key)
    if found is None:
        raise MonitoringError(f"{key!r} names no window of rows; one is v3-00007")
    return found["version"], int(found["number"])


def cut_rows(key: str, times: pl.Series, n_rows: int, begin: datetime, now: datetime) -> Window:
    """The window of rows that begins at a moment.

    Args:
        key: Its name.
        times: Times of the version's rows from `begin` on, in any order.
        n_rows: Rows that fill it.
        begin: End of the one before; for the first any moment before the first row.
        now: End of a window that is not full.

    Returns:
        A window that ends behind the row that fills it; one that ends a moment after now when there
        are too few, since it goes on. A row that is dated later than now does not fill it.
    """
    ordered = times.sort()
    start: datetime = ordered[0] if ordered.len() else begin
    if ordered.len() < n_rows:
        return Window(key=key, start=start, end=max(now, start) + _TICK)
    return Window(key=key, start=start, end=ordered[n_rows - 1] + _TICK)


def is_ended(window: Window, now: datetime) -> bool:
    """Whether it is over, so that only truth can still come."""
    return window.end <= now


def length_of(settings: WindowSpec) -> timedelta:
    """How long a window lasts; of rows nobody knows, and they are taken as an hour."""
    return _LENGTHS.get(settings.every, timedelta(hours=1))

"""Cron expressions of five fields, checked without a scheduler.

Whatever passes here is accepted by Dagster too; Dagster accepts more (`@daily`, `L`, `mon#1`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from zoneinfo import ZoneInfo

_STEP = re.compile(r"^(?P<range>[^/]+)(/(?P<step>\d+))?$")
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five fields: its numbers and their names."""

    name: str
    first: int
    last: int
    names: Mapping[str, int] = field(default_factory=dict)

    def read(self, text: str) -> set[int]:
        """The numbers that the field stands for.

        Raises:
            ValueError: it cannot be read; the message says what may stand there.
        """
        numbers: set[int] = set()
        for item in text.lower().split(","):
            match = _STEP.match(item)
            step = int(match["step"] or 1) if match else 0
            if match is None or step == 0:
                raise ValueError(self._allowed(item))
            low, high = self._range(match["range"], has_step=match["step"] is not None)
            numbers.update(range(low, high + 1, step))
        return numbers

    def _range(self, text: str, *, has_step: bool) -> tuple[int, int]:
        if text == "*":
            return self.first, self.last
        low, dash, high = text.partition("-")
        start = self._number(low)
        end = self._number(high) if dash else self.last if has_step else start
        if start > end:
            raise ValueError(self._allowed(text))
        return start, end

    def _number(self, text: str) -> int:
        number = self.names.get(text, int(text) if text.isdecimal() else -1)
        if not self.first <= number <= self.last:
            raise ValueError(self._allowed(text))
        return number

    def _allowed(self, found: str) -> str:
        names = list(self.names)
        named = f" or {names[0]} to {names[-1]}" if names else ""
        return (
            f"as {self.name} *, a number from {self.first} to {self.last}{named}, a range a-b, "
            f"a step */n, or a list of these; {found!r} is none"
        )


def _numbered(names: str, first: int) -> dict[str, int]:
    return {name: first + position for position, name in enumerate(names.split())}


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _numbered("jan feb mar apr may jun jul aug sep oct nov dec", 1)),
    _Field("day of week", 0, 7, _numbered("sun mon tue wed thu fri sat", 0)),
)


def require_cron(text: str) -> str:
    """The expression itself, when it can be read and comes true some day.

    Raises:
        ValueError: it cannot or does not; the message says what may stand there.

    >>> require_cron("0 6 * * mon-fri")
    '0 6 * * mon-fri'
    """
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"five fields, minute hour day month weekday, such as '0 6 * * 1'; found {len(fields)}"
        )
    numbers = [rule.read(value) for rule, value in zip(_FIELDS, fields, strict=True)]
    days, months = numbers[2], numbers[3]  # Dagster asks so of them whatever the weekday is
    if not any(day <= _LONGEST_MONTHS[month - 1] for day, month in product(days, months)):
        raise ValueError(f"a day that exists; no month {fields[3]} has a day {fields[2]}")
    return text


_FARTHEST_DAYS = 366 * 8  # 29 February comes again after eight years at the latest


def latest_time(text: str, timezone: str, now: datetime) -> datetime | None:
    """The last time at or before now at which an expression came true, in UTC.

    As in cron, when both days are restricted, either is enough. A time that the clocks skip in
    spring comes true an hour later; one that they repeat in autumn comes true once, the first time.

    Args:
        text: An expression that `require_cron` lets pass.
        timezone: IANA time zone in which it is meant.
        now: Aware.

    >>> latest_time("0 6 * * mon", "UTC", datetime(2026, 11, 24, 4, tzinfo=UTC)).isoformat()
    '2026-11-23T06:00:00+00:00'
    """
    words = text.split()
    minutes, hours, days, months, weekdays = (
        rule.read(word) for rule, word in zip(_FIELDS, words, strict=True)
    )
    zone = ZoneInfo(timezone)
    either = "*" not in (words[2], words[4])
    times = [time(hour, minute) for hour in sorted(hours) for minute in sorted(minutes)]

    def is_on(day: date) -> bool:
        of_month = day.day in days
        of_week = not {day.isoweekday(), day.isoweekday() % 7}.isdisjoint(weekdays)
        return day.month in months and (of_month or of_week if either else of_month and of_week)

    today = now.astimezone(zone).date()
    for back in range(_FARTHEST_DAYS):
        day = today - timedelta(days=back)
        if is_on(day):
            moments = [datetime.combine(day, at, zone).astimezone(UTC) for at in times]
            if past := [moment for moment in moments if moment <= now]:
                return max(past)
    return None

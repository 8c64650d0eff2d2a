"""Which window of a model is to be judged next: a pure function, asked by the sensor on each tick.

A window is due once it has ended and was not judged since; one that ended more than 45 windows ago
is passed over. It is due again when truth has come after it was judged, at most four times in its
own length, until all of its truth is known. A window of rows is due when the log may hold enough of
them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlops_assets.monitoring.window_record import RecentWindow, RecentWindows
from mlops_assets.monitoring.windows import (
    Window,
    ended_windows,
    length_of,
    read_rows_key,
    rows_key,
)
from mlops_assets.serving.prediction_log.glance import LogGlance
from mlops_assets.spec.monitoring import WindowSpec

_MOST_BACK = 45
_SHORTEST, _LONGEST = timedelta(seconds=30), timedelta(hours=6)

RowsSince = Callable[[int, int], int]
"""Rows of the log after a version of its table, counted no further than a number."""


@dataclass(frozen=True, slots=True)
class DueWindow:
    """A window that is to be judged, and why."""

    key: str
    reason: str


def due_window(
    settings: WindowSpec,
    recent: RecentWindows,
    log: LogGlance,
    rows_since: RowsSince,
    champion: str | None,
    now: datetime,
) -> DueWindow | None:
    """The window to judge next; None: none is due.

    Args:
        settings: What a window is.
        recent: What was judged.
        log: What is known of the log.
        rows_since: Asked for windows of rows.
        champion: Version that serves; windows of rows are its.
        now: Aware.
    """
    new = (
        _due_rows(settings, recent, rows_since, champion)
        if settings.every == "rows"
        else _due_time(settings, recent, log, now)
    )
    return new or _due_again(settings, recent, log, now)


def _due_time(
    settings: WindowSpec, recent: RecentWindows, log: LogGlance, now: datetime
) -> DueWindow | None:
    if log.is_known and not log.days:
        return None
    back = now - _MOST_BACK * length_of(settings)
    judged = {w.window.key for w in recent.windows if w.is_ended}
    ended = ended_windows(back, now, settings.every)
    if not log.is_known and not judged:
        ended = ended[-1:]
    for window in ended:
        if window.key not in judged and _has_rows(window, log, recent):
            return DueWindow(window.key, f"the {settings.every} {window.key} has ended")
    return None


def _has_rows(window: Window, log: LogGlance, recent: RecentWindows) -> bool:
    """Whether something was logged on the day of a window. Of other lakes nobody knows; there all
    windows after the first judged one are looked into."""
    if log.is_known:
        return window.start.date() in log.days
    return not recent.windows or window.start >= recent.windows[0].window.start


def _due_rows(
    settings: WindowSpec, recent: RecentWindows, rows_since: RowsSince, champion: str | None
) -> DueWindow | None:
    if champion is None or settings.rows is None:
        return None
    own = [w for w in recent.windows if w.window.key.startswith(f"v{champion}-")]
    last = own[-1] if own else None
    needed = settings.rows
    if last is None:
        key = rows_key(champion, 1)
    elif last.is_ended:
        key = rows_key(champion, read_rows_key(last.window.key)[1] + 1)
        needed = max(0, needed - last.n_behind)
    else:
        key, needed = last.window.key, max(1, needed - last.verdict.window.n_rows)
    newest = recent.windows[-1] if recent.windows else None
    since = last or newest
    version = since.log_version if since is not None and since.log_version is not None else -1
    n_rows = rows_since(version, needed)
    if n_rows < needed:
        return None
    return DueWindow(key, f"{settings.rows:,} rows of v{champion} may be there")


def _due_again(
    settings: WindowSpec, recent: RecentWindows, log: LogGlance, now: datetime
) -> DueWindow | None:
    interval = min(max(length_of(settings) / 4, _SHORTEST), _LONGEST)
    if settings.every == "rows":
        interval = _SHORTEST
    waiting = [
        w
        for w in recent.windows[-_MOST_BACK:]
        if w.is_ended
        and w.verdict.window.n_with_truth < w.verdict.window.n_rows
        and now >= w.judged_at + interval
        and _truth_came(w, log)
    ]
    if not waiting:
        return None
    oldest = min(waiting, key=lambda w: w.judged_at)
    return DueWindow(oldest.window.key, f"truth has come since {oldest.window.key} was judged")


def _truth_came(window: RecentWindow, log: LogGlance) -> bool:
    if not log.is_known:
        return True
    return log.truth_changed_at is not None and log.truth_changed_at > window.judged_at

"""A model's past as live traffic: hour by hour, never faster than asked, window by window.

Here: `play`, which sends what came in an hour, moves the model's clock behind it, and has a
`Follower` wait at the end of each window. Not here: requests (`calling.py`), the log's times
(`serving/prediction_log/timeline.py`), and who judges and decides: the platform that runs.

Killed at any line, a replay goes on where it was: an hour that was not written down is sent again
under the same ids, and a window that was not waited for is waited for.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

from mlops_assets.backtest.history import History
from mlops_assets.monitoring.store import MonitoringStore
from mlops_assets.monitoring.windows import Window, window_at
from mlops_assets.replay.calling import Callers
from mlops_assets.replay.position import Position, read_position, write_position
from mlops_assets.serving.home import ServingHome
from mlops_assets.serving.prediction_log.records import FEATURE_PREFIX
from mlops_assets.serving.prediction_log.timeline import Timeline, read_timeline, write_timeline

_HOUR = timedelta(hours=1)


class Follower(Protocol):
    """Waits for whoever judges windows and decides on retraining."""

    def settle(self, window: Window, n_rows: int) -> None:
        """Return once a window was judged and what follows from it was decided.

        Args:
            window: It ended, by the model's clock. Where windows are of rows: the day.
            n_rows: Rows of it that were sent.
        """


@dataclass(frozen=True, slots=True)
class Stage:
    """What a replay touches.

    Attributes:
        history: What is played.
        callers: Send it.
        follower: Waits between windows.
        windows: Keeps the model's clock.
        home: Holds the timeline of the log.
        position: File that tells how far it is.
    """

    history: History
    callers: Callers
    follower: Follower
    windows: MonitoringStore
    home: ServingHome
    position: Path


def play(
    stage: Stage,
    *,
    speed: float,
    until: datetime | None = None,
    tell: Callable[[Position], object] = id,
) -> Position:
    """Plays from where it was left to a moment, or to the last whole window.

    Args:
        stage: What it touches.
        speed: Seconds of the past in a real second, at most.
        until: Where to stop; by default at the end.
        tell: Told how far it is; by default nobody is.

    Raises:
        HistoryError: the position cannot be read.
        ServingError: nobody answers.
        MonitoringError: the clock cannot be written.
    """
    history, name = stage.history, stage.history.spec.name
    end = min(until or history.end, last_window_end(history))
    position = read_position(stage.position) or Position.first(name, history.begin)
    position = _settle(stage, position)
    earliest = time.monotonic()
    for start, stop in _hours(position.at, end):
        time.sleep(max(0.0, earliest - time.monotonic()))
        earliest = time.monotonic() + (stop - start).total_seconds() / speed
        position = _send(stage, position, start, stop, speed)
        write_position(stage.position, position)
        stage.windows.set_clock(name, stop)
        position = _settle(stage, position)
        tell(position)
    return position


def last_window_end(history: History) -> datetime:
    """The end of the last whole day (or hour) that is played."""
    return window_at(history.end, _length(history)).start


def _length(history: History) -> Literal["day", "hour"]:
    """How often a replay waits; windows of rows end whenever they are full, so once a day."""
    return "hour" if history.spec.monitoring.window.every == "hour" else "day"


def _hours(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    while start < end:
        stop = min(window_at(start, "hour").end, end)
        yield start, stop
        start = stop


def _send(
    stage: Stage, position: Position, start: datetime, stop: datetime, speed: float
) -> Position:
    """An hour: its predictions, then the truths that came in it."""
    history, service = stage.history, stage.history.spec.service
    low, high = history.positions(start, stop)
    rows = history.log[low:high]
    real = time.time_ns()
    timeline = read_timeline(stage.home, service)
    timeline = timeline.followed_by(start, stop, speed=speed, real_ns=real)
    write_timeline(stage.home, service, timeline)
    features = {n: n.removeprefix(FEATURE_PREFIX) for n in rows.columns if FEATURE_PREFIX in n}
    inputs = rows.select(list(features)).rename(features).iter_rows(named=True)
    ids = [_id(history, row_id) for row_id in rows["prediction_id"]]
    sent = stage.callers.predict(zip(ids, inputs, strict=True))
    n_truths = stage.callers.tell(_truths(history, start, stop))
    return position.model_copy(
        update={
            "at": stop,
            "n_sent": position.n_sent + sent.n,
            "n_failed": position.n_failed + sent.n_failed,
            "n_truths": position.n_truths + n_truths,
        }
    )


def _truths(history: History, start: datetime, stop: datetime) -> list[Mapping[str, Any]]:
    came = history.log["truth_received_at"]
    rows = history.log.filter((came >= start) & (came < stop))
    return [
        {"id": _id(history, row_id), "value": truth, "time": at.isoformat()}
        for row_id, truth, at in rows.select(
            "prediction_id", "truth", "truth_received_at"
        ).iter_rows()
    ]


def _id(history: History, row_id: str) -> str:
    return f"replay-{history.begin:%Y%m%d}-{row_id}"


def _settle(stage: Stage, position: Position) -> Position:
    """Waits for each window that ended and was not waited for yet."""
    length = _length(stage.history)
    window = window_at(position.settled, length)
    while window.end <= position.at:
        stage.windows.set_clock(position.model, max(window.end, position.at))
        start = max(window.start, position.begin)
        low, high = stage.history.positions(start, window.end)
        stage.follower.settle(window, high - low)
        position = position.model_copy(update={"settled": window.end})
        write_position(stage.position, position)
        window = window_at(window.end, length)
    return position


def forget(stage_home: ServingHome, windows: MonitoringStore, model: str, service: str) -> None:
    """Let a model live in real time again; what was played stays in its log."""
    write_timeline(stage_home, service, Timeline())
    windows.set_clock(model, None)

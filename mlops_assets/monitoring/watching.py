"""One window from its name to a kept verdict: read, judge, keep.

Called by the assets, the replay and tests, with the time as an argument. Safe to call twice and to
be killed at any line: a window has one record, and judging it again replaces that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mlops_assets.errors import MonitoringError
from mlops_assets.monitoring.judging import judge, judge_unknown
from mlops_assets.monitoring.logged_window import LoggedWindow, find_rows_window, read_window
from mlops_assets.monitoring.null import NullCache
from mlops_assets.monitoring.store import MonitoringStore
from mlops_assets.monitoring.trust import EstimateError
from mlops_assets.monitoring.verdict import Verdict
from mlops_assets.monitoring.versions import Versions
from mlops_assets.monitoring.window_record import RecentWindow, RecentWindows, WindowRecord
from mlops_assets.monitoring.windows import (
    Window,
    is_ended,
    read_rows_key,
    rows_key,
    time_window,
)
from mlops_assets.serving.prediction_log.store import PredictionStore
from mlops_assets.serving.prediction_log.tables import PREDICTIONS
from mlops_assets.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class Watch:
    """What watching a model touches.

    Attributes:
        log: Predictions and truth.
        versions: What windows are compared with.
        store: Where verdicts are kept.
        nulls: What was drawn already.
    """

    log: PredictionStore
    versions: Versions
    store: MonitoringStore
    nulls: NullCache = field(default_factory=NullCache)


@dataclass(frozen=True, slots=True)
class Watched:
    """A window that was judged just now.

    Attributes:
        record: What was found, and kept.
        logged: The rows that it rests on, of all versions.
        said_before: What was last said of the model up to this window, by a verdict that tells
            something; None: nothing was.
        is_newest: Whether no later window was judged.
    """

    record: WindowRecord
    logged: LoggedWindow
    said_before: Verdict | None
    is_newest: bool

    @property
    def is_changed(self) -> bool:
        """Whether the newest window says something else than was said last. That nobody can tell
        is no change, nor is the first word when it is good."""
        verdict = self.record.verdict.verdict
        if not (self.is_newest and self.record.is_ended) or verdict == "not_enough_data":
            return False
        return verdict != (self.said_before or "healthy")


def watch_window(
    watch: Watch, spec: ModelSpec, key: str, now: datetime, *, n_lost: int = 0
) -> Watched:
    """Judge a window by its name, and keep the verdict.

    Args:
        watch: What it touches.
        spec: The model's document.
        key: Name of the window, as `windows.py` has it.
        now: Aware.
        n_lost: Records that could not be read on their way into the log.

    Raises:
        MonitoringError: the name is none, or a record is not what was written.
        DocumentError: a record cannot be read or written.
        ServingError: the log cannot be read.
    """
    recent = watch.store.recent(spec.name)
    former = _judged_before(watch, spec.name, key, recent)
    log_version = watch.log.table_version(spec.service, PREDICTIONS)  # first: more may come
    window, n_behind = find_window(watch, spec, key, recent, now)
    if former is not None and former.is_ended and spec.monitoring.window.every == "rows":
        log_version = former.log_version  # what came since fills the next window
    tolerance = spec.monitoring.quality.clock_tolerance
    logged = read_window(
        watch.log, spec.service, window, now, n_lost=n_lost, clock_tolerance=tolerance
    )
    record = _judge(watch, spec, logged, former, recent, now)
    record = record.model_copy(update={"log_version": log_version, "n_behind": n_behind})
    watch.store.keep(record)
    return Watched(
        record=record,
        logged=logged,
        said_before=last_said(recent, window),
        is_newest=not any(w.is_ended and w.window.start >= window.end for w in recent.windows),
    )


def last_said(recent: RecentWindows, until: Window) -> Verdict | None:
    """The last verdict that tells something, on windows up to one, that one included."""
    said = [
        w.verdict.verdict
        for w in recent.windows
        if w.is_ended and w.window.end <= until.end and w.verdict.verdict != "not_enough_data"
    ]
    return said[-1] if said else None


def find_window(
    watch: Watch, spec: ModelSpec, key: str, recent: RecentWindows, now: datetime
) -> tuple[Window, int]:
    """The bounds of a window by its name, and the rows behind one of rows. One of rows that was
    full keeps both.

    Raises:
        MonitoringError: the name is none, or nobody knows where the window begins.
    """
    settings = spec.monitoring.window
    if settings.every != "rows":
        return time_window(key, settings.every), 0
    former = _judged_before(watch, spec.name, key, recent)
    if former is not None and former.is_ended:
        return former.window, former.n_behind
    version, number = read_rows_key(key)
    begin = None
    if number > 1:
        key_before = rows_key(version, number - 1)
        before = _judged_before(watch, spec.name, key_before, recent)
        if before is None:
            raise MonitoringError(
                f"{key} begins where {key_before} ends, which was never judged; judge that first"
            )
        begin = before.window.end
    return find_rows_window(watch.log, spec.service, key, settings.rows or 1, begin, now)


def _judged_before(
    watch: Watch, model: str, key: str, recent: RecentWindows
) -> RecentWindow | WindowRecord | None:
    """What was found of a window, however long ago; None: it was never judged."""
    return recent.find(key) or watch.store.window(model, key)


def next_rows_window(watch: Watch, spec: ModelSpec, key: str, now: datetime) -> str | None:
    """The window of rows after one, when that is over and the next is full already.

    So one run catches up with traffic that fills windows faster than runs begin. None: there is
    none, or windows are not made of rows.
    """
    recent = watch.store.recent(spec.name)
    former = recent.find(key)
    if spec.monitoring.window.every != "rows" or former is None or not former.is_ended:
        return None
    version, number = read_rows_key(key)
    following = rows_key(version, number + 1)
    window, _ = find_window(watch, spec, following, recent, now)
    return following if is_ended(window, now) else None


def choose_version(
    versions: Mapping[str, int], champion: str | None, judged: str | None, minimum_rows: int
) -> str | None:
    """Which version a window judges: the one that it judged before; else the champion, when it
    answered enough of it; else the one that answered most. None: nobody answered."""
    if judged is not None:
        return judged
    if champion is not None and versions.get(champion, 0) >= minimum_rows:
        return champion
    return next(iter(versions), champion)


def _judge(
    watch: Watch,
    spec: ModelSpec,
    logged: LoggedWindow,
    former: RecentWindow | WindowRecord | None,
    recent: RecentWindows,
    now: datetime,
) -> WindowRecord:
    judged = None
    if former is not None and former.is_ended:
        judged = former.verdict.window.model_version
    if spec.monitoring.window.every == "rows":
        judged, _ = read_rows_key(logged.window.key)
    champion = watch.versions.champion()
    least = spec.monitoring.drift.minimum_rows
    version = choose_version(logged.versions(), champion, judged, least)
    if version is None:
        return judge_unknown(spec, logged, None, "there is no champion and nobody answered", now)
    try:
        references = watch.versions.references(version)
    except MonitoringError as error:
        return judge_unknown(spec, logged, version, str(error), now)
    if spec.monitored_metric not in references.performance.realised:
        why = f"version {version} was evaluated for another task, without {spec.monitored_metric}"
        return judge_unknown(spec, logged, version, why, now)
    errors = earlier_errors(recent, version, logged.window.start)
    return judge(spec, logged, references, now, errors=errors, nulls=watch.nulls)


def earlier_errors(recent: RecentWindows, version: str, before: datetime) -> list[EstimateError]:
    """How far the estimates of a version were off in windows that ended before a moment."""
    return [
        error
        for w in recent.windows
        if w.verdict.window.model_version == version and w.window.end <= before
        for error in w.errors
    ]

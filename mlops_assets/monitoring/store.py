"""Where judged windows are kept: a record for each model and window, and the recent ones in short.

windows/<key>   all that a verdict rests on; judging a window again replaces it
recent          the latest windows, which trust, decisions and trends ask for; made of the former
clock           the time of a model that is replayed; else there is none

A window is written before the recent ones. Killed in between, the window counts once it is judged
again, and whoever asks for it finds it.
"""

import json
from datetime import datetime

from pydantic import ValidationError

from mlops_assets.data.documents import ModelDocuments, Stamp
from mlops_assets.errors import MonitoringError
from mlops_assets.monitoring.window_record import RecentWindow, RecentWindows, WindowRecord

RECENT, CLOCK, WINDOWS = "recent", "clock", "windows"
_MOST_RECENT = 100


class MonitoringStore:
    """The judged windows of all models.

    Args:
        documents: Where they are kept.
    """

    def __init__(self, documents: ModelDocuments) -> None:
        self.documents = documents
        self._known: dict[str, tuple[Stamp, RecentWindows]] = {}

    def keep(self, record: WindowRecord) -> None:
        """Keep a judged window; safe to repeat, also by two processes at once."""
        model = record.verdict.window.model
        with self.documents.alone(model):
            self.documents.write(model, _name(record.window.key), record.to_storage())
            recent = self.recent(model).with_window(RecentWindow.of(record), _MOST_RECENT)
            self.documents.write(model, RECENT, recent.model_dump_json(exclude_defaults=True))

    def window(self, model: str, key: str) -> WindowRecord | None:
        """A judged window; None when it was never judged.

        Raises:
            MonitoringError: its record cannot be read.
        """
        text = self.documents.read(model, _name(key))
        return None if text is None else WindowRecord.from_storage(text)

    def recent(self, model: str) -> RecentWindows:
        """The latest judged windows, oldest first. Read again only when they changed.

        Raises:
            MonitoringError: they cannot be read.
        """
        stamp = self.documents.stamp(model, RECENT)
        if stamp is not None and model in self._known and self._known[model][0] == stamp:
            return self._known[model][1]
        text = self.documents.read(model, RECENT)
        if text is None:
            return RecentWindows()
        try:
            found = RecentWindows.model_validate_json(text)
        except ValidationError as error:
            place = self.documents.path(model, RECENT)
            raise MonitoringError(
                f"{place}: the recent windows cannot be read; remove it and judge the windows "
                f"again ({error})"
            ) from error
        if stamp is not None:
            self._known[model] = (stamp, found)
        return found

    def now(self, model: str, real: datetime) -> datetime:
        """The time of a model: that of its replay, else the real one."""
        text = self.documents.read(model, CLOCK)
        if text is None:
            return real
        try:
            return datetime.fromisoformat(json.loads(text)["now"])
        except (ValueError, KeyError, TypeError) as error:
            place = self.documents.path(model, CLOCK)
            raise MonitoringError(f"{place}: the time of a replay cannot be read") from error

    def set_clock(self, model: str, now: datetime | None) -> None:
        """Give a model a time of its own, while it is replayed; None: the real one again."""
        if now is None:
            self.documents.delete(model, CLOCK)
        else:
            self.documents.write(model, CLOCK, json.dumps({"now": now.isoformat()}))


def _name(key: str) -> str:
    return f"{WINDOWS}/{key.replace(':', '_')}"

"""What was told already, a small file for each notification, so that nothing is told twice.

A file is claimed (locked) while its notification is sent, so two processes that tell the same thing
take turns and the second one finds it told. A kill between the sending and the writing tells it
once more, with the same id.
"""

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from mlops_assets.notify.notification import Delivery, Notification

_KEEP = timedelta(days=90)


@dataclass(slots=True)
class Claim:
    """One notification's record, held by this process.

    Attributes:
        was_sent: Whether it was sent before.
        n_failures: How often it failed so far.
    """

    was_sent: bool
    n_failures: int
    _descriptor: int

    def record(self, notification: Notification, delivery: Delivery, now: datetime) -> None:
        """Write what became of it."""
        failures = self.n_failures + (delivery.state == "failed")
        text = json.dumps(
            {
                "id": notification.id,
                "kind": notification.kind,
                "model": notification.model,
                "title": notification.title,
                "state": delivery.state,
                "reason": delivery.reason,
                "n_failures": failures,
                "at": now.isoformat(timespec="seconds"),
            },
            ensure_ascii=False,
        )
        os.pwrite(self._descriptor, text.encode(), 0)
        os.ftruncate(self._descriptor, len(text.encode()))
        os.fsync(self._descriptor)


class Ledger:
    """The records under one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def claim(self, notification_id: str) -> Iterator[Claim]:
        """One notification's record; whoever else claims it waits."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(notification_id)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            found = _read(os.pread(descriptor, 1_000_000, 0))
            was_sent = found.get("state") == "sent"
            yield Claim(was_sent, int(str(found.get("n_failures", 0))), descriptor)
        finally:
            os.close(descriptor)

    def read(self, notification_id: str) -> dict[str, object] | None:
        """What became of a notification; None when it was never tried."""
        try:
            return _read(self._path(notification_id).read_bytes()) or None
        except FileNotFoundError:
            return None

    def forget_old(self, now: datetime) -> None:
        """Delete records that nobody will ask for any more."""
        for path in self._folder.glob("*.json"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < (now - _KEEP).timestamp():
                    path.unlink()

    def _path(self, notification_id: str) -> Path:
        return self._folder / f"{hashlib.sha256(notification_id.encode()).hexdigest()[:24]}.json"


def _read(content: bytes) -> dict[str, object]:
    """A record; one that a kill cut short counts as never written."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

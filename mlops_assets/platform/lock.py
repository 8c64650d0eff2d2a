"""One platform per home: a lock that ends with the process that holds it.

The lock is the kernel's (`flock`), so a killed platform never leaves it behind. What the file says
is only for people: who holds it, since when, and where its pages are.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops_assets.errors import PlatformError

_LOOK_SECONDS = 0.2  # far more than it takes to see whether the lock is held


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a home.

    Attributes:
        pid: Process of `mlops-assets up`.
        instance: Name of this start; its processes carry it (`environment.py`).
        started_at: ISO 8601, UTC.
        urls: Where its pages answer, by name.
    """

    pid: int
    instance: str
    started_at: str
    urls: Mapping[str, str] = field(default_factory=dict)


class PlatformLock:
    """A held lock. `former` is the holder that ended without leaving, if one did."""

    def __init__(self, descriptor: int, holder: Holder, former: Holder | None) -> None:
        self._descriptor = descriptor
        self.holder = holder
        self.former = former

    def publish(self, urls: Mapping[str, str]) -> None:
        """Writes where the pages are, for `status`."""
        self.holder = replace(self.holder, urls=dict(urls))
        _write(self._descriptor, self.holder)


@contextmanager
def hold(path: Path, instance: str) -> Iterator[PlatformLock]:
    """Holds a home's lock.

    Raises:
        PlatformError: a live platform holds it; the message names its process.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(descriptor, path)
        holder = Holder(os.getpid(), instance, datetime.now(UTC).isoformat(timespec="seconds"))
        held = PlatformLock(descriptor, holder, _read(path))
        _write(descriptor, holder)
        try:
            yield held
        finally:
            os.ftruncate(descriptor, 0)  # left in peace or refused, not killed
    finally:
        os.close(descriptor)


def current_holder(path: Path) -> Holder | None:
    """Who holds the lock now; None when nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY)  # another user's may be looked at, too
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(path)
    finally:
        os.close(descriptor)
    return None


def _take(descriptor: int, path: Path) -> None:
    """Takes the lock. `current_holder` has it for a moment to see whether anybody does."""
    deadline = time.monotonic() + _LOOK_SECONDS
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise PlatformError(_already_held(path)) from error
        time.sleep(_LOOK_SECONDS / 10)


def _already_held(path: Path) -> str:
    holder = _read(path)
    who = f"process {holder.pid}, since {holder.started_at}" if holder else "another process"
    return (
        f"a platform runs in {path.parent} already ({who}). Look at it with `mlops-assets status`, "
        "stop it, or start this one elsewhere with --home"
    )


def _read(path: Path) -> Holder | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        return Holder(**found)
    except (OSError, ValueError, TypeError):
        return None  # empty after a clean stop; half a line after a kill


def _write(descriptor: int, holder: Holder) -> None:
    text = json.dumps(asdict(holder)).encode()
    os.pwrite(descriptor, text, 0)  # then the rest of a longer one: no reader finds it empty
    os.ftruncate(descriptor, len(text))

"""Ends the wait for request bodies that do not come, at next to no cost for those that do.

A timer for each request would take 3 µs of the 50 that a prediction takes; here one sweep a second
looks at what waits.
"""

import asyncio
import time
from typing import Protocol

from mlops_assets.serving.protocol.refusal import RequestError

BODY_SECONDS = 30.0
_SWEEP_SECONDS = 1.0


class Waiting(Protocol):
    """Who waits for a body."""

    def give_up(self) -> None:
        """It did not come in time."""


class Patience:
    """How long bodies may take, for all requests of one process. All in the event loop's thread.

    Args:
        seconds: Longest wait for a whole body; up to a second more, since a sweep ends it.
    """

    def __init__(self, seconds: float = BODY_SECONDS) -> None:
        self._seconds = seconds
        self._started: dict[Waiting, float] = {}  # oldest first
        self._sweeps = False

    def begin(self, waiting: Waiting, loop: asyncio.AbstractEventLoop) -> None:
        """It begins to wait."""
        self._started[waiting] = time.monotonic()
        if not self._sweeps:
            self._sweeps = True
            loop.call_later(_SWEEP_SECONDS, self._sweep, loop)

    def end(self, waiting: Waiting) -> bool:
        """It waits no more. False: patience ended before."""
        return self._started.pop(waiting, None) is not None

    def refusal(self) -> RequestError:
        """What a caller is told whose body did not come."""
        return RequestError(408, f"body: expected all of it in {self._seconds:g} s")

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        latest = time.monotonic() - self._seconds
        for waiting, started in list(self._started.items()):
            if started > latest:
                break
            if self.end(waiting):
                waiting.give_up()
        loop.call_later(_SWEEP_SECONDS, self._sweep, loop)

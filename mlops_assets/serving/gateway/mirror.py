"""Copies of answered requests to a shadow revision, whose answers reach nobody.

A copy is taken after the caller's answer is there, and put into a queue of bounded length and size;
when the queue is full the copy is dropped and counted. It is sent in a quiet moment, when nobody
waits for an answer and nobody asked within the last 2 ms, since the shadow takes the processor from
whoever asks next. Where no moment is quiet, ten copies a second are sent all the same. What the
shadow answers stands in the prediction log, marked so.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from mlops_assets.serving.gateway.replica import Replica
from mlops_assets.serving.gateway.upstream import UpstreamLostError, build_request
from mlops_assets.serving.prediction_log.failures import FailureLog, failure_of
from mlops_assets.serving.prediction_log.records import LOST
from mlops_assets.serving.protocol.http import TextHeaders

_QUIET_SECONDS = 0.002
_LONGEST_PAUSE_SECONDS = 0.016
_LONGEST_WAIT_SECONDS = 0.1  # more often, and the slowest hundredth of the requests would tell
_SHADOW = ("x-mlops-shadow", "1")


@dataclass(frozen=True, slots=True)
class Copy:
    """One request to repeat."""

    path: str
    headers: TextHeaders
    body: bytes
    prediction_id: str = ""
    unit: str = ""


@dataclass(slots=True)
class Mirrored:
    """What became of one service's copies, and those that wait."""

    n_answered: int = 0
    n_failed: int = 0
    n_dropped: int = 0
    waiting: deque[tuple[Replica, Copy]] = field(default_factory=deque)
    waiting_bytes: int = 0
    n_senders: int = 0


class Callers(Protocol):
    """Who must not notice.

    Attributes:
        busy_at: When the last one came, of `time.monotonic`.
    """

    busy_at: float

    @property
    def n_in_flight(self) -> int:
        """Requests that wait for their answer."""


class Mirror:
    """Sends copies, a few at a time for each service.

    Args:
        timeout_seconds: Longest wait for a shadow's answer.
        failures: Where copies that a shadow failed are logged.
        callers: For whose quiet moments copies wait; None sends them at once.
        max_waiting: Copies of one service that may wait; more are dropped.
        max_waiting_bytes: Bodies of one service that may wait; more are dropped.
        senders: Copies of one service that are sent at the same time.
    """

    def __init__(
        self,
        timeout_seconds: float,
        *,
        failures: FailureLog | None = None,
        callers: Callers | None = None,
        max_waiting: int = 256,
        max_waiting_bytes: int = 32_000_000,
        senders: int = 4,
    ) -> None:
        self._callers = callers
        self._turn = asyncio.Lock()
        self._failures = failures
        self.services: dict[str, Mirrored] = {}
        self._timeout_seconds = timeout_seconds
        self._max_waiting = max_waiting
        self._max_waiting_bytes = max_waiting_bytes
        self._senders = senders
        self._tasks: set[asyncio.Task[None]] = set()

    def offer(self, service: str, shadow: Replica, copy: Copy) -> bool:
        """Queue a copy; returns at once. False: it was dropped, since too many wait."""
        mirrored = self.services.setdefault(service, Mirrored())
        size = len(copy.body)
        if (
            len(mirrored.waiting) >= self._max_waiting
            or mirrored.waiting_bytes + size > self._max_waiting_bytes
        ):
            mirrored.n_dropped += 1
            return False
        mirrored.waiting.append((shadow, copy))
        mirrored.waiting_bytes += size
        if mirrored.n_senders < self._senders:
            mirrored.n_senders += 1
            task = asyncio.get_running_loop().create_task(self._send_all(mirrored))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return True

    def close(self) -> None:
        """Drop what waits and what is on its way."""
        for mirrored in self.services.values():
            mirrored.n_dropped += len(mirrored.waiting)
            mirrored.waiting.clear()
            mirrored.waiting_bytes = 0
        for task in self._tasks:
            task.cancel()

    async def _send_all(self, mirrored: Mirrored) -> None:
        try:
            while mirrored.waiting:
                await self._wait_for_quiet()
                if not mirrored.waiting:
                    break
                shadow, copy = mirrored.waiting.popleft()
                mirrored.waiting_bytes -= len(copy.body)
                began = time.perf_counter()
                status = await self._send(shadow, copy)
                if status is not None and LOST < status < 400:
                    mirrored.n_answered += 1
                else:
                    mirrored.n_failed += 1
                    self._log_failure(shadow, copy, status, time.perf_counter() - began)
        finally:
            mirrored.n_senders -= 1

    async def _wait_for_quiet(self) -> None:
        """Until nobody would notice. One sender after the other, so that few are sent if never."""
        if self._callers is None:
            return
        async with self._turn:
            pause = _QUIET_SECONDS
            latest = time.monotonic() + _LONGEST_WAIT_SECONDS
            while (now := time.monotonic()) < latest:
                if self._callers.n_in_flight == 0 and now - self._callers.busy_at > _QUIET_SECONDS:
                    return
                await asyncio.sleep(min(pause, latest - now))
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)  # a look holds up requests, too

    def _log_failure(self, shadow: Replica, copy: Copy, status: int | None, seconds: float) -> None:
        """What was answered by another revision speaks against this one, whatever its status."""
        if self._failures is None or status is None:
            return
        name, service = shadow.revision.name, shadow.revision.service
        failure = failure_of(name, copy.prediction_id, status, seconds, copy.unit, shadow=True)
        self._failures.write(service, failure)

    async def _send(self, shadow: Replica, copy: Copy) -> int | None:
        """The status of the shadow's answer; `LOST` when it died, None when it does not run."""
        upstream = shadow.upstream
        if upstream is None:
            return None
        request = build_request("POST", copy.path, [*copy.headers, _SHADOW], copy.body)
        shadow.n_in_flight += 1
        try:
            reply = await upstream.send(request, self._timeout_seconds)
        except UpstreamLostError:
            return LOST
        except TimeoutError:
            return 504
        finally:
            shadow.n_in_flight -= 1
        return reply.status

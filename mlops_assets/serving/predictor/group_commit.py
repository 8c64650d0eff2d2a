"""Answers whose records are written to the log together, and which are sent together.

Each answer that is handed to the server's reading thread may have to wake it, which takes longer
than making, encoding and writing the record. So an answer waits while another one is about to
follow, as a database lets transactions wait for one sync.
"""

import asyncio
import threading
from typing import Protocol

from mlops_assets.serving.predictor.log import PredictionLog
from mlops_assets.serving.predictor.metrics import EVENT_LOOP, SERVER_THREAD
from mlops_assets.serving.protocol.patience import Patience

# With more of them the thread that reads from connections would have nothing to do meanwhile.
_MOST = 3
# Whose body is not there so long after its head is slow, and not waited for.
_SOON_SECONDS = 0.001
_LOOK_SECONDS = 0.01


class LoggedAnswer(Protocol):
    """An answer that is sent once its record is written. Its methods must not raise."""

    def send_logged(self, thread: int, *, is_logged: bool) -> None:
        """Send it. `is_logged` is False when the disk is full; `thread` is who calls."""

    def fail(self, thread: int) -> None:
        """Send an error instead: the log cannot be written, by the exception under way."""


class GroupCommit:
    """Writes records, then sends their answers. Safe to use from several threads.

    Args:
        log: Where records are written.
        patience: Knows which bodies are on their way.
    """

    def __init__(self, log: PredictionLog, patience: Patience) -> None:
        self.log = log
        self._patience = patience
        self._lock = threading.Lock()  # of these:
        self._waiting: list[tuple[LoggedAnswer, bytes]] = []
        self._n_waited = 0  # since the last look
        self._looks = False

    def send_soon(
        self, answer: LoggedAnswer, record: bytes, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Send an answer, from the server's thread, now or with the next; 10 ms later at most."""
        with self._lock:
            self._waiting.append((answer, record))
            if len(self._waiting) < _MOST and self._patience.expects_one(_SOON_SECONDS):
                self._n_waited += 1
                if not self._looks:
                    self._looks = True
                    loop.call_soon_threadsafe(loop.call_later, _LOOK_SECONDS, self._look, loop)
                return
            group, self._waiting = self._waiting, []
        self._commit(group, SERVER_THREAD)

    def send_now(self, answer: LoggedAnswer, record: bytes) -> None:
        """Send an answer now, from the event loop's thread."""
        self._commit([(answer, record)], EVENT_LOOP)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send what still waits: the body that was to come soon does not."""
        with self._lock:
            group, self._waiting = self._waiting, []
            self._looks, self._n_waited = self._n_waited > 0, 0
            if self._looks:
                loop.call_later(_LOOK_SECONDS, self._look, loop)
        if group:
            self._commit(group, EVENT_LOOP)

    def _commit(self, group: list[tuple[LoggedAnswer, bytes]], thread: int) -> None:
        try:
            is_logged = self.log.append(*[record for _, record in group])
        except Exception:  # an OSError; whoever waits must hear of any other, too
            for answer, _ in group:
                answer.fail(thread)
            return
        for answer, _ in group:
            answer.send_logged(thread, is_logged=is_logged)

"""Answers of one turn of the event loop, whose records are written together, and then all are sent.

To send an answer may wake whoever waits for it, on a processor that rests: that takes as long as to
make it. The answers that follow find their callers' process awake. So all requests that have come
are answered first, then one write(2) logs them, then they are sent: the order in which Redis serves
its clients and appends to its log (`beforeSleep`).
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

_MOST = 8  # nobody waits for more than so many others
PATIENT_SECONDS = 0.000_25
"""An answer waits for no batch that takes longer."""
PATIENT_BYTES = 16_384
"""Nor for a longer body."""


class LoggedAnswer(Protocol):
    """An answer that is sent once its record is written. Its methods must not raise."""

    def send_logged(self, *, is_logged: bool) -> None:
        """Send it. `is_logged` is False when the disk is full."""

    def fail(self) -> None:
        """Send an error instead: the log cannot be written, by the exception under way."""


class GroupCommit:
    """Writes records, then sends their answers. All in the event loop's thread.

    Args:
        append: Writes records, all or none; False says that there was no room.
    """

    def __init__(self, append: Callable[..., bool]) -> None:
        self._append = append
        self._answers: list[LoggedAnswer] = []
        self._records: list[bytes] = []

    @property
    def n_waiting(self) -> int:
        """Answers that were not sent yet."""
        return len(self._answers)

    def send_soon(
        self, answer: LoggedAnswer, record: bytes, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Send an answer with the others of this turn."""
        self._records.append(record)
        self._answers.append(answer)
        n = len(self._answers)
        if n == 1:
            loop.call_soon(self.commit)
        elif n >= _MOST:
            self.commit()

    def commit(self) -> None:
        """Send what waits."""
        if not self._answers:
            return
        answers, self._answers = self._answers, []
        records, self._records = self._records, []
        try:
            is_logged = self._append(*records)
        except Exception:  # an OSError; whoever waits must hear of any other, too
            for answer in answers:
                answer.fail()
            return
        for answer in answers:
            answer.send_logged(is_logged=is_logged)

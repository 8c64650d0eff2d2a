"""How `up` is told to stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mlops_assets.platform.supervision import Supervisor


class Stop:
    """Whether somebody asked to stop: once in order, twice at once."""

    def __init__(self) -> None:
        self.is_asked = False
        self.supervisor: Supervisor | None = None

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.is_asked and self.supervisor is not None:
            self.supervisor.kill()
        self.is_asked = True

    @contextmanager
    def listening(self) -> Iterator["Stop"]:
        """Takes SIGINT, SIGTERM and SIGHUP until the block is left; under `nohup` no SIGHUP."""
        signals = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signals.append(signal.SIGHUP)
        former = {number: signal.signal(number, self._handle) for number in signals}
        try:
            yield self
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

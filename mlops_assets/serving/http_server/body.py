"""The body of a request as it comes: whole, or piece by piece."""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

from mlops_assets.serving.protocol.rsgi import CUT_OFF

_MOST_WAITING_BYTES = 262_144


class Body:
    """What has come of a body. Awaited it is whole; with a callback, too, but without a task.

    Everything in the event loop's thread. A body that ends too early raises RuntimeError, as
    granian's does.

    Args:
        changed: Called when `is_full` may have changed.

    Attributes:
        is_whole: Nothing more comes.
    """

    __slots__ = (
        "_callback", "_changed", "_is_cut", "_is_dropped", "_is_wanted_whole", "_n_waiting",
        "_pieces", "_waiter", "is_whole",
    )  # fmt: skip

    def __init__(self, changed: Callable[[], None]) -> None:
        self.is_whole = False
        self._changed = changed
        self._pieces: list[bytes] = []
        self._n_waiting = 0  # bytes
        self._is_cut = False
        self._is_dropped = False
        self._is_wanted_whole = False
        self._callback: Callable[[Body], object] | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether more of it should wait where it comes from."""
        return self._n_waiting > _MOST_WAITING_BYTES and not self._is_wanted_whole

    def feed(self, piece: bytes) -> None:
        """The next piece came."""
        if not self._is_dropped:
            self._pieces.append(piece)
            self._n_waiting += len(piece)
            if not self._is_wanted_whole:
                self._wake()

    def end(self) -> None:
        """It is whole."""
        self.is_whole = True
        self._wake()
        self._call_back()

    def cut(self) -> None:
        """The rest will not come."""
        self._is_cut = True
        self._wake()
        self._call_back()

    def want_whole(self) -> None:
        """Let all of it come; whoever asks knows how long it is."""
        was_full = self.is_full
        self._is_wanted_whole = True
        if was_full:
            self._changed()

    def add_done_callback(self, callback: Callable[["Body"], object]) -> None:
        """Call once it is whole or cut off; at once if it is."""
        self._callback = callback
        if self.is_whole or self._is_cut:
            self._call_back()

    def result(self) -> bytes:
        """All of it; RuntimeError when it was cut off."""
        if self._is_cut:
            raise RuntimeError(CUT_OFF)
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def cancel(self) -> None:
        """Nobody wants it any more: what else comes is dropped."""
        self._is_dropped = True
        self._callback = None
        self._pieces.clear()
        self._n_waiting = 0
        self._changed()

    def __await__(self) -> Generator[Any, None, bytes]:
        while not (self.is_whole or self._is_cut):
            yield from self._wait().__await__()
        return self.result()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Its pieces as they come; RuntimeError when it is cut off."""
        while True:
            while self._pieces:
                piece = self._pieces.pop(0)
                self._n_waiting -= len(piece)
                self._changed()
                yield piece
            if self._is_cut:
                raise RuntimeError(CUT_OFF)
            if self.is_whole:
                return
            await self._wait()

    def _wait(self) -> asyncio.Future[None]:
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _call_back(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback(self)

"""HTTP to a revision's process over its Unix socket, with connections kept open.

Our own few lines because a general client costs 0.3 ms a request; the other side is our predictor,
which always says how long its answer is. Over a kept connection a request is sent at once, without
a task. All in the event loop's thread.
"""

import asyncio
import contextlib
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mlops_assets.serving.protocol.http import TextHeaders

# More would not come from Python's own memory: four times as much takes ten times as long.
_CHUNK_BYTES = 65_536
_SWEEP_SECONDS = 0.25


class UpstreamLostError(Exception):
    """The revision's process ended, or closed the connection, before it answered."""


@dataclass(frozen=True, slots=True)
class UpstreamReply:
    """An answer as it came: headers in lower case."""

    status: int
    headers: TextHeaders
    body: bytes


class Asking(Protocol):
    """Who asks. Exactly one of these is called, once."""

    def answered(self, reply: UpstreamReply) -> None:
        """Here is the answer."""

    def lost(self) -> None:
        """The process or the connection ended before."""

    def timed_out(self) -> None:
        """There was no answer in time."""


class _Awaiting:
    """Asks as a coroutine."""

    def __init__(self, future: asyncio.Future[UpstreamReply]) -> None:
        self._future = future

    def answered(self, reply: UpstreamReply) -> None:
        if not self._future.done():
            self._future.set_result(reply)

    def lost(self) -> None:
        if not self._future.done():
            self._future.set_exception(UpstreamLostError("closed"))

    def timed_out(self) -> None:
        if not self._future.done():
            self._future.set_exception(TimeoutError())


class _Connection:
    """One connection, for one request at a time."""

    def __init__(
        self, upstream: "Upstream", loop: asyncio.AbstractEventLoop, to: socket.socket
    ) -> None:
        self._upstream = upstream
        self._loop = loop
        self._socket = to
        self._asking: Asking | None = None
        self._latest = 0.0  # of `time.monotonic`, when it is too late for an answer
        self._buffer = bytearray()  # of an answer that is not all there
        self._head: _Head | None = None
        self._rest = memoryview(b"")  # of the request, still to be sent
        self._is_open = True
        loop.add_reader(to.fileno(), self._read)

    def ask(self, request: bytes, asking: Asking, timeout_seconds: float) -> bool:
        """Send a request. False: nothing was sent, and nobody else will say so."""
        try:
            n_sent = self._socket.send(request)
        except BlockingIOError:
            n_sent = 0
        except OSError:
            return False
        self._latest = time.monotonic() + timeout_seconds
        self._asking = asking
        if n_sent < len(request):
            self._rest = memoryview(request)[n_sent:]
            self._loop.add_writer(self._socket.fileno(), self._write)
        return True

    def _take(self) -> Asking | None:
        asking, self._asking = self._asking, None
        return asking

    def _write(self) -> None:
        try:
            self._rest = self._rest[self._socket.send(self._rest) :]
        except BlockingIOError:
            return
        except OSError:
            self.end()
            return
        if not self._rest:
            self._loop.remove_writer(self._socket.fileno())

    def _read(self) -> None:
        try:
            data: bytes | bytearray = self._socket.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.end()
            return
        if self._buffer:
            self._buffer += data
            data = self._buffer
        if self._head is None:
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                self._head = _read_head(bytes(data[:end]), end + 4)
        if self._head is None or len(data) < self._head[2] + self._head[3]:
            self._buffer = data if data is self._buffer else bytearray(data)
            return
        status, headers, start, length = self._head
        self._settle(UpstreamReply(status, headers, bytes(data[start : start + length])))

    def _settle(self, reply: UpstreamReply) -> None:
        self._buffer, self._head = bytearray(), None
        asking = self._take()
        # An answer may come before its request is sent; the next one would end up in its body.
        if asking is None or self._rest or ("connection", "close") in reply.headers:
            self.end()
        else:
            self._upstream.keep(self)
        if asking is not None:
            asking.answered(reply)

    def expire(self, now: float) -> None:
        """End it when its answer is too late."""
        if self._asking is not None and now > self._latest:
            asking = self._take()
            self.end()
            if asking is not None:
                asking.timed_out()

    def end(self) -> None:
        """Close it; whoever waits for an answer gets none."""
        if not self._is_open:
            return
        self._is_open = False
        self._upstream.forget(self)
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        asking = self._take()
        if asking is not None:
            asking.lost()


_Head = tuple[int, TextHeaders, int, int]


def _read_head(head: bytes, start: int) -> _Head:
    """Status, headers, where the body begins and how long it is."""
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = []
    length = 0
    for line in lines:
        name, _, value = line.partition(": ")  # as hyper writes them: in lower case
        if name == "content-length":
            length = int(value)
        else:
            headers.append((name, value))
    return int(first[9:12]), headers, start, length


class Upstream:
    """The process of one revision, as the router reaches it. Made in a running event loop."""

    def __init__(self, socket_path: Path) -> None:
        self._path = str(socket_path)
        self._loop = asyncio.get_running_loop()
        self._idle: list[_Connection] = []
        self._connections: set[_Connection] = set()
        self._is_closed = False
        self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    def ask(self, request: bytes, asking: Asking, timeout_seconds: float) -> bool:
        """Send over a kept connection. False: there is none, and nothing was sent.

        A kept connection that the other side just closed is `lost`, and says nothing of the
        process.
        """
        try:
            connection = self._idle.pop()
        except IndexError:
            return False
        if connection.ask(request, asking, timeout_seconds):
            return True
        connection.end()
        return False

    async def send(self, request: bytes, timeout_seconds: float) -> UpstreamReply:
        """One exchange. A kept connection that the other side closed is replaced once.

        Raises:
            UpstreamLostError: the process is gone, or went before it answered.
            TimeoutError: no answer in time.
        """
        if self._idle:
            try:
                return await self._exchange(self._idle.pop(), request, timeout_seconds)
            except UpstreamLostError:
                pass
        return await self._exchange(await self._connect(), request, timeout_seconds)

    async def _connect(self) -> _Connection:
        to = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        to.setblocking(False)
        try:
            await self._loop.sock_connect(to, self._path)
        except BaseException as error:
            to.close()
            if isinstance(error, OSError):
                raise UpstreamLostError(str(error)) from error
            raise
        connection = _Connection(self, self._loop, to)
        self._connections.add(connection)
        return connection

    async def _exchange(
        self, connection: _Connection, request: bytes, timeout_seconds: float
    ) -> UpstreamReply:
        future: asyncio.Future[UpstreamReply] = self._loop.create_future()
        if not connection.ask(request, _Awaiting(future), timeout_seconds):
            connection.end()
            raise UpstreamLostError("closed")
        try:
            return await future
        except asyncio.CancelledError:
            connection.end()  # its answer, if one comes, must reach nobody else
            raise

    def keep(self, connection: _Connection) -> None:
        """A connection is free for the next request."""
        if self._is_closed:
            connection.end()
        else:
            self._idle.append(connection)

    def forget(self, connection: _Connection) -> None:
        """A connection ended."""
        self._connections.discard(connection)
        with contextlib.suppress(ValueError):  # it was in use
            self._idle.remove(connection)

    def _sweep(self) -> None:
        now = time.monotonic()
        for connection in tuple(self._connections):
            connection.expire(now)
        if self._connections or not self._is_closed:
            self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    def close(self) -> None:
        """Close the kept connections, and others once they have their answer."""
        self._is_closed = True
        for connection in tuple(self._idle):
            connection.end()


def build_request(method: str, path: str, headers: TextHeaders, body: bytes) -> bytes:
    """The bytes of a request."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    head = (
        f"{method} {path} HTTP/1.1\r\nhost: revision\r\n{lines}content-length: {len(body)}\r\n\r\n"
    )
    return head.encode("latin-1") + body

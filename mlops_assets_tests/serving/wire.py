"""HTTP as bytes on a socket: for requests that no client would send."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass

JSON = "content-type: application/json\r\n"


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """One connection."""

    def __init__(self, port: int, timeout_seconds: float) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_seconds)
        self._file = self._socket.makefile("rb")

    def send(self, data: bytes) -> bool:
        """Send all of it. False: the other side closed meanwhile."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def end_sending(self) -> None:
        """Say that nothing more comes, and still listen."""
        with contextlib.suppress(OSError):  # the other side may have ended already
            self._socket.shutdown(socket.SHUT_WR)

    def answer(self, *, to_head: bool = False) -> WireAnswer | None:
        """The next answer; None when the connection ended instead."""
        try:
            first = self._file.readline()
            headers = {}
            while line := self._file.readline().strip():
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
        except ConnectionResetError:
            return None
        if not first:
            return None
        length = 0 if to_head else int(headers.get("content-length", 0))
        return WireAnswer(int(first.split()[1]), headers, self._file.read(length))

    def is_closed(self) -> bool:
        """Whether the other side closes, waiting for it as long as for an answer."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        """Close it."""
        self._file.close()
        self._socket.close()


@contextlib.contextmanager
def connected(port: int, timeout_seconds: float = 20.0) -> Iterator[Wire]:
    """A connection, closed whatever happens."""
    wire = Wire(port, timeout_seconds)
    try:
        yield wire
    finally:
        wire.close()


def request_bytes(
    method: str, path: str, body: bytes = b"", *, headers: str = JSON, length: int | None = None
) -> bytes:
    """A request; `length` is declared instead of the body's, `headers` are lines."""
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}"
    declared = len(body) if length is None else length
    return f"{head}content-length: {declared}\r\n\r\n".encode("latin-1") + body

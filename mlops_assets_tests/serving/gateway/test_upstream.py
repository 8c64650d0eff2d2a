"""Requests to a revision's process: answered, lost or too late, and exactly one of these."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from mlops_assets.serving.gateway.upstream import (
    Upstream,
    UpstreamLostError,
    UpstreamReply,
    build_request,
)
from mlops_assets.serving.server import run_loop

SECONDS = 60.0
OF_MANY_PIECES = 5_000_000
Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


def reply(body: bytes, more: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n%s\r\n%s" % (len(body), more, body)


async def echo(body: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(reply(body))


class Asked:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.done = asyncio.Event()

    def _note(self, what: str) -> None:
        self.told.append(what)
        self.done.set()

    def answered(self, reply: UpstreamReply) -> None:
        self._note(f"answered {reply.body!r}")

    def lost(self) -> None:
        self._note("lost")

    def timed_out(self) -> None:
        self._note("timed out")


def run(folder: Path, handle: Handler, use: Callable[[Upstream], Awaitable[None]]) -> int:
    """Use an upstream whose process is a handler here; how many connections it was sent."""
    path, n_connections = folder / "socket", 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal n_connections
        n_connections += 1
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.split(b"content-length: ")[1].split(b"\r")[0])
            await handle(await reader.readexactly(length), writer)

    async def main() -> None:
        async with await asyncio.start_unix_server(serve, path):
            upstream = Upstream(path)
            await use(upstream)
            upstream.close()

    asyncio.run(main())
    return n_connections


def request(body: bytes) -> bytes:
    return build_request("POST", "/", [("x", "y")], body)


def test_a_connection_is_kept_and_bodies_of_many_pieces_go_through(tmp_path: Path) -> None:
    async def use(upstream: Upstream) -> None:
        for body in (b"a", b"b" * OF_MANY_PIECES, b""):
            assert (await upstream.send(request(body), SECONDS)).body == body

    assert run(tmp_path, echo, use) == 1


def test_a_kept_connection_is_asked_without_a_task(tmp_path: Path) -> None:
    async def use(upstream: Upstream) -> None:
        assert not upstream.ask(request(b"a"), Asked(), SECONDS)  # there is none yet
        await upstream.send(request(b"a"), SECONDS)
        for body in (b"b", b"c" * OF_MANY_PIECES):
            asked = Asked()
            assert upstream.ask(request(body), asked, SECONDS)
            await asked.done.wait()
            assert asked.told == [f"answered {body!r}"]

    assert run(tmp_path, echo, use) == 1


def test_a_kept_connection_that_was_closed_is_replaced_once(tmp_path: Path) -> None:
    async def once(body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(body))
        writer.close()  # without a word, as a process that dies

    async def use(upstream: Upstream) -> None:
        for body in (b"a", b"b"):
            assert (await upstream.send(request(body), SECONDS)).body == body

    assert run(tmp_path, once, use) == 2


def test_a_connection_that_is_told_to_close_is_not_used_again(tmp_path: Path) -> None:
    async def leave(body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(body, b"connection: close\r\n"))

    async def use(upstream: Upstream) -> None:
        await upstream.send(request(b"a"), SECONDS)
        assert not upstream.ask(request(b"b"), Asked(), SECONDS)

    assert run(tmp_path, leave, use) == 1


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"])
def test_a_process_that_dies_with_a_request_loses_it(tmp_path: Path, said: bytes) -> None:
    async def die(body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(body) if body == b"first" else said)
        if body != b"first":
            writer.close()

    async def use(upstream: Upstream) -> None:
        await upstream.send(request(b"first"), SECONDS)
        asked = Asked()
        assert upstream.ask(request(b"second"), asked, SECONDS)
        await asked.done.wait()
        assert asked.told == ["lost"]
        with pytest.raises(UpstreamLostError):
            await upstream.send(request(b"third"), SECONDS)

    assert run(tmp_path, die, use) == 2


def test_an_answer_that_comes_too_late_reaches_nobody(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def wait(body: bytes, writer: asyncio.StreamWriter) -> None:
        if body == b"slow":
            await gate.wait()
        writer.write(reply(body))

    async def use(upstream: Upstream) -> None:
        await upstream.send(request(b"first"), SECONDS)
        asked = Asked()
        assert upstream.ask(request(b"slow"), asked, 0.01)
        await asked.done.wait()
        with pytest.raises(TimeoutError):
            await upstream.send(request(b"slow"), 0.01)
        gate.set()
        assert (await upstream.send(request(b"next"), SECONDS)).body == b"next"
        assert asked.told == ["timed out"]

    assert run(tmp_path, wait, use) == 3


def test_no_process_at_all(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(UpstreamLostError):
            await Upstream(tmp_path / "nothing").send(request(b""), SECONDS)

    asyncio.run(main())


def test_a_connection_whose_request_was_not_all_sent_is_not_used_again(tmp_path: Path) -> None:
    """Who refuses a path answers before the body is there; the next request is no part of it."""
    path, heads = tmp_path / "socket", []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(reply(b"refused"))

    async def main() -> None:
        async with await asyncio.start_unix_server(refuse, path):
            upstream = Upstream(path)
            for body in (b"a" * OF_MANY_PIECES, b"b"):
                assert (await upstream.send(request(body), SECONDS)).body == b"refused"
            upstream.close()

    asyncio.run(main())
    assert [head.split(b"content-length: ")[1].split(b"\r")[0] for head in heads] == [
        b"5000000",
        b"1",
    ]


def test_a_kept_connection_whose_end_nobody_was_told_of_is_closed(tmp_path: Path) -> None:
    """uvloop ends its watch when an answer and an error (a body that nobody read) come at once."""

    async def main() -> None:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(tmp_path / "socket"))
            listening.listen()
            upstream = Upstream(tmp_path / "socket")
            n_open = psutil.Process().num_fds()
            for _ in range(5):
                sending = asyncio.ensure_future(upstream.send(request(b"a"), SECONDS))
                process, _address = await asyncio.to_thread(listening.accept)
                await asyncio.to_thread(process.recv, 1, socket.MSG_PEEK)  # it stays unread
                process.send(reply(b"refused"))
                process.close()
                assert (await sending).body == b"refused"
                await asyncio.sleep(0)
                assert not upstream.ask(request(b"b"), Asked(), SECONDS)
            deadline = time.monotonic() + 30
            while psutil.Process().num_fds() > n_open:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            upstream.close()

    run_loop(main())

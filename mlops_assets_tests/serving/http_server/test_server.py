"""The HTTP server on its own: order, limits, ends, and callers who do as they like."""

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress

import pytest

from mlops_assets.serving.http_server import connection as http_connection
from mlops_assets.serving.http_server import server as http_server
from mlops_assets.serving.http_server.arrival import Arrival
from mlops_assets.serving.http_server.server import HttpServer
from mlops_assets.serving.protocol.patience import Patience
from mlops_assets.serving.protocol.refusal import RequestError
from mlops_assets.serving.protocol.rsgi import Exchange, Scope
from mlops_assets.serving.server import run_loop
from mlops_assets_tests.serving.running import find_free_port
from mlops_assets_tests.serving.wire import Wire, WireAnswer, connected, request_bytes

CHUNKED = b"POST /pieces HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
SECONDS = 20.0
LARGE = 30_000_000  # bytes; more than the system's own buffers take


class Early(Arrival):
    """Answers with the body's length, or with what went wrong."""

    def __init__(self, app: "App", exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        self.exchange, self.loop, self.patience = exchange, loop, app.patience
        self._app = app
        app.arrivals.add(self)

    def take(self, body: bytes) -> None:
        self._app.served.append("early")
        self.exchange.response_bytes(200, [], f"early {len(body)}".encode())

    def refuse(self, error: RequestError) -> None:
        self._app.served.append(str(error.status))
        self.exchange.response_bytes(error.status, [], error.reason.encode())


class App:
    """Answers by path.

    Attributes:
        served: What was done, in order.
        gate: `/slow` answers once it is set.
        arrivals: Those that something still holds.
    """

    def __init__(self) -> None:
        self.served: list[str] = []
        self.gate = asyncio.Event()
        self.patience = Patience(SECONDS)
        self.arrivals: weakref.WeakSet[Early] = weakref.WeakSet()
        self.n_read = 0

    def begin(
        self, scope: Scope, exchange: Exchange, loop: asyncio.AbstractEventLoop
    ) -> Early | None:
        if scope.path == "/defect":
            raise ValueError("a defect")
        return Early(self, exchange, loop) if scope.path == "/early" else None

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        self.served.append(scope.path)
        said = b""
        try:
            if scope.path == "/slow":
                await self.gate.wait()
            elif scope.path == "/pieces":
                async for piece in exchange:
                    self.n_read += len(piece)
                said = str(self.n_read).encode()
            elif scope.path == "/large":
                said = bytes(LARGE)
            elif scope.path == "/head":
                texts = (scope.method, scope.query_string, str(scope.headers.get("x")))
                said = " ".join((*texts, str("x" in scope.headers))).encode()
            elif scope.path != "/unread":
                said = await exchange()
        except RuntimeError as error:
            said = str(error).encode()
        exchange.response_bytes(413 if scope.path == "/unread" else 200, [], said)


class Running:
    """A server in a thread of its own."""

    def __init__(self) -> None:
        self.port = find_free_port()
        self.log: list[str] = []
        self._listens = threading.Event()
        self._thread = threading.Thread(target=lambda: run_loop(self._main()))

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(lambda _, context: self.log.append(str(context)))
        self.app = App()
        self.server = HttpServer(self.app, host="127.0.0.1", port=self.port)
        self.loop.call_later(0.01, self._listens.set)
        await self.server.serve()

    def do(self, what: Callable[[], object]) -> None:
        """Do something in the server's thread."""
        self.loop.call_soon_threadsafe(what)

    def __enter__(self) -> "Running":
        self._thread.start()
        assert self._listens.wait(SECONDS)
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(RuntimeError):  # a test that has stopped it is done, and so may be its loop
            self.do(self.server.stop)
        self._thread.join()
        assert self.log == []
        gc.collect()
        assert len(self.app.arrivals) == 0


def bodies(wire: Wire, n: int) -> list[str | None]:
    """The next answers; None where the connection ended instead."""
    answers = [wire.answer() for _ in range(n)]
    return [answer.body.decode() if answer else None for answer in answers]


def the(answer: WireAnswer | None) -> WireAnswer:
    assert answer is not None
    return answer


def wait_until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("path", ["/early", "/echo", "/defect"])
def test_a_connection_is_kept_and_what_is_not_taken_early_is_answered_too(path: str) -> None:
    with Running() as running, connected(running.port) as wire:
        for body in (b"ab", b"c" * 500_000):
            wire.send(request_bytes("POST", path, body))
            said = f"early {len(body)}".encode() if path == "/early" else body
            answer = the(wire.answer())
            assert (answer.status, answer.body, "connection" in answer.headers) == (
                200,
                said,
                False,
            )
            assert answer.headers["date"].endswith("GMT")


def test_answers_come_in_the_order_of_their_requests() -> None:
    with Running() as running, connected(running.port) as wire:
        paths = ("/slow", "/early", "/echo", "/early")
        wire.send(b"".join(request_bytes("POST", path, b"a") for path in paths))
        wait_until(lambda: running.app.served == ["/slow"])
        running.do(running.app.gate.set)
        assert bodies(wire, 4) == ["", "early 1", "a", "early 1"]


def test_thousands_of_requests_sent_at_once_are_answered_and_do_not_nest() -> None:
    with Running() as running, connected(running.port) as wire:
        sender = threading.Thread(
            target=lambda: wire.send(5_000 * request_bytes("POST", "/early", b"a", headers=""))
        )
        sender.start()
        assert bodies(wire, 5_000) == 5_000 * ["early 1"]
        sender.join()


def test_who_does_not_take_answers_gets_no_more_of_them_and_is_sent_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_connection, "_ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(http_server, "_SWEEP_SECONDS", 0.05)
    with Running() as running, connected(running.port) as wire:
        wire.send(3 * request_bytes("GET", "/large"))
        wait_until(lambda: bool(running.app.served))
        wait_until(lambda: not running.server.n_connections)
        assert running.app.served == ["/large"]


def test_a_body_that_nobody_reads_waits_with_its_sender() -> None:
    with Running() as running, connected(running.port, timeout_seconds=0.5) as wire:
        wire.send(request_bytes("POST", "/slow", length=100_000_000))
        wait_until(lambda: running.app.served == ["/slow"])
        with pytest.raises(TimeoutError):
            wire.send(bytes(LARGE))


def test_pieces_are_read_as_they_come_and_a_cut_is_told() -> None:
    piece = b"10000\r\n" + bytes(65_536) + b"\r\n"
    with Running() as running:
        with connected(running.port) as wire:
            wire.send(CHUNKED + 100 * piece + b"0\r\nx: trailer\r\n\r\n")
            assert bodies(wire, 1) == [str(100 * 65_536)]
            wire.send(request_bytes("POST", "/early", b"a"))  # the connection is still good
            assert bodies(wire, 1) == ["early 1"]
        for end in (b"5\r\nab", b"nonsense\r\n"):
            with connected(running.port) as wire:
                wire.send(CHUNKED + piece)
                wait_until(lambda: running.app.n_read >= 101 * 65_536)
                wire.send(end)
                wire.end_sending()
                said = wire.answer()
                assert said is None or (b"ended before" in said.body and wire.is_closed())


def test_leave_to_send_is_given_once_the_body_is_wanted() -> None:
    expect = "expect: 100-continue\r\n"
    with Running() as running:
        for path, status in (("/early", 200), ("/echo", 200), ("/unread", 413)):
            with connected(running.port) as wire:
                wire.send(request_bytes("POST", path, headers=expect, length=2))
                if status == 200:
                    assert the(wire.answer()).status == 100
                    wire.send(b"ab")
                assert the(wire.answer()).status == status


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"POST /early HTTP/1.0\r\ncontent-length: 2\r\n\r\nab", id="old"),
        pytest.param(
            request_bytes("POST", "/early", b"ab", headers="connection: close\r\n"), id="asked_for"
        ),
    ],
)
def test_a_last_request_is_answered_and_the_connection_ended(request_: bytes) -> None:
    with Running() as running, connected(running.port) as wire:
        wire.send(request_ + request_bytes("POST", "/early", b"never"))
        answer = the(wire.answer())
        assert (answer.body, answer.headers["connection"]) == (b"early 2", "close")
        assert wire.is_closed()
        assert running.app.served == ["early"]


@pytest.mark.parametrize("is_chunked", [False, True])
def test_who_offers_another_protocol_is_answered_in_this_one(*, is_chunked: bool) -> None:
    """As Java's client does with its first request."""
    offer = "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEA\r\n"
    with Running() as running, connected(running.port) as wire:
        if is_chunked:
            head = f"POST /echo HTTP/1.1\r\n{offer}transfer-encoding: chunked\r\n\r\n".encode()
            wire.send(head)
            time.sleep(0.05)
            wire.send(b"2\r\nab\r\n0\r\n\r\n")
        else:
            wire.send(request_bytes("POST", "/early", b"ab", headers=offer))
        wire.send(request_bytes("GET", "/echo", headers=offer) + request_bytes("POST", "/early"))
        assert bodies(wire, 3) == ["ab" if is_chunked else "early 2", "", "early 0"]


def test_offers_without_end_do_not_nest() -> None:
    offer = b"GET /echo HTTP/1.1\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"
    with Running() as running, connected(running.port) as wire:
        sender = threading.Thread(target=lambda: wire.send(3_000 * offer))
        sender.start()
        assert bodies(wire, 3_000) == 3_000 * [""]
        sender.join()


def test_who_sends_nothing_more_still_gets_what_was_asked_for() -> None:
    with Running() as running, connected(running.port) as wire:
        wire.send(2 * request_bytes("POST", "/slow", b"a"))
        wire.end_sending()
        wait_until(lambda: bool(running.app.served))
        running.do(running.app.gate.set)
        assert bodies(wire, 3) == ["", "", None]


@pytest.mark.parametrize("sent", [b"", b"POST /early HT"], ids=["idle", "half_a_head"])
def test_who_says_nothing_is_sent_away(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "_REQUEST_SECONDS", 1.0)
    monkeypatch.setattr(http_server, "_SWEEP_SECONDS", 0.05)
    with Running() as running, connected(running.port) as wire:
        wire.send(request_bytes("POST", "/early", b"a"))
        assert bodies(wire, 1) == ["early 1"]
        wire.send(sent)
        assert wire.is_closed()


def test_who_is_refused_while_sending_reads_why_and_is_not_heard_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_connection, "_LEAVE_SECONDS", 0.5)
    monkeypatch.setattr(http_server, "_SWEEP_SECONDS", 0.05)
    with Running() as running, connected(running.port) as wire:
        wire.send(request_bytes("POST", "/unread", b"a" * 100_000, length=100_000_000))
        assert the(wire.answer()).status == 413
        assert wire.is_closed()
        deadline = time.monotonic() + SECONDS
        while wire.send(b"a"):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_body_that_does_not_come_is_refused_once() -> None:
    with Running() as running:
        running.app.patience = Patience(0.2)
        for end, status in ((False, "408"), (True, "400")):
            with connected(running.port) as wire:
                wire.send(request_bytes("POST", "/early", b"a", length=2))
                if end:
                    wire.end_sending()
                answer = wire.answer()
                assert answer is None or str(answer.status) == status
        wait_until(lambda: running.app.served == ["408", "400"])


def test_a_head_is_told_as_it_came() -> None:
    lines = "x: 1\r\nX: 2\r\n"
    with Running() as running, connected(running.port) as wire:
        wire.send(request_bytes("GET", "/he%61d?a=%20&b", headers=lines))
        wire.send(request_bytes("GET", "http://some.host:1/head?q", headers="x: \xff\r\n"))
        wire.send(request_bytes("DELETE", "/head", headers=""))
        assert bodies(wire, 3) == [
            "GET a=%20&b 1 True", "GET q None True", "DELETE  None False",
        ]  # fmt: skip


def test_more_callers_than_there_is_room_for_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "_MOST_CONNECTIONS", 2)
    with Running() as running, connected(running.port) as first, connected(running.port) as second:
        for wire in (first, second):
            wire.send(request_bytes("POST", "/early", b"a"))
            assert bodies(wire, 1) == ["early 1"]
        with connected(running.port) as third:
            third.send(request_bytes("POST", "/early", b"abc"))
            time.sleep(0.1)
            assert running.app.served == 2 * ["early"]
            first.close()
            assert bodies(third, 1) == ["early 3"]


def test_after_a_stop_nothing_is_read_and_what_was_written_leaves() -> None:
    with Running() as running, connected(running.port) as wire, connected(running.port) as other:
        other.send(request_bytes("POST", "/early", b"a"))
        assert bodies(other, 1) == ["early 1"]
        wire.send(request_bytes("GET", "/large"))
        wait_until(lambda: running.app.served == ["early", "/large"])
        running.do(running.server.stop)
        assert len(the(wire.answer()).body) == LARGE
        other.send(request_bytes("POST", "/early", b"a"))
        assert bodies(other, 1) == [None]
        assert running.app.served == ["early", "/large"]

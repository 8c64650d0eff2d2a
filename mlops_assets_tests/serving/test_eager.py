"""Requests that are taken in granian's thread, and what becomes of those that are not."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from mlops_assets.serving.eager import Arrival, make_loop, take_early
from mlops_assets.serving.protocol.patience import Patience
from mlops_assets.serving.protocol.refusal import RequestError
from mlops_assets.serving.protocol.rsgi import Exchange, Scope
from mlops_assets.serving.server import build_server
from mlops_assets_tests.serving.running import find_free_port
from mlops_assets_tests.serving.wire import connected, request_bytes


class Early(Arrival):
    """Answers with the body's length, or with what went wrong."""

    def __init__(self, app: "App", exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        self.exchange, self.loop, self.patience = exchange, loop, app.patience
        self.app = app
        app.arrivals.add(self)

    def take(self, body: bytes) -> None:
        self.app.threads.append(threading.get_ident())
        self.exchange.response_bytes(200, [], f"early {len(body)}".encode())

    def refuse(self, error: RequestError) -> None:
        self.app.refusals.append(error.status)
        self.exchange.response_bytes(error.status, [], error.reason.encode())


class App:
    """Takes all but `/late` early, and fails to where it is asked to."""

    def __init__(self) -> None:
        self.patience = Patience(0.2)
        self.threads: list[int] = []
        self.refusals: list[int] = []
        self.arrivals: weakref.WeakSet[Early] = weakref.WeakSet()

    def begin(
        self, scope: Scope, exchange: Exchange, loop: asyncio.AbstractEventLoop
    ) -> Early | None:
        if scope.path == "/broken":
            raise ValueError("a defect")
        return None if scope.path == "/late" else Early(self, exchange, loop)

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        self.threads.append(threading.get_ident())
        exchange.response_bytes(200, [], f"late {len(await exchange())}".encode())


def serving(loop: asyncio.AbstractEventLoop, use: Callable[[str, App], None]) -> tuple[App, int]:
    """Run `use` beside a server on this loop; the application, and the loop's thread."""
    app, port = App(), find_free_port()

    async def main() -> int:
        server = build_server(app, host="127.0.0.1", port=port)
        running = asyncio.create_task(server.serve())
        await asyncio.to_thread(use, f"http://127.0.0.1:{port}", app)
        server.stop()
        await running
        return threading.get_ident()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return app, runner.run(main())


def ask(url: str, path: str, content: Any = b"ab") -> str:
    transport = httpx.HTTPTransport(retries=5)  # until it listens
    with httpx.Client(transport=transport) as client:
        return client.post(url + path, content=content, timeout=20).text


def test_granian_hands_requests_over_early() -> None:
    """Fails when a new granian reaches its event loop in another way: slower, and no less right."""
    said: list[str] = []
    app, loop_thread = serving(make_loop(), lambda url, _: said.append(ask(url, "/early")))
    gc.collect()
    assert (said, len(app.arrivals)) == (["early 2"], 0)  # nothing holds what was answered
    assert app.threads != [loop_thread]


@pytest.mark.parametrize("path", ["/late", "/broken"])
def test_what_is_not_taken_goes_the_ordinary_way(path: str) -> None:
    said: list[str] = []
    app, loop_thread = serving(make_loop(), lambda url, _: said.append(ask(url, path)))
    assert (said, app.threads) == (["late 2"], [loop_thread])


def test_another_event_loop_answers_all_in_the_ordinary_way() -> None:
    said: list[str] = []
    app, loop_thread = serving(
        asyncio.new_event_loop(), lambda url, _: said.append(ask(url, "/early"))
    )
    assert (said, app.threads) == (["late 2"], [loop_thread])


@pytest.mark.parametrize(
    ("ends", "status"), [(False, 408), (True, 400)], ids=["too_slow", "cut_off"]
)
def test_a_body_that_does_not_come_is_refused_once(*, ends: bool, status: int) -> None:
    def use(url: str, _: App) -> None:
        ask(url, "/early")
        with connected(int(url.rsplit(":")[-1])) as wire:
            wire.send(request_bytes("POST", "/early", b"a", length=2))
            if ends:
                wire.end_sending()
            answer = wire.answer()
            assert answer is None or answer.status == status

    app, _ = serving(make_loop(), use)
    gc.collect()
    assert (app.refusals, len(app.arrivals)) == ([status], 0)


def test_a_loop_of_another_kind_is_left_alone() -> None:
    async def main() -> bool:
        take_early(App())
        return hasattr(asyncio.get_running_loop(), "app")

    assert not asyncio.run(main())

"""What servers have in common: their event loop, and how they are stopped."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import uvloop

from mlops_assets.errors import MlopsError
from mlops_assets.serving.process import configure_log, die_with_parent

_LOG = logging.getLogger(__name__)


class Drainable(Protocol):
    """An application that can tell what it still answers."""

    draining: bool
    farewell: asyncio.Task[None] | None  # kept, or it could be collected

    @property
    def n_in_flight(self) -> int:
        """Requests that are not answered yet."""


def drain(
    app: Drainable, server: Any, *, drain_seconds: float, farewell_seconds: float = 0.1
) -> None:
    """Answer what is in flight, tell clients to leave, then stop.

    Args:
        app: From now on its answers carry `connection: close`.
        server: Stopped at the end.
        drain_seconds: Longest wait for requests in flight.
        farewell_seconds: How long clients with open connections get to see such an answer.
    """
    if app.draining:
        return
    app.draining = True

    async def finish() -> None:
        await asyncio.sleep(farewell_seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_seconds):
                while app.n_in_flight:
                    await asyncio.sleep(0.01)
        server.stop()

    app.farewell = asyncio.get_running_loop().create_task(finish())


def on_stop(stop: Callable[[], None]) -> None:
    """Call `stop` in the running event loop at SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def run_process(run: Callable[[], None], parent_pid: int | None) -> int:
    """Be a server until it ends. Returns the exit code: 0 it was stopped, 2 it could not start.

    Args:
        run: Serves until it is stopped.
        parent_pid: Die with this process; None lives on its own.
    """
    configure_log()
    if parent_pid is not None:
        die_with_parent(parent_pid)
    try:
        run()
    except MlopsError as error:
        _LOG.error("%s", error)
        return 2
    return 0


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)

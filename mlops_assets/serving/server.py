"""An application on granian, inside this process and its event loop."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

from mlops_assets.errors import MlopsError
from mlops_assets.serving.eager import make_loop, take_early
from mlops_assets.serving.process import (
    allow_open_files,
    configure_log,
    die_with_parent,
    require_free_port,
)

_LOG = logging.getLogger(__name__)
# Above it new callers wait; those who are slow are sent away after 30 s.
_MOST_CONNECTIONS = 4_096


def build_server(
    app: Any, *, host: str, port: int, socket_path: Path | None = None, exclusive: bool = True
) -> Any:
    """A server that `await server.serve()` runs and `server.stop()` ends.

    Args:
        app: An RSGI application; one with `begin` gets its requests early.
        host: Address to listen at.
        port: Port to listen at.
        socket_path: Unix socket to listen at instead.
        exclusive: Refuse a port at which something listens; workers of one server share theirs.

    Raises:
        PlatformError: the port is taken.
    """
    from granian.constants import HTTPModes, Interfaces
    from granian.server.embed import Server

    allow_open_files(2 * _MOST_CONNECTIONS)
    if socket_path is not None:
        socket_path.unlink(missing_ok=True)  # of a process that was killed
    elif exclusive:
        require_free_port(host, port)
    if hasattr(app, "begin"):
        take_early(app)
    return Server(
        app,
        address=host,
        port=port,
        uds=socket_path,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=1024,
        backpressure=_MOST_CONNECTIONS,
        log_enabled=False,
    )


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
    """Run a coroutine on uvloop where it is installed, else on asyncio's own loop."""
    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main)

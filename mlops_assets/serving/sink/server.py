"""The sink as a process: it takes events, and another process moves them to the tables.

granian carries it: what comes here are a few large batches, for which no speed of ours is needed.
"""

import asyncio
import logging
from typing import Any

from mlops_assets.serving.prediction_log.sinking import keep_sinking, sink_once
from mlops_assets.serving.process import allow_open_files, require_free_port
from mlops_assets.serving.server import drain, on_stop, run_loop, run_process
from mlops_assets.serving.sink.app import SinkApp
from mlops_assets.serving.sink.settings import SinkSettings

_LOG = logging.getLogger(__name__)
# Above it new callers wait; those who are slow are sent away after 30 s.
_MOST_CONNECTIONS = 4_096


def run_sink_server(settings: SinkSettings) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code: 0 stopped, 2 could not start."""
    return run_process(lambda: run_loop(_serve(settings)), settings.parent_pid)


async def _serve(settings: SinkSettings) -> None:
    app = SinkApp(settings)
    server = _build_server(app, settings)
    on_stop(lambda: drain(app, server, drain_seconds=settings.drain_seconds))
    if settings.token is None:
        _LOG.warning("no token is set: predictions and ground truth are taken from anybody")
    _LOG.info("the sink of %s listens at %s:%d", settings.home, settings.host, settings.port)
    moving = keep_sinking(settings.home, settings.lake, settle_seconds=0)
    sinking = asyncio.get_running_loop().create_task(moving)
    await server.serve()
    sinking.cancel()
    await asyncio.gather(sinking, return_exceptions=True)
    app.close()
    try:
        async with asyncio.timeout(settings.drain_seconds):
            await sink_once(settings.home, settings.lake)
    except TimeoutError:
        _LOG.warning("not all is in the tables; the next sink of this home moves the rest")


def _build_server(app: SinkApp, settings: SinkSettings) -> Any:
    """A server that `await server.serve()` runs and `server.stop()` ends.

    Raises:
        PlatformError: the port is taken.
    """
    from granian.constants import HTTPModes, Interfaces
    from granian.server.embed import Server

    allow_open_files(2 * _MOST_CONNECTIONS)
    require_free_port(settings.host, settings.port)
    return Server(
        app,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=1024,
        backpressure=_MOST_CONNECTIONS,
        log_enabled=False,
    )

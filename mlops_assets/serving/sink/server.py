"""The sink as a process: it takes events, and another process moves them to the tables."""

import asyncio
import logging

from mlops_assets.serving.prediction_log.sinking import keep_sinking, sink_once
from mlops_assets.serving.server import build_server, drain, on_stop, run_loop, run_process
from mlops_assets.serving.sink.app import SinkApp
from mlops_assets.serving.sink.settings import SinkSettings

_LOG = logging.getLogger(__name__)


def run_sink_server(settings: SinkSettings) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code: 0 stopped, 2 could not start."""
    return run_process(lambda: run_loop(_serve(settings)), settings.parent_pid)


async def _serve(settings: SinkSettings) -> None:
    app = SinkApp(settings)
    server = build_server(app, host=settings.host, port=settings.port)
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

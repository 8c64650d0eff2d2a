"""The gateway as a process: one for each home, with everything that it started dying with it."""

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator

from mlops_assets.errors import PlatformError
from mlops_assets.modeling.signing import ensure_key_pair
from mlops_assets.serving.gateway.app import GatewayApp
from mlops_assets.serving.gateway.settings import GatewaySettings
from mlops_assets.serving.gateway.supervisor import Supervisor
from mlops_assets.serving.home import ServingHome, write_json
from mlops_assets.serving.http_server.server import HttpServer
from mlops_assets.serving.prediction_log.redaction import make_key
from mlops_assets.serving.prediction_log.sinking import keep_sinking
from mlops_assets.serving.process import require_free_port, settle_memory
from mlops_assets.serving.server import drain, on_stop, run_loop, run_process

_LOG = logging.getLogger(__name__)


def run_gateway(settings: GatewaySettings) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code: 0 stopped, 2 could not start."""

    def run() -> None:
        with _only_one(settings):
            require_free_port(settings.host, settings.port)
            run_loop(_serve(settings))

    return run_process(run, settings.parent_pid)


@contextlib.contextmanager
def _only_one(settings: GatewaySettings) -> Iterator[None]:
    """Hold the home's lock; the kernel lets go of it when this process ends, however it does."""
    home = ServingHome.under(settings.home)
    home.manifests.mkdir(parents=True, exist_ok=True)
    with home.lock.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            raise PlatformError(
                f"a gateway runs for {settings.home} already: process {lock.read().strip()}"
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


async def _serve(settings: GatewaySettings) -> None:
    home = ServingHome.under(settings.home)
    make_key(home.log_key)
    if ensure_key_pair(home.keys):
        _LOG.info("made the key pair that signs the models of this home: %s", home.keys)
    supervisor = Supervisor(settings)
    supervisor.tick()  # statuses speak of this process before its port answers
    app = GatewayApp(settings, supervisor)
    server = HttpServer(app, host=settings.host, port=settings.port)
    ticking = asyncio.get_running_loop().create_task(supervisor.run())
    on_stop(lambda: drain(app, server, drain_seconds=settings.drain_seconds))
    url = f"http://{settings.host}:{settings.port}"
    write_json(home.gateway, {"url": url, "pid": os.getpid()})
    _LOG.info("the serving gateway of %s listens at %s", settings.home, url)
    sinking = asyncio.get_running_loop().create_task(keep_sinking(settings.home))
    ticking.add_done_callback(lambda task: None if task.cancelled() else server.stop())
    settle_memory()
    await server.serve()
    ticking.cancel()
    sinking.cancel()
    app.stop_mirroring()
    await supervisor.stop()
    await asyncio.gather(sinking, return_exceptions=True)
    app.close()
    with contextlib.suppress(asyncio.CancelledError):
        await ticking  # raises what ended it, if it was not us

"""A predictor as a process: load, listen, drain."""

import asyncio
import logging
import os
import signal
import time
from typing import Any

from mlops_assets.errors import MlopsError
from mlops_assets.serving.predictor.app import PredictorApp
from mlops_assets.serving.predictor.execution import Execution
from mlops_assets.serving.predictor.log import PredictionLog
from mlops_assets.serving.predictor.metrics import Metrics
from mlops_assets.serving.predictor.model import load_model
from mlops_assets.serving.predictor.settings import PredictorSettings
from mlops_assets.serving.process import configure_log, die_with_parent, require_free_port
from mlops_assets.serving.server import build_server, on_stop, run_loop

_LOG = logging.getLogger(__name__)
_EXIT_REFUSED = 2
_RESPAWN_SECONDS = 1.0
# Clients with open connections get this long to see `connection: close` on an answer.
_FAREWELL_SECONDS = 0.2


def run_predictor(settings: PredictorSettings) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code: 0 stopped, 2 could not start."""
    configure_log()
    if settings.parent_pid is not None:
        die_with_parent(settings.parent_pid)
    metrics = Metrics(settings.workers)
    try:
        if settings.workers == 1:
            return _run_worker(settings, metrics)
        require_free_port(settings.host, settings.port)
        return _run_workers(settings, metrics)
    except MlopsError as error:
        _LOG.error("%s", error)
        return _EXIT_REFUSED


def _run_worker(settings: PredictorSettings, metrics: Metrics, *, alone: bool = True) -> int:
    started = time.perf_counter()
    model = load_model(
        settings.model_dir,
        model_digest=settings.model_digest,
        trusted_types=settings.trusted_types,
        require_signed=settings.require_signed,
    )

    async def main() -> None:
        execution = Execution(
            model.scorer,
            max_waiting=settings.max_waiting,
            max_wait_seconds=settings.max_wait_seconds,
        )
        execution.warm_up(model)
        log = PredictionLog(settings, model.manifest) if settings.log_dir else None
        app = PredictorApp(settings, model, execution, metrics, log)
        server = build_server(
            app,
            host=settings.host,
            port=settings.port,
            socket_path=settings.socket_path,
            exclusive=alone,
        )
        on_stop(lambda: _drain(app, server, settings.drain_seconds))
        seconds = time.perf_counter() - started
        _LOG.info("%s is ready through %s after %.2f s", settings.model_name, model.engine, seconds)
        await server.serve()
        if log is not None:
            log.close()

    run_loop(main())
    return 0


def _drain(app: PredictorApp, server: Any, drain_seconds: float) -> None:
    """Answer what is in flight, tell clients to leave, then stop."""
    if app.draining:
        return
    app.draining = True

    async def finish() -> None:
        deadline = time.monotonic() + drain_seconds
        await asyncio.sleep(_FAREWELL_SECONDS)
        while app.n_in_flight and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        server.stop()

    app.farewell = asyncio.get_running_loop().create_task(finish())


def _run_workers(settings: PredictorSettings, metrics: Metrics) -> int:
    """Fork workers that share the port, and replace one that ends before we do."""
    stopping = False
    children: dict[int, int] = {}

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True
        for pid in children:
            os.kill(pid, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    for worker in range(settings.workers):
        children[_fork_worker(settings, metrics, worker)] = worker
    while children:
        pid, status = os.wait()
        worker = children.pop(pid)
        code = os.waitstatus_to_exitcode(status)
        if code == _EXIT_REFUSED and not stopping:
            stop(signal.SIGTERM, None)  # the others hold the same model; none can serve it
            return code
        if not stopping:
            _LOG.error("worker %d ended with %d; starting another", worker, code)
            time.sleep(_RESPAWN_SECONDS)
            children[_fork_worker(settings, metrics, worker)] = worker
    return 0


def _fork_worker(settings: PredictorSettings, metrics: Metrics, worker: int) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    die_with_parent(parent)
    metrics.use_row(worker)
    try:
        os._exit(_run_worker(settings, metrics, alone=False))
    except MlopsError as error:
        _LOG.error("%s", error)
    os._exit(_EXIT_REFUSED)

"""A predictor as a process: load, listen, drain."""

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from importlib.abc import MetaPathFinder

from mlops_assets.errors import MlopsError
from mlops_assets.modeling.manifest import MANIFEST_FILE
from mlops_assets.serving.http_server.server import HttpServer
from mlops_assets.serving.predictor.app import PredictorApp
from mlops_assets.serving.predictor.execution import Execution
from mlops_assets.serving.predictor.log import PredictionLog
from mlops_assets.serving.predictor.metrics import Metrics
from mlops_assets.serving.predictor.model import load_model
from mlops_assets.serving.predictor.settings import PredictorSettings
from mlops_assets.serving.process import (
    configure_log,
    die_with_parent,
    require_free_port,
    settle_memory,
)
from mlops_assets.serving.server import drain, on_stop, run_loop

_LOG = logging.getLogger(__name__)
_EXIT_REFUSED = 2
_RESPAWN_SECONDS = 1.0
SHIPPING_SECONDS = 8.0  # longer than the shipper takes to say farewell
# Clients with open connections get this long to see `connection: close` on an answer.
_FAREWELL_SECONDS = 0.2


def run_predictor(settings: PredictorSettings) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code: 0 stopped, 2 could not start."""
    configure_log()
    if settings.parent_pid is not None:
        die_with_parent(settings.parent_pid)
    metrics = Metrics(settings.workers)
    try:
        if settings.workers == 1 and settings.log_sink is None:
            return _run_worker(settings, metrics)
        if settings.socket_path is None:
            require_free_port(settings.host, settings.port)
        return _run_workers(settings, metrics)
    except MlopsError as error:
        _LOG.error("%s", error)
        return _EXIT_REFUSED


def _run_worker(settings: PredictorSettings, metrics: Metrics, *, alone: bool = True) -> int:
    started = time.perf_counter()
    _do_without_pandas(settings)
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
        server = HttpServer(
            app,
            host=settings.host,
            port=settings.port,
            socket_path=settings.socket_path,
            shares_port=not alone,
        )
        on_stop(
            lambda: drain(
                app,
                server,
                drain_seconds=settings.drain_seconds,
                farewell_seconds=_FAREWELL_SECONDS,
            )
        )
        seconds = time.perf_counter() - started
        settle_memory()
        _LOG.info("%s is ready through %s after %.2f s", settings.model_name, model.engine, seconds)
        await server.serve()
        if log is not None:
            log.close()

    run_loop(main())
    return 0


class _NoPandas(MetaPathFinder):
    """Finds pandas nowhere. (None in `sys.modules` would do, but scikit-learn looks there too.)"""

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is not loaded into a predictor", name=fullname)


def _do_without_pandas(settings: PredictorSettings) -> None:
    """Have scikit-learn believe that pandas is not installed: it takes 60 MB and half a second.

    Only code of the user's own could need it, or a model that plain MLflow wrote.
    """
    if (settings.model_dir / MANIFEST_FILE).is_file() and not settings.trusted_types:
        sys.meta_path.insert(0, _NoPandas())


def _run_workers(settings: PredictorSettings, metrics: Metrics) -> int:
    """Fork workers that share the port, and whoever ships their log; replace one that ends."""
    stopping, exit_code = False, 0
    children: dict[int, int] = {}

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True
        for pid in children:
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(pid, signal.SIGTERM)

    def start(worker: int) -> None:
        with _stopping_later():  # a worker that is not yet among the children would go on for ever
            if not stopping:
                children[_fork_worker(settings, metrics, worker)] = worker

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    for worker in range(settings.workers):
        start(worker)
    shipper = _fork_shipper(settings)
    while children:
        pid, status = os.wait()
        if pid == shipper:
            _LOG.error("the process that ships the prediction log ended; starting another")
            time.sleep(_RESPAWN_SECONDS)
            shipper = _fork_shipper(settings)
            continue
        if pid not in children:
            continue  # process 1 of a container inherits those of others
        worker = children.pop(pid)
        code = os.waitstatus_to_exitcode(status)
        if code == _EXIT_REFUSED and not stopping:
            exit_code = code  # the next one would refuse it too; the others answer what they have
            stop(signal.SIGTERM, None)
        if not stopping:
            _LOG.error("worker %d ended with %d; starting another", worker, code)
            time.sleep(_RESPAWN_SECONDS)
            start(worker)
    if shipper:
        _end_shipper(shipper)  # last, so that it ships what the workers wrote last
    return exit_code


@contextlib.contextmanager
def _stopping_later() -> Iterator[None]:
    """SIGTERM and SIGINT wait until the block ends; a process forked inside has them wait too."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def _become_child(parent: int) -> None:
    """A forked process heeds signals by itself, and ends with its parent."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
    die_with_parent(parent)


def _fork_worker(settings: PredictorSettings, metrics: Metrics, worker: int) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    _become_child(parent)
    metrics.use_row(worker)
    try:
        os._exit(_run_worker(settings, metrics, alone=False))
    except MlopsError as error:
        _LOG.error("%s", error)
    os._exit(_EXIT_REFUSED)


def _fork_shipper(settings: PredictorSettings) -> int:
    """Process number of the one that ships the log; 0 when there is no sink."""
    if settings.log_sink is None or settings.log_dir is None:
        return 0
    parent = os.getpid()
    with _stopping_later():
        pid = os.fork()
        if not pid:
            _become_child(parent)
    if pid:
        return pid
    code = 1
    try:
        from mlops_assets.serving.prediction_log.shipping import ShippingSettings, run_shipper

        shipping = ShippingSettings(
            folder=settings.log_dir,
            url=settings.log_sink,
            token_file=settings.log_sink_token_file,
            namespace=settings.log_namespace,
        )
        code = run_shipper(shipping)
    except Exception:  # a forked process must not go on as its parent
        _LOG.exception("the prediction log cannot be shipped")
    os._exit(code)


def _end_shipper(pid: int) -> None:
    """Let it ship what is left, and kill it when it takes too long."""
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + SHIPPING_SECONDS
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return
        time.sleep(0.02)

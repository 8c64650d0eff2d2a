"""Brings the whole platform up on this machine, in an order that makes the first prediction early.

1. The home, its lock, the ports; what a killed platform left is cleaned up.
2. The gateway: what was live before answers within seconds.
3. Beside each other: the process that makes what is stale, and the pages (Dagster, MLflow), which
   yield the processor to it.
4. Each model is asked for its example as soon as it is made; that is its result.

Not here: what is stale (`staleness.py`, in the process `materialize.py`), what a result is
(`results.py`), how processes are kept (`supervision.py`), how it looks (`progress.py`).
"""

import os
import queue
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from mlops_assets.errors import PlatformError
from mlops_assets.platform.environment import Addresses, kill_marked, process_environment
from mlops_assets.platform.events import ModelMade, Models, read_event
from mlops_assets.platform.evidence import declared_services, read_record
from mlops_assets.platform.home import Home, prepare_home, write_aside
from mlops_assets.platform.instance import instance_settings
from mlops_assets.platform.lock import PlatformLock, hold
from mlops_assets.platform.probe import ask
from mlops_assets.platform.progress import Progress
from mlops_assets.platform.results import ModelResult, Probe, Results, classify
from mlops_assets.platform.supervision import Server, Supervisor, last_lines
from mlops_assets.serving.process import require_free_port

PAGES_READY_SECONDS = 120.0
_TICK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked of one `up`.

    Attributes:
        home: Where everything is kept.
        project: Folder with dagster.yaml and workspace.yaml.
        addresses: Where to answer; a port of 0 takes any that is free.
        once: Check, then stop.
        models: Only these; all when empty. A retired one that is named is retired no more.
    """

    home: Home
    project: Path
    addresses: Addresses
    once: bool
    models: tuple[str, ...] = ()


@dataclass(slots=True)
class Report:
    """What an `up` found out. `error` says what of the platform itself failed."""

    results: list[ModelResult]
    urls: Mapping[str, str]
    seconds: dict[str, float]
    error: str | None = None


class Stop:
    """Whether somebody asked to stop: once in order, twice at once."""

    def __init__(self) -> None:
        self.is_asked = False
        self.supervisor: Supervisor | None = None

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.is_asked and self.supervisor is not None:
            self.supervisor.kill()
        self.is_asked = True

    @contextmanager
    def listening(self) -> Iterator["Stop"]:
        """Takes SIGINT, SIGTERM and SIGHUP until the block is left."""
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        former = {number: signal.signal(number, self._handle) for number in signals}
        try:
            yield self
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


def bring_up(options: Options, progress: Progress) -> Report:
    """Brings the platform up and, unless `once`, keeps it up until a signal.

    Raises:
        PlatformError: it could not begin: the home, its lock, a port, the project's files.
    """
    prepare_home(options.home)
    instance = uuid.uuid4().hex[:12]
    with Stop().listening() as stop, hold(options.home.lock, instance) as lock:
        _clean_up(options.home, lock, progress)
        addresses = _free_addresses(options.addresses)
        instance_settings(options.project)  # refused now rather than in a log
        environment = process_environment(os.environ, options.home, addresses, instance)
        supervisor = Supervisor(options.home, environment, options.project, instance, progress.say)
        stop.supervisor = supervisor
        run = _Run(replace(options, addresses=addresses), supervisor, progress, stop)
        try:
            run.start()
            lock.publish(addresses.urls)
            run.watch()
        except PlatformError as error:
            run.report.error = str(error)
        finally:
            progress.settle()
            if stop.is_asked:
                progress.say("stopping")
            supervisor.stop()
    return run.report


class _Run:
    """One `up`, from its first process to its last."""

    def __init__(
        self, options: Options, supervisor: Supervisor, progress: Progress, stop: Stop
    ) -> None:
        self._options = options
        self._supervisor = supervisor
        self._progress = progress
        self._stop = stop
        self._began = time.monotonic()
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._making: subprocess.Popen[bytes] | None = None
        self._expected: list[str] = []
        self._retired: list[str] = []
        self._made: dict[str, tuple[ModelMade, float]] = {}  # with the time it was reported
        self.report = Report([], options.addresses.urls, {})

    def start(self) -> None:
        """Starts every process, the gateway first."""
        gateway, *pages = build_servers(self._options)
        self._supervisor.on_restart = self._repair_after
        self._supervisor.start(gateway)
        command = [sys.executable, "-m", "mlops_assets.platform.materialize"]
        command += [str(self._options.home.root), str(self._options.project)]
        self._making = self._supervisor.run(
            "materialize", [*command, *self._options.models], self._lines.put
        )
        for page in pages:
            self._supervisor.start(page)

    def watch(self) -> None:
        """Follows until every model has a result and every server answers; then keeps it up."""
        while not self._stop.is_asked:
            self._supervisor.poll()
            self._show_servers()
            self._read_lines()
            self._ask_services()
            self._ask_early()
            if self._is_settled() and self._are_ready():
                break
            time.sleep(_TICK_SECONDS)
        else:
            return
        self._note("all")
        self._write_results()
        if self._options.once:
            return
        self._progress.settle()
        self._tell_addresses()
        while not self._stop.is_asked:
            self._supervisor.poll()
            time.sleep(_TICK_SECONDS)

    def _repair_after(self, server: str) -> None:
        """Closes the runs that died with Dagster's process."""
        if server == "dagster":
            module = "mlops_assets.platform.repair"
            command = [sys.executable, "-m", module, str(self._options.home.root)]
            self._supervisor.run("repair", command, self._progress.say)

    def _show_servers(self) -> None:
        for name, url in self._options.addresses.urls.items():
            ready = self._supervisor.is_ready(name)
            self._progress.show_server(name, "ready" if ready else "starting", url)

    def _read_lines(self) -> None:
        while not self._lines.empty():
            line = self._lines.get()
            try:
                event = read_event(line)
            except ValidationError:
                self._progress.say(line)  # printed by a user's code
                continue
            if isinstance(event, Models):
                self._expected, self._retired = event.models, event.retired
            elif isinstance(event, ModelMade):
                self._made[event.model] = (event, time.monotonic())
            self._progress.show(event)

    def _ask_services(self) -> None:
        """Gives a result to each model that is made and answers, or has had its time to."""
        gateway = self._options.addresses.urls["gateway"]
        for model, (made, since) in list(self._made.items()):
            probe = None
            if made.service is not None and made.version is not None:
                probe = ask(gateway, made.service, made.example)
                overdue = time.monotonic() > since + made.ready_timeout_seconds
                if not _is_as_made(made, probe) and not overdue:
                    continue
            del self._made[model]
            result = classify(made, probe)
            if result.outcome == "answers":
                self._note("first_prediction")
            self._take(result)

    def _ask_early(self) -> None:
        """Notes when what was live before answers, while it is still judged whether it is stale."""
        if "first_prediction" in self.report.seconds or not self._supervisor.is_ready("gateway"):
            return
        home, gateway = self._options.home, self._options.addresses.urls["gateway"]
        for model, service in declared_services(home).items():
            live = read_record(home, model, "inference_service") or {}
            probe = ask(gateway, service, live.get("example", []))
            if live and probe.problem is None:
                self._note("first_prediction")
                self._progress.show_result(model, f"{model}: v{probe.version} answers")
                return

    def _take(self, result: ModelResult) -> None:
        self.report.results.append(result)
        self._progress.show_result(result.model, result.line)

    def _is_settled(self) -> bool:
        """Whether every model has a result. Models that the process left out have failed."""
        if self._making is None or self._making.poll() is None or not self._lines.empty():
            return False
        if self._made:
            return False
        self._read_lines()
        log = self._supervisor.log("materialize")
        code = self._making.returncode
        if code != 0 and not self._expected:
            raise PlatformError(f"no model could be loaded. {log} ends:\n{last_lines(log)}")
        have = {result.model for result in self.report.results}
        for model in self._expected:
            if model not in have and model not in self._made:
                self._take(_unreported(model, f"its process ended with code {code}; see {log}"))
        return not self._made

    def _are_ready(self) -> bool:
        waiting = [n for n in self._options.addresses.urls if not self._supervisor.is_ready(n)]
        if waiting and time.monotonic() > self._began + PAGES_READY_SECONDS:
            log = self._supervisor.log(waiting[0])
            raise PlatformError(
                f"{waiting[0]} did not answer in {PAGES_READY_SECONDS:.0f} s. {log} ends:\n"
                + last_lines(log)
            )
        return not waiting

    def _note(self, name: str) -> None:
        self.report.seconds.setdefault(name, time.monotonic() - self._began)

    def _write_results(self) -> None:
        results = Results(
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
            models=self.report.results,
            retired=self._retired,
        )
        write_aside(self._options.home.results, results.model_dump_json(indent=1))

    def _tell_addresses(self) -> None:
        urls = self._options.addresses.urls
        self._progress.say("")
        for name, url in (("Dagster", "dagster"), ("MLflow", "mlflow"), ("Predictions", "gateway")):
            self._progress.say(f"{name:<12} {urls[url]}")
        answering = [r for r in self.report.results if r.service is not None and r.version]
        if answering:
            self._progress.say("\nTry:\n" + example_request(urls["gateway"], answering[0]))
        self._progress.say("\nCtrl-C stops everything.")


def build_servers(options: Options) -> list[Server]:
    """The servers, the gateway first."""
    home, addresses, host = str(options.home.root), options.addresses, options.addresses.host
    urls = addresses.urls

    def module(name: str, *arguments: str) -> tuple[str, ...]:
        return (sys.executable, "-m", name, *arguments)

    gateway = module(
        "mlops_assets.serving.gateway",
        *("--home", home, "--host", host, "--port", str(addresses.gateway_port)),
    )
    dagster = module(
        "mlops_assets.platform.dagster_server",
        *(home, str(options.project), host, str(addresses.dagster_port)),
    )
    mlflow = module("mlops_assets.platform.mlflow_server", home, host, str(addresses.mlflow_port))
    return [
        Server("gateway", gateway, f"{urls['gateway']}/healthz", stops_its_own=True),
        Server("dagster", dagster, f"{urls['dagster']}/server_info"),
        Server("mlflow", mlflow, f"{urls['mlflow']}/health"),
    ]


def example_request(gateway_url: str, result: ModelResult) -> str:
    """A command that asks a model for a prediction."""
    import json

    body = json.dumps({"instances": result.example[:1]}, ensure_ascii=False).replace("'", r"'\''")
    return (
        f"curl -s {gateway_url}/v1/models/{result.service}:predict \\\n"
        f"  -H 'content-type: application/json' -d '{body}'"
    )


def _clean_up(home: Home, lock: PlatformLock, progress: Progress) -> None:
    """Ends what a killed platform left running."""
    if lock.former is not None:
        progress.say(f"the platform of process {lock.former.pid} was killed; cleaning up after it")
    for left in kill_marked(home):
        progress.say(f"killed what it had left: process {left}")


def _free_addresses(wanted: Addresses) -> Addresses:
    """The addresses, each port checked, and chosen where 0 was asked for.

    Raises:
        PlatformError: a port is busy; names it, its process and the option that changes it.
    """
    chosen: dict[str, int] = {}
    for name in ("dagster_port", "mlflow_port", "gateway_port"):
        port = getattr(wanted, name)
        option = f"--{name.replace('_', '-')}"
        try:
            require_free_port(wanted.host, port)
        except PlatformError as error:
            raise PlatformError(f"{error}. Stop that, or choose another with {option}") from error
        chosen[name] = port or _any_port(wanted.host)
    if len(set(chosen.values())) < len(chosen):
        raise PlatformError(f"the ports must differ, found {sorted(chosen.values())}")
    return Addresses(wanted.host, **chosen)


def _any_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _is_as_made(made: ModelMade, probe: Probe) -> bool:
    return probe.problem is None and probe.version == made.version


def _unreported(model: str, reason: str) -> ModelResult:
    return ModelResult(
        model=model,
        outcome="failed",
        reason=reason,
        version=None,
        refused={},
        service=None,
        example=[],
        made=[],
        seconds=0.0,
    )

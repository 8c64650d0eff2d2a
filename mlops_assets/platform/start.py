"""One start of the platform: from its first process until each model has a result, and on.

Here: the order of things, in one loop of one thread. Not here: what comes before it and what ends
it (`up.py`), how processes are kept (`supervision.py`), what is stale (`staleness.py`, in the
process `materialize.py`), what a result is (`results.py`), how it looks (`progress.py`).
"""

import functools
import json
import os
import queue
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from mlops_assets.errors import PlatformError
from mlops_assets.platform.asking import Asking
from mlops_assets.platform.environment import Addresses
from mlops_assets.platform.events import ModelMade, Models, Unusable, read_event
from mlops_assets.platform.evidence import declared_services, read_record
from mlops_assets.platform.home import Home
from mlops_assets.platform.probe import ask
from mlops_assets.platform.progress import Progress
from mlops_assets.platform.results import ModelResult, Probe, Results, classify, read_results
from mlops_assets.platform.servers import build_servers
from mlops_assets.platform.stop import Stop
from mlops_assets.platform.supervision import Server, Supervisor, Task, last_lines
from mlops_assets.whole_files import replace_file

READY_SECONDS = 120.0  # for a server to answer, from its start
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
        build_servers: Makes the servers, the gateway first, under the names of `Addresses.urls`.
    """

    home: Home
    project: Path
    addresses: Addresses
    once: bool
    models: tuple[str, ...] = ()
    build_servers: Callable[[Home, Path, Addresses, int], list[Server]] = build_servers


@dataclass(slots=True)
class Report:
    """What an `up` found out. `error` says what of the platform itself failed."""

    results: list[ModelResult]
    urls: Mapping[str, str]
    seconds: dict[str, float]
    error: str | None = None


class Start:
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
        self._making: Task | None = None
        self._expected: list[str] = []
        self._made: dict[str, tuple[ModelMade, float]] = {}  # with the time it was reported
        self._asking: Asking[Probe] = Asking()
        self.report = Report([], options.addresses.urls, {})

    def begin(self) -> None:
        """Starts every process, the gateway first."""
        o = self._options
        gateway, *pages = o.build_servers(o.home, o.project, o.addresses, os.getpid())
        self._supervisor.on_restart = self._repair_after
        self._supervisor.start(gateway)
        command = [sys.executable, "-m", "mlops_assets.platform.materialize"]
        command += [str(self._options.home.root), str(self._options.project)]
        self._making = self._supervisor.run(
            "materialize", [*command, *self._options.models], self._lines.put
        )
        for page in pages:
            self._supervisor.start(page)

    def follow_until_results(self) -> None:
        """Follows until every model has a result and every server answers.

        Raises:
            PlatformError: a server ended for good, no model could be loaded, or somebody stopped
                it all before.
        """
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
            raise PlatformError("stopped before everything was up")
        self._note("all")
        self._write_results()
        self._progress.settle()

    def keep(self) -> None:
        """Keeps everything up until a signal.

        Raises:
            PlatformError: a server ended for good.
        """
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
                self._expected = event.models
            elif isinstance(event, Unusable):
                raise PlatformError(event.text)
            elif isinstance(event, ModelMade):
                self._made[event.model] = (event, time.monotonic())
            self._progress.show(event)

    def _ask_services(self) -> None:
        """Gives a result to each model that is made and answers, or has had its time to."""
        gateway = self._options.addresses.urls["gateway"]
        for model, (made, since) in list(self._made.items()):
            probe = None
            if made.service is not None and made.version is not None:
                question = functools.partial(ask, gateway, made.service, made.example, made.version)
                probe = self._asking.answer((model, made.version), question)
                overdue = time.monotonic() > since + made.ready_timeout_seconds
                if probe is None:  # it comes within seconds, if only to say that nobody answered
                    continue
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
            live = read_record(home, model, "inference_service")
            if live is None:
                continue
            question = functools.partial(ask, gateway, service, live.get("example", []))
            probe = self._asking.answer((model, "early"), question)
            if probe is not None and probe.problem is None:
                self._note("first_prediction")
                self._progress.show_result(model, f"{model}: v{probe.version} answers")
                return

    def _take(self, result: ModelResult) -> None:
        self.report.results.append(result)
        self._progress.show_result(result.model, result.line)

    def _is_settled(self) -> bool:
        """Whether every model has a result. Models that the process left out have failed."""
        code = self._making.exit_code if self._making is not None else None
        if code is None or not self._lines.empty() or self._made:
            return False
        log = self._supervisor.log("materialize")
        if code != 0 and not self._expected:
            raise PlatformError(f"no model could be loaded. {log} ends:\n{last_lines(log)}")
        have = {result.model for result in self.report.results}
        for model in self._expected:
            if model not in have:
                self._take(_unreported(model, f"its process ended with code {code}; see {log}"))
        return True

    def _are_ready(self) -> bool:
        supervisor = self._supervisor
        waiting = [n for n in self._options.addresses.urls if not supervisor.is_ready(n)]
        for name in waiting:
            if supervisor.silent_seconds(name) > READY_SECONDS:
                log = supervisor.log(name)
                raise PlatformError(
                    f"{name} did not answer in {READY_SECONDS:.0f} s. {log} ends:\n"
                    + last_lines(log)
                )
        return not waiting

    def _note(self, name: str) -> None:
        self.report.seconds.setdefault(name, time.monotonic() - self._began)

    def _write_results(self) -> None:
        """Keeps the results for `status`; those of models that were left out this time stay."""
        home = self._options.home
        now = {result.model: result for result in self.report.results}
        former = {result.model: result for result in read_results(home)}
        results = Results(
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
            models=[*{**former, **now}.values()],
        )
        replace_file(home.results, results.model_dump_json(indent=1))

    def _tell_addresses(self) -> None:
        urls = self._options.addresses.urls
        self._progress.say("")
        for name, url in (("Dagster", "dagster"), ("MLflow", "mlflow"), ("Predictions", "gateway")):
            self._progress.say(f"{name:<12} {urls[url]}")
        answering = [r for r in self.report.results if r.service is not None and r.version]
        if answering:
            self._progress.say("\nTry:\n" + example_request(urls["gateway"], answering[0]))
        self._progress.say("\nCtrl-C stops everything.")


def example_request(gateway_url: str, result: ModelResult) -> str:
    """A command that asks a model for a prediction."""
    body = json.dumps({"instances": result.example[:1]}, ensure_ascii=False).replace("'", r"'\''")
    return (
        f"curl -s {gateway_url}/v1/models/{result.service}:predict \\\n"
        f"  -H 'content-type: application/json' -d '{body}'"
    )


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

"""`mlops-assets demo rollout`: a new version of a served model, callers, and what becomes of it.

Trains a variation of the model (or breaks a copy of the champion), registers it, asks the running
platform for a run of the asset `inference_service`, which begins the rollout, and sends rows of the
training frame as callers would, with their truth, until the rollout has ended or is only watched.
Everything else is what happens with any version: the sensor, the runs, the pages.
"""

import http.client
import json
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mlops_assets.errors import PlatformError
from mlops_assets.platform.evidence import read_record
from mlops_assets.platform.home import Home
from mlops_assets.platform.instance import code_location
from mlops_assets.platform.launching import GraphqlRuns
from mlops_assets.platform.lock import current_holder
from mlops_assets.platform.models import known_documents, require_known
from mlops_assets.platform.rollouts import describe, read_rollout
from mlops_assets.platform.sabotage import write_broken_copy
from mlops_assets.platform.variation import vary
from mlops_assets.rollout.phases import PROMOTED
from mlops_assets.rollout.state import RolloutState
from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    from mlops_assets.modeling.features import BuiltFrame
    from mlops_assets.modeling.mlflow_registry import RegisteredVersion

REQUESTS_PER_SECOND = 120
MOST_SECONDS = 300.0
_CALLERS = 4
_MOST_ROWS = 2_000
_LOOK_SECONDS = 0.5
Say = Callable[[str], None]


@dataclass(slots=True)
class Callers:
    """Threads that ask a service for predictions and tell it the truth later."""

    url: str
    service: str
    rows: Sequence[Mapping[str, Any]]
    truths: Sequence[Any]
    n_answers: int = 0
    n_errors: int = 0
    _done: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin to ask."""
        for n in range(_CALLERS):
            thread = threading.Thread(target=self._call, args=(n,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Ask no more."""
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _call(self, first: int) -> None:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        told: list[dict[str, Any]] = []
        position = first
        while not self._done.wait(_CALLERS / REQUESTS_PER_SECOND):
            at = position % len(self.rows)
            position += _CALLERS
            body = json.dumps({"instances": [self.rows[at]]})
            try:
                connection.request("POST", f"/v1/models/{self.service}:predict", body)
                answer = connection.getresponse()
                content = answer.read()
                if answer.status != http.client.OK:
                    self.n_errors += 1
                    continue
                self.n_answers += 1
                found = json.loads(content)["id"]
                told.append({"service": self.service, "id": found, "value": self.truths[at]})
                if len(told) >= 25:
                    connection.request("POST", "/v1/ground-truth", json.dumps({"items": told}))
                    connection.getresponse().read()
                    told.clear()
            except (OSError, http.client.HTTPException):
                self.n_errors += 1
                connection.close()


def show_rollout(home: Home, project: Path, model: str, say: Say, *, bad: bool) -> RolloutState:
    """Runs the demonstration; returns where the rollout stood at its end.

    Raises:
        PlatformError: the platform does not run, the model has no rollout or no champion, or
            Dagster refused the run.
    """
    urls, spec = _require_ready(home, project, model)
    version, callers = _make_challenger(home, spec, urls["gateway"], say, bad=bad)
    say(f"v{version.version} is registered. Watch it:")
    say(f"  {urls['dagster']}/assets/{spec.name}/inference_service?view=events")
    say(f"  {urls['dagster']}/locations/{code_location(project).name}/sensors/rollouts")
    say(f"  {urls['gateway']}/")
    callers.start()
    try:
        runs = GraphqlRuns(urls["dagster"])
        runs.launch(spec.name, trigger="demo", assets=["inference_service"])
        return _watch(home, spec, version.version, callers, say)
    finally:
        callers.stop()
        say(f"callers got {callers.n_answers:,} answers and {callers.n_errors:,} errors")


def _require_ready(home: Home, project: Path, model: str) -> tuple[Mapping[str, str], ModelSpec]:
    require_known(home, project, model)
    holder = current_holder(home.lock)
    if holder is None or "dagster" not in holder.urls:
        raise PlatformError(f"the platform does not run in {home.root}; start it with `make run`")
    spec = known_documents(project).get(model)
    if spec is None or spec.rollout is None:
        raise PlatformError(
            f"the document of {model} has no `rollout:`; add `rollout: {{strategy: canary}}`"
        )
    if read_record(home, model, "inference_service") is None:
        raise PlatformError(f"{model} has no champion yet; wait until `make run` says it answers")
    state = read_rollout(home, spec.service)
    if state is not None and not state.is_ended and state.phase not in PROMOTED:
        raise PlatformError(
            f"{model}: {describe(state)}; end it with `mlops-assets rollout abort {model}` first"
        )
    if state is not None and not state.is_ended:
        raise PlatformError(
            f"{model}: v{state.challenger.version} is still {state.phase}; wait until that is over"
        )
    return holder.urls, spec


def _make_challenger(
    home: Home, spec: ModelSpec, gateway_url: str, say: Say, *, bad: bool
) -> "tuple[RegisteredVersion, Callers]":
    from mlops_assets.data.snapshots import Lake
    from mlops_assets.modeling.features import BuiltFrame, TrainingFrame
    from mlops_assets.modeling.mlflow_runs import RunIdentity
    from mlops_assets.modeling.signing import SIGNING_KEY
    from mlops_assets.modeling.tracking import Tracking

    record = read_record(home, spec.name, "features")
    if record is None:
        raise PlatformError(f"{spec.name}/features was never made; run `make run` first")
    facts = TrainingFrame.model_validate(record)
    lake = Lake(str(home.root / "lake"))
    built = BuiltFrame(lake.read_frame(facts.uri, facts.version).collect(), facts)
    tracking = Tracking(
        f"sqlite:///{home.mlflow_database}",
        home.mlflow_artifacts.absolute().as_uri(),
        signing_key=home.keys / SIGNING_KEY,
    )
    callers = _callers(gateway_url, spec, built)
    identity = RunIdentity(f"demo-{time.time_ns()}", f"{spec.name}/demo")
    name = f"{spec.name} demo"
    with (
        tracking.run(spec.registered_model, identity, name) as run_id,
        tempfile.TemporaryDirectory() as scratch,
    ):
        package = Path(scratch, "model")
        if bad:
            say("breaking a copy of the champion: it will answer NaN for a third of the rows")
            champion, salt = _champion_package(home, spec), str(time.time_ns())
            digest = write_broken_copy(champion, package, salt, callers.rows[:100])
        else:
            say(f"training a variation of {spec.name}")
            digest = _train(spec, built, package)
        _, uri = tracking.log_package(run_id, package, digest)
        version = tracking.register(
            spec.registered_model,
            model_digest=digest,
            uri=uri,
            mlflow_run_id=run_id,
            tags={"mlops.demo": "bad" if bad else "good"},
        )
    _hand_on(home, spec, version)
    return version, callers


def _train(spec: ModelSpec, built: "BuiltFrame", package: Path) -> str:
    from mlops_assets.modeling.package import write_package
    from mlops_assets.modeling.training import train

    varied = vary(spec, time.time_ns())
    return write_package(package, train(varied, built), built, varied).model_digest


def _champion_package(home: Home, spec: ModelSpec) -> Path:
    from urllib.parse import unquote, urlparse

    from mlops_assets.serving.home import ServingHome, read_json

    manifest = read_json(ServingHome.under(home.root).manifest(spec.service))
    if manifest is None:
        raise PlatformError(f"service {spec.service} is not declared; run `make run` first")
    return Path(unquote(urlparse(manifest["spec"]["predictor"]["model"]["storageUri"]).path))


def _hand_on(home: Home, spec: ModelSpec, version: "RegisteredVersion") -> None:
    """What the asset model_version would hand on to inference_service."""
    from mlops_assets.whole_files import replace_file

    path = home.root / "records" / spec.name / "model_version.json"
    replace_file(path, version.model_dump_json(indent=1))


def _callers(gateway_url: str, spec: ModelSpec, built: "BuiltFrame") -> Callers:
    from mlops_assets.modeling.features import TARGET, VALIDATES, feature_fields

    names = [each.name for each in feature_fields(spec)]
    frame = built.frame.filter(built.frame[VALIDATES])
    frame = (frame if frame.height else built.frame).head(_MOST_ROWS)
    return Callers(
        gateway_url, spec.service, frame.select(names).to_dicts(), frame[TARGET].to_list()
    )


def _watch(home: Home, spec: ModelSpec, version: int, callers: Callers, say: Say) -> RolloutState:
    """Tells each change until the rollout is decided."""
    began = time.monotonic()
    told = ""
    while time.monotonic() - began < MOST_SECONDS:
        state = read_rollout(home, spec.service)
        if state is not None and state.challenger.version == version:
            line = f"{describe(state)}: {state.reason}"
            if line != told:
                seconds = time.monotonic() - began
                say(f"{seconds:5.0f} s  {callers.n_answers:>6,} answers  {line}")
                told = line
            if state.is_ended or state.phase == "watching":
                return state
        time.sleep(_LOOK_SECONDS)
    raise PlatformError(
        f"the rollout of v{version} is not decided after {MOST_SECONDS:.0f} s ({told}); "
        f"`mlops-assets rollout status {spec.name}` tells more"
    )

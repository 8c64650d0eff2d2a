"""How it stands with the platform and its models; works whether the platform runs or not."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mlops_assets.platform.environment import marked_processes
from mlops_assets.platform.evidence import declared_services, read_record
from mlops_assets.platform.home import Home
from mlops_assets.platform.lock import Holder, current_holder
from mlops_assets.platform.models import known_models
from mlops_assets.platform.probe import ask
from mlops_assets.platform.registry_glance import champion_version
from mlops_assets.platform.results import read_results
from mlops_assets.platform.retirement import read_retired
from mlops_assets.platform.rollouts import describe, read_rollout
from mlops_assets.platform.supervision import answers
from mlops_assets.platform.watching import last_decision, last_verdict

ServiceState = Literal["answers", "silent", "not declared", "retired", "stopped"]
"""answers: to its example. silent: declared, and no answer. stopped: declared, but the gateway does
not run."""

_ROLES = {
    "mlops_assets.serving.gateway": "gateway",
    "mlops_assets.serving.predictor": "predictor",
    "mlops_assets.serving.prediction_log": "prediction log",
    "mlops_assets.platform.dagster_server": "dagster",
    "mlops_assets.platform.mlflow_server": "mlflow",
    "mlops_assets.platform.materialize": "materialize",
    "mlops_assets.platform.guardian": "guardian",
    "dagster api grpc": "code server",
    "multiprocessing": "code server",  # with which it talks to its runs
}
_HEALTH = {"dagster": "/server_info", "mlflow": "/health", "gateway": "/healthz"}


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class ProcessStatus(_Record):
    """A process of the platform. `memory_bytes` is its resident set."""

    role: str
    pid: int
    memory_bytes: int


class ServerStatus(_Record):
    """A server and whether it answers."""

    name: str
    url: str
    answers: bool


class ModelStatus(_Record):
    """How it stands with one model.

    Attributes:
        model: Its name.
        state: Of its service.
        champion: Registry version with that alias; None when there is none.
        version: Registry version that answers now; None when none does.
        snapshot: Version of its newest dataset in the lake; None without one.
        n_rows: Rows of that.
        last_result: What the last `up` said of it.
        reason: Why it is silent, or when it was retired; empty when there is nothing to say.
        rollout: Where its last rollout stands; None when there was none.
        verdict: What is said of its newest judged window; None: none was judged.
        retraining: What retraining decided last, and why; None: nothing yet.
    """

    model: str
    state: ServiceState
    champion: int | None
    version: int | None
    snapshot: int | None
    n_rows: int | None
    last_result: str | None
    reason: str
    rollout: str | None = None
    verdict: str | None = None
    retraining: str | None = None


class PlatformStatus(_Record):
    """How it stands with everything. `pid` is the process of `up`; None when it does not run."""

    home: str
    pid: int | None
    started_at: str | None
    servers: list[ServerStatus]
    processes: list[ProcessStatus]
    models: list[ModelStatus]


def read_status(home: Home, project: Path) -> PlatformStatus:
    """How it stands now: asks the servers and the services, reads the rest from the home."""
    holder = current_holder(home.lock)
    urls = dict(holder.urls) if holder is not None else {}
    servers = [
        ServerStatus(name=name, url=url, answers=answers(url + _HEALTH[name], 2.0))
        for name, url in urls.items()
    ]
    gateway = next((s.url for s in servers if s.name == "gateway" and s.answers), None)
    return PlatformStatus(
        home=str(home.root),
        pid=holder.pid if holder is not None else None,
        started_at=holder.started_at if holder is not None else None,
        servers=servers,
        processes=list(_processes(home, holder)),
        models=[_read_model(home, model, gateway) for model in known_models(home, project)],
    )


def _processes(home: Home, holder: Holder | None) -> Iterator[ProcessStatus]:
    import psutil

    if holder is None:
        return
    for process in marked_processes(home, holder.instance):
        with contextlib.suppress(psutil.Error):
            command = " ".join(process.cmdline())
            role = next((role for part, role in _ROLES.items() if part in command), "other")
            memory_bytes = process.memory_info().rss
            yield ProcessStatus(role=role, pid=process.pid, memory_bytes=memory_bytes)


def _read_model(home: Home, model: str, gateway_url: str | None) -> ModelStatus:
    state, version, reason = _read_service(home, model, gateway_url)
    dataset = read_record(home, model, "dataset") or {}
    return ModelStatus(
        model=model,
        state=state,
        champion=_champion(home, model),
        version=version,
        snapshot=dataset.get("version"),
        n_rows=dataset.get("n_rows"),
        last_result=_last_result(home, model),
        reason=reason,
        rollout=_rollout(home, model),
        verdict=last_verdict(home, model),
        retraining=last_decision(home, model),
    )


def _rollout(home: Home, model: str) -> str | None:
    service = declared_services(home).get(model)
    state = read_rollout(home, service) if service is not None else None
    return None if state is None else describe(state)


def _read_service(
    home: Home, model: str, gateway_url: str | None
) -> tuple[ServiceState, int | None, str]:
    retired = read_retired(home)
    if model in retired:
        return "retired", None, f"since {retired[model]}"
    service = declared_services(home).get(model)
    if service is None:
        return "not declared", None, "it never had a champion here"
    if gateway_url is None:
        return "stopped", None, "the gateway does not run; start it with `make run`"
    live = read_record(home, model, "inference_service") or {}
    probe = ask(gateway_url, service, live.get("example", []), live.get("version"))
    if probe.problem is not None:
        return "silent", None, probe.problem
    return "answers", probe.version, ""


def _champion(home: Home, model: str) -> int | None:
    record = read_record(home, model, "model_version")
    return champion_version(home, model if record is None else str(record["name"]))


def _last_result(home: Home, model: str) -> str | None:
    return next((result.line for result in read_results(home) if result.model == model), None)

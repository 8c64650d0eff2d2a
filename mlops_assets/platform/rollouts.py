"""Rollouts as the platform and its command line see them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.errors import RolloutError
from mlops_assets.platform.evidence import declared_services
from mlops_assets.platform.home import Home
from mlops_assets.platform.models import known_documents
from mlops_assets.rollout.file_store import FileStore
from mlops_assets.rollout.state import RolloutState
from mlops_assets.serving.home import ServingHome

if TYPE_CHECKING:
    from mlops_assets.rollout.store import RolloutStore


def open_store(home: Home, environment: Mapping[str, str]) -> "RolloutStore":
    """The states of rollouts: a cluster's where the environment names its namespace
    (`MLOPS_KSERVE_NAMESPACE`, as for the code location), else this machine's."""
    namespace = environment.get("MLOPS_KSERVE_NAMESPACE")
    if not namespace:
        return local_store(home)
    from mlops_assets.kserve.api import connect
    from mlops_assets.kserve.state_store import ConfigMapStore

    named = environment.get("KUBECONFIG")
    return ConfigMapStore(connect(namespace, kubeconfig=Path(named) if named else None))


def local_store(home: Home) -> FileStore:
    """The states of this machine's rollouts."""
    return FileStore(ServingHome.under(home.root).rollouts)


def service_of(home: Home, project: Path, model: str) -> str:
    """Name of a model's service: the declared one, else the one that its document names."""
    declared = declared_services(home).get(model)
    if declared is not None:
        return declared
    spec = known_documents(project).get(model)
    return spec.service if spec is not None else model.replace("_", "-")


def read_rollout(home: Home, service: str) -> RolloutState | None:
    """Where a service's rollout stands; None when there is none, or it cannot be read."""
    try:
        content, _ = local_store(home).read(service)
        return None if content is None else RolloutState.from_storage(content)
    except RolloutError:
        return None


def describe(state: RolloutState) -> str:
    """A rollout in one line."""
    version = f"v{state.challenger.version}"
    if state.is_ended:
        return f"rollout of {version}: {state.phase}"
    held = f", {state.hold.kind}" if state.hold is not None else ""
    return f"rollout of {version}: {state.phase}{held}, {state.traffic}"


def forget_rollout(home: Home, service: str) -> bool:
    """Removes the state of a service's rollout; whether there was one."""
    from mlops_assets.rollout.log_source import LogPlace, PredictionLogSource

    store = local_store(home)
    existed = store.read(service)[0] is not None
    store.delete(service)
    PredictionLogSource(LogPlace.under(home.root)).forget(service)
    return existed

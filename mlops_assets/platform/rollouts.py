"""The rollouts of this machine as the platform and its command line see them."""

from pathlib import Path

from mlops_assets.errors import RolloutError
from mlops_assets.platform.evidence import declared_services
from mlops_assets.platform.home import Home
from mlops_assets.platform.models import known_documents
from mlops_assets.rollout.file_store import FileStore
from mlops_assets.rollout.state import RolloutState
from mlops_assets.serving.home import ServingHome


def open_store(home: Home) -> FileStore:
    """The states of rollouts."""
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
        content, _ = open_store(home).read(service)
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

    store = open_store(home)
    existed = store.read(service)[0] is not None
    store.delete(service)
    PredictionLogSource(LogPlace.under(home.root)).forget(service)
    return existed

"""One tick of a retraining: read what is remembered, hear what is known, decide, write down.

Called by the retraining sensor and by the replay, with the time as an argument. The state is
written before anything is done, so a kill leaves an attempt that is asked for again under the same
key. Nothing here is heavy: no table is opened.
"""

from dataclasses import dataclass
from datetime import datetime

from mlops_assets.monitoring.store import MonitoringStore
from mlops_assets.retraining.attempts import OutsideFacts, gather
from mlops_assets.retraining.decision import Decision, decide
from mlops_assets.retraining.state import RetrainingState
from mlops_assets.retraining.store import RetrainingStore
from mlops_assets.spec import ModelSpec
from mlops_assets.spec.retraining import RetrainingSpec


@dataclass(frozen=True, slots=True)
class Ticked:
    """What a tick found.

    Attributes:
        before: The state as it was remembered; a new one before the first tick.
        decision: What follows; its state is kept.
    """

    before: RetrainingState
    decision: Decision


def read_state(store: RetrainingStore, model: str, now: datetime) -> RetrainingState:
    """The state of a model; a new one, watched from now on, before the first tick."""
    return store.read(model) or RetrainingState(model=model, since=now)


def policy_of(spec: ModelSpec) -> RetrainingSpec:
    """The policy in force: without `retraining:` only a person starts a training."""
    return spec.retraining if spec.retraining is not None else RetrainingSpec(triggers=[])


def tick(
    store: RetrainingStore,
    windows: MonitoringStore,
    spec: ModelSpec,
    facts: OutsideFacts,
    now: datetime,
) -> Ticked:
    """One tick.

    Args:
        store: Where the state is kept.
        windows: The judged windows.
        spec: The model's document.
        facts: What is known outside of the windows.
        now: Aware.

    Raises:
        RetrainingError: the state cannot be read.
        MonitoringError: the windows cannot be read.
    """
    policy = policy_of(spec)
    before = read_state(store, spec.name, now)
    state = gather(before, facts, store.request(spec.name), now)
    decision = decide(windows.recent(spec.name).verdicts, state, policy, now)
    store.write(decision.state)
    return Ticked(before, decision)

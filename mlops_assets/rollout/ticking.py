"""One tick of a rollout: read what is remembered, look at what is, decide, write down, carry out.

Called by the rollout sensor, by the runs that it launches and by tests. Any process may call it at
any time, and two at once: the second to write finds another state and gives up. What is decided is
written before it is done, so a kill leaves a state that says what should be, and the next tick
finds what is missing of it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mlops_assets.errors import ServingError
from mlops_assets.rollout.decision import Decision, decide
from mlops_assets.rollout.effects import carry_out
from mlops_assets.rollout.evidence import Evidence
from mlops_assets.rollout.presets import build_policy
from mlops_assets.rollout.state import RolloutState
from mlops_assets.rollout.store import RolloutStore
from mlops_assets.rollout.telling import notifications_of
from mlops_assets.rollout.world import World, observe
from mlops_assets.spec import ModelSpec

_LINGERS = timedelta(minutes=10)  # in which a release is seen to be done, and messages sent again


@dataclass(frozen=True, slots=True)
class Ticked:
    """What a tick found and did.

    Attributes:
        before: The state that it read.
        evidence: What it saw.
        decision: What follows.
        was_carried_out: False: something outside must change and this tick was not to change it.
    """

    before: RolloutState
    evidence: Evidence
    decision: Decision
    was_carried_out: bool

    @property
    def state(self) -> RolloutState:
        """The state that is stored now."""
        return self.decision.state if self.was_carried_out else self.before


def tick(
    world: World,
    spec: ModelSpec,
    now: datetime,
    *,
    may_act: bool = True,
    newest_version: int | None = None,
    ui_url: str | None = None,
) -> Ticked | None:
    """One tick; None when the service has no rollout.

    Args:
        world: What is looked at and changed.
        spec: The model; its document may have changed since the rollout began.
        now: Time of the decision.
        may_act: Whether what must change outside is changed. Without it, a decision that needs
            that is only returned, and the state stays; so it does when the serving backend has a
            step to take towards what an earlier tick declared.
        newest_version: A newer version that waits to be rolled out; it takes the place of this one.
        ui_url: Where notifications point to.

    Raises:
        StateConflictError: another process was first; nothing was done.
        MlopsError: something could not be changed; the next tick goes on from there.
    """
    content, token = world.store.read(spec.service)
    if content is None:
        return None
    policy = build_policy(spec)
    before = RolloutState.from_storage(content)
    observed = observe(world, spec, policy, before, now, newest_version=newest_version)
    decision = decide(before, observed.evidence, policy, now)
    lags = _lags(observed.evidence)
    if not may_act and (decision.needs_run or (lags and _has_next_step(world, spec.service))):
        return Ticked(before, observed.evidence, decision, was_carried_out=False)
    held_up = _converge(world, spec.service) if lags and may_act else None
    state = decision.state
    # Until the first look the source must remember where the stage begins; without news between two
    # looks nothing is written.
    if decision.evaluated or not before.is_looked_at:
        state = state.model_copy(update={"cursor": observed.cursor})
        decision = decision.model_copy(update={"state": state})
    text = state.to_storage()
    if text != content:
        world.store.write(spec.service, text, token)
    if decision.needs_run:
        carry_out(world, spec, policy, decision)
    for notification in notifications_of(state, ui_url):
        world.notifier.notify(notification)
    if held_up is not None:
        raise held_up
    return Ticked(before, observed.evidence, decision, was_carried_out=True)


def _has_next_step(world: World, service: str) -> bool:
    try:
        return world.serving.has_next_step(service)
    except ServingError:
        return False  # nobody can say; the next tick asks again


def _converge(world: World, service: str) -> ServingError | None:
    """Lets what an earlier tick declared go on; what holds it up must not hold up a decision."""
    try:
        world.serving.converge(service)
    except ServingError as error:
        return error
    return None


def _lags(evidence: Evidence) -> bool:
    """Whether the router answers and has another split than the one that it was told."""
    return evidence.routed is not None and evidence.routed != evidence.declared


def is_settled(store: RolloutStore, service: str, now: datetime) -> bool:
    """Whether a service has no rollout, or one that is over and needs no tick any more.

    Raises:
        RolloutError: the state cannot be read.
    """
    content, _ = store.read(service)
    if content is None:
        return True
    state = RolloutState.from_storage(content)
    return (
        state.is_ended
        and state.standby_released
        and state.ended_at is not None
        and now > state.ended_at + _LINGERS
    )

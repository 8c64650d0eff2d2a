"""Whether a registered version begins a rollout: a pure decision, and its first write.

A version begins one when another one serves. The very first version of a service has nobody to be
compared with, and one that serves already has nowhere to go. One that was rolled back, or stopped
by a person, is not tried again by itself: the same data gives the same version, and so would the
same evidence. One that could not run is: the reason may be gone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from mlops_assets.errors import RolloutError
from mlops_assets.kserve.manifest import MODEL_VERSION, revision_name
from mlops_assets.modeling.mlflow_registry import CHALLENGER, PREVIOUS
from mlops_assets.rollout.phases import PROMOTED
from mlops_assets.rollout.presets import build_policy
from mlops_assets.rollout.state import RolloutState, VersionRef
from mlops_assets.rollout.world import World
from mlops_assets.serving.backend import Declaration
from mlops_assets.spec import ModelSpec

LEVELS_FROM = timedelta(hours=1)
"""How far back the serving version's requests tell what it keeps, where no stage compares both."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a registered version leads to.

    Attributes:
        kind: direct: it serves at once, there is nobody to compare it with. serves: it serves
            already. under_way: its rollout runs. supersede: that of another version runs, which
            ends first. waits: another version was promoted and is still watched; the rollout sensor
            begins this one's rollout after it. begin: a rollout begins. refused: it was rolled
            back or stopped, and nobody asked to try it again.
        reason: In words.
    """

    kind: Literal["direct", "serves", "under_way", "supersede", "waits", "begin", "refused"]
    reason: str


def decide_beginning(
    version: int,
    serving_version: int | None,
    last: RolloutState | None,
    *,
    again: bool = False,
) -> Beginning:
    """What to do with a registered version.

    Args:
        version: The registered version.
        serving_version: The version that the service is declared to serve; None: there is none.
        last: The last rollout of the service, ended or not; None: there was none.
        again: Whether a person asks to try a version again that was rolled back or stopped.
    """
    if serving_version is None:
        return Beginning("direct", f"v{version} is the first version")
    is_active = last is not None and not last.is_ended
    if last is not None and is_active:
        if last.challenger.version == version:
            return Beginning("under_way", f"v{version} is {last.phase}: {last.reason}")
        if last.phase in (*PROMOTED, "rolling_back") and last.stable.version != version:
            return Beginning(
                "waits", f"v{version} waits until v{last.challenger.version} is settled"
            )
        if last.stable.version != version:
            return Beginning(
                "supersede", f"v{version} takes the place of v{last.challenger.version}"
            )
        return Beginning(
            "under_way", f"v{version} serves while v{last.challenger.version} is tried"
        )
    if serving_version == version:
        return Beginning("serves", f"v{version} serves")
    if last is not None and last.challenger.version == version and not again:
        if not last.standby_released:
            return Beginning("under_way", f"v{version} is let go: {last.reason}")
        if last.phase != "failed":
            words = last.phase.replace("_", " ")
            return Beginning("refused", f"v{version} was {words}, and is not tried again by itself")
    return Beginning("begin", f"v{version} is rolled out, v{serving_version} serves")


def waiting_version(state: RolloutState, aliases: Mapping[str, int] | None) -> int | None:
    """The registered version that waits for the end of a rollout that is over; None: none does."""
    newest = (aliases or {}).get(CHALLENGER)
    if not state.is_ended or newest is None or newest <= state.challenger.version:
        return None
    return newest


def declared_version(declaration: Declaration | None) -> int | None:
    """The registry version of the stable revision; None when nothing is declared."""
    if declaration is None:
        return None
    annotations = declaration.manifest["metadata"].get("annotations") or {}
    return int(annotations[MODEL_VERSION])


def read_state(world: World, service: str) -> RolloutState | None:
    """The last rollout of a service, ended or not; None when there was none."""
    content, _ = world.store.read(service)
    return None if content is None else RolloutState.from_storage(content)


def begin(world: World, spec: ModelSpec, version: int, now: datetime) -> RolloutState:
    """Write down that a rollout begins; nothing else is changed yet.

    Raises:
        RolloutError: a rollout runs, or nothing serves.
        ServingError: what the document asks for cannot be done here, and why.
        StateConflictError: another process was first.
    """
    content, token = world.store.read(spec.service)
    last = None if content is None else RolloutState.from_storage(content)
    stable = declared_version(world.serving.declaration(spec.service))
    if stable is None or (last is not None and not last.is_ended):
        raise RolloutError(f"{spec.service}: no rollout can begin: found {last and last.phase}")
    is_again = last is not None and last.challenger.version == version
    policy = build_policy(spec)
    world.serving.require_rollout(
        n_challengers=2 if policy.baseline else 1, mirrors=policy.shadow is not None
    )
    state = RolloutState.begin(
        spec.name,
        spec.service,
        stable=VersionRef(version=stable, revision=revision_name(stable)),
        challenger=VersionRef(version=version, revision=revision_name(version)),
        now=now,
        previous=world.registry.aliases(spec.registered_model).get(PREVIOUS),
        attempt=last.attempt + 1 if last is not None and is_again else 1,
        evidence_from=None if policy.has_comparison else now - LEVELS_FROM,
    )
    world.store.write(spec.service, state.to_storage(), token)
    return state

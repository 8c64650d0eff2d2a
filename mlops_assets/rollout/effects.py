"""Carries a decision out: the manifest, the split, the aliases. The only place where it is done.

Each step compares what should be with what is, so all of it may be repeated and be cut off at any
line; the next tick sees what is missing and calls it again. Before each, another process may have
decided something else: then this one is late, and does nothing more. Who serves is settled first
(manifest, split), who is called champion after it, since aliases follow the traffic.
"""

from typing import Any

from mlops_assets.errors import RolloutError
from mlops_assets.kserve.manifest import build_inference_service
from mlops_assets.rollout.decision import Decision
from mlops_assets.rollout.evidence import Arm, Traffic
from mlops_assets.rollout.policy import RolloutPolicy
from mlops_assets.rollout.roles import (
    Manifest,
    block_of,
    build_rollout_manifest,
    primary_arm,
    to_percent,
    to_traffic,
)
from mlops_assets.rollout.state import RolloutState, VersionRef
from mlops_assets.rollout.world import World
from mlops_assets.serving.backend import Declaration
from mlops_assets.spec import ModelSpec


def carry_out(world: World, spec: ModelSpec, policy: RolloutPolicy, decision: Decision) -> None:
    """Make the world as the decision wants it.

    Raises:
        MlopsError: something could not be reached or refused; what was done stays, and calling it
            again goes on from there.
    """
    state = decision.state
    declaration = world.serving.declaration(state.service)
    if declaration is None:
        raise RolloutError(
            f"service {state.service} is not declared any more; materialize {spec.name}/"
            "inference_service, which serves its version at once and forgets this rollout"
        )
    if decision.seen is not None and _split_of(declaration, state) not in (
        decision.seen,
        decision.traffic,
    ):
        return  # a person was faster: the next tick sees it and asks
    manifest = _wanted_manifest(world, spec, policy, decision, declaration)
    if manifest != declaration.manifest and _is_last_word(world, state):
        world.serving.apply(manifest)
    percent, shadow = to_percent(decision.traffic, state)
    now = world.serving.declaration(state.service)
    has_split = now is not None and (_shares(now.percent), now.shadow) == (percent, shadow)
    if not has_split and _is_last_word(world, state):
        world.serving.set_traffic(state.service, percent, shadow=shadow)
    if _is_last_word(world, state):
        world.registry.set_aliases(spec.registered_model, decision.aliases)


def _is_last_word(world: World, state: RolloutState) -> bool:
    """Whether nobody decided anything since. Making a manifest loads MLflow, which takes seconds:
    time enough for another process to go back, or to begin the rollout of a newer version. What
    people said meanwhile is the next tick's."""
    content, _ = world.store.read(state.service)
    if content is None:
        return False
    stored = RolloutState.from_storage(content)  # with a history that may be thinned out
    beside = {"commands": state.commands, "history": state.history}
    return stored.model_copy(update=beside) == state


def _wanted_manifest(
    world: World,
    spec: ModelSpec,
    policy: RolloutPolicy,
    decision: Decision,
    declaration: Declaration,
) -> dict[str, Any]:
    state = decision.state
    needed = {primary_arm(state), *decision.running}
    manifests: dict[Arm, Manifest] = {}
    for arm in needed:
        of = state.challenger if arm == "challenger" else state.stable
        manifests[arm] = _manifest_of(world, spec, of, declaration)
    return build_rollout_manifest(state, decision.running, manifests, sticky_key=policy.sticky_key)


def _manifest_of(
    world: World, spec: ModelSpec, of: VersionRef, declaration: Declaration
) -> Manifest:
    """The InferenceService of one version alone, with the block under which it runs already."""
    declared = declaration.manifest
    if declared["spec"]["predictor"]["name"] == of.revision:
        return declared
    version = world.registry.version(spec.registered_model, of.version)
    manifest = build_inference_service(
        spec,
        version=version.version,
        storage_uri=version.uri,
        model_digest=version.model_digest,
        mlflow_run_id=version.mlflow_run_id,
    )
    running = block_of(declaration, of.revision)
    if running is not None:
        manifest["spec"]["predictor"] = dict(running)
    return manifest


def _split_of(declaration: Declaration, state: RolloutState) -> Traffic:
    return to_traffic(declaration.percent, declaration.shadow, state)


def _shares(percent: Any) -> dict[str, int]:
    return {name: share for name, share in percent.items() if share}

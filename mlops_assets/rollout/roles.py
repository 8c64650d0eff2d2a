"""From the roles of a rollout to what is served, and back: revisions, shares, manifest. Pure.

The challenger is declared beside the stable version with `trafficPercent: 0`, since shares are set
apart from the manifest (`ServingBackend.set_traffic`); so no step of a rollout writes a manifest.
Once promoted it changes places with the former version, whose block stays letter for letter: an
unchanged block is an unchanged process.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, get_args

from mlops_assets.kserve.manifest import ENTITY_KEY
from mlops_assets.rollout.evidence import Arm, Traffic
from mlops_assets.rollout.phases import PROMOTED
from mlops_assets.rollout.state import RolloutState
from mlops_assets.serving.backend import Declaration

Manifest = Mapping[str, Any]


def revisions_of(state: RolloutState) -> dict[Arm, str]:
    """Name of the revision of each arm."""
    stable = state.stable.revision
    return {
        "stable": stable,
        "challenger": state.challenger.revision,
        "baseline": f"{stable}-baseline",
    }


def to_traffic(percent: Mapping[str, int], shadow: str | None, state: RolloutState) -> Traffic:
    """Shares by role, from shares by revision."""
    names = revisions_of(state)
    shares = {arm: percent.get(names[arm], 0) for arm in get_args(Arm)}
    return Traffic(
        **shares,
        other=sum(percent.values()) - sum(shares.values()),
        shadow=shadow == names["challenger"],
    )


def to_percent(traffic: Traffic, state: RolloutState) -> tuple[dict[str, int], str | None]:
    """Shares by revision and the shadow, from shares by role."""
    names = revisions_of(state)
    percent = {names[arm]: getattr(traffic, arm) for arm in get_args(Arm)}
    shares = {name: share for name, share in percent.items() if share}
    return shares, names["challenger"] if traffic.shadow else None


def block_of(declaration: Declaration | None, revision: str) -> Manifest | None:
    """The predictor block under which a revision is declared now."""
    if declaration is None:
        return None
    spec = declaration.manifest["spec"]
    canaries = [entry["predictor"] for entry in spec.get("canary") or []]
    return next((b for b in (spec["predictor"], *canaries) if b["name"] == revision), None)


def primary_arm(state: RolloutState) -> Arm:
    """Whose block is `spec.predictor`: the challenger's once it is the champion."""
    return "challenger" if state.phase in PROMOTED else "stable"


def build_rollout_manifest(
    state: RolloutState,
    running: Sequence[Arm],
    manifests: Mapping[Arm, Manifest],
    *,
    sticky_key: str | None,
) -> dict[str, Any]:
    """The InferenceService of a rollout.

    Args:
        state: The rollout.
        running: Arms that are declared.
        manifests: By arm, the InferenceService that would serve its version alone; the one of
            the baseline is that of the stable version.
        sticky_key: Feature or field that keeps a caller on one version.
    """
    names, primary = revisions_of(state), primary_arm(state)
    manifest = deepcopy(dict(manifests[primary]))
    if sticky_key is not None:
        manifest["metadata"]["annotations"][ENTITY_KEY] = sticky_key
    manifest["spec"] = {key: v for key, v in manifest["spec"].items() if key != "canary"}
    canaries = []
    for arm in get_args(Arm):
        if arm in running and arm != primary:
            block = deepcopy(dict(manifests[arm]["spec"]["predictor"]))
            if block["name"] != names[arm]:  # its predictions are logged under its own name
                model = block["model"]
                model["args"] = [*(model.get("args") or ()), f"--revision={names[arm]}"]
            block["name"] = names[arm]
            if "endpoint" in (block.get("labels") or {}):
                block["labels"]["endpoint"] = names[arm]
            canaries.append({"trafficPercent": 0, "predictor": block})
    if canaries:
        manifest["spec"]["canary"] = canaries
    return manifest

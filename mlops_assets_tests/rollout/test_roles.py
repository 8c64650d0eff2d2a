"""The InferenceService of a rollout: which version stands where, under which name."""

from typing import Any

from mlops_assets.rollout.evidence import Arm
from mlops_assets.rollout.roles import build_rollout_manifest
from mlops_assets_tests.kserve.test_manifest import build
from mlops_assets_tests.rollout.scenes import begin


def test_a_baseline_is_the_stable_version_and_logs_under_its_own_name() -> None:
    state = begin()
    stable, challenger = state.stable, state.challenger
    manifests: dict[Arm, Any] = {
        "stable": build(stable.version),
        "challenger": build(challenger.version),
        "baseline": build(stable.version),
    }
    built = build_rollout_manifest(
        state, ("stable", "challenger", "baseline"), manifests, sticky_key=None
    )
    first = built["spec"]["predictor"]
    second, third = (entry["predictor"] for entry in built["spec"]["canary"])
    assert first == manifests["stable"]["spec"]["predictor"]
    assert second == manifests["challenger"]["spec"]["predictor"]
    name = f"{stable.revision}-baseline"
    assert (third["name"], third["labels"]["endpoint"]) == (name, name)
    assert third["model"]["storageUri"] == first["model"]["storageUri"]
    assert third["model"]["args"] == [*first["model"]["args"], f"--revision={name}"]
    assert "--revision" not in " ".join(first["model"]["args"])

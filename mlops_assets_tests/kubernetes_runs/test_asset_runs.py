"""What the pod of a run of single assets asks for."""

import json
from typing import Any

from mlops_assets.kubernetes_runs.asset_runs import CONFIG_TAG, gather_tags
from mlops_assets.spec.operations import StepResources


def tags_of(**asked: Any) -> dict[str, str]:
    return {CONFIG_TAG: json.dumps(StepResources(**asked).to_dagster_k8s())}


def test_amounts_are_the_largest_and_places_are_joined() -> None:
    spot = {"key": "spot", "operator": "Exists"}
    one = tags_of(cpu="1500m", memory="3Gi", node_selector={"disk": "ssd"}, tolerations=[spot])
    other = tags_of(cpu="1", memory="900Mi", gpu=1, tolerations=[spot, {"key": "gpu"}])
    gathered = json.loads(gather_tags([one, other])[CONFIG_TAG])
    resources = gathered["container_config"]["resources"]
    assert resources["requests"] == {"cpu": "1500m", "memory": "3Gi", "nvidia.com/gpu": "1"}
    assert resources["limits"] == {"memory": "3Gi", "nvidia.com/gpu": "1"}
    assert gathered["pod_spec_config"] == {
        "node_selector": {"disk": "ssd"},
        "tolerations": [spot, {"key": "gpu"}],
    }


def test_it_may_grow_as_far_as_any_of_its_steps() -> None:
    steps = [{"mlops/maximum_memory": amount} for amount in ("900Mi", "8Gi", "1Gi")]
    assert gather_tags(steps) == {"mlops/maximum_memory": "8Gi"}


def test_steps_that_ask_for_nothing_leave_it_to_dagster_yaml() -> None:
    assert gather_tags([{}, {"other": "tag"}]) == {}

from datetime import timedelta

import pytest
from pydantic import ValidationError

from mlops_assets.spec.operations import (
    KubernetesSpec,
    PredictionLogSpec,
    ScheduleSpec,
    ServingSpec,
    StepResources,
)


def test_nothing_asked_for_gives_an_empty_config() -> None:
    assert StepResources().to_dagster_k8s() == {}


def test_memory_is_requested_and_allowed_alike_and_cpu_only_requested() -> None:
    config = StepResources(cpu="2", memory="4Gi", gpu=1).to_dagster_k8s()
    limits = {"memory": "4Gi", "nvidia.com/gpu": "1"}
    resources = {"requests": {**limits, "cpu": "2"}, "limits": limits}
    assert config == {"container_config": {"resources": resources}}


def test_a_run_that_executes_all_steps_has_room_for_the_largest() -> None:
    steps = {
        "features": {"cpu": "500m", "memory": "3Gi", "node_selector": {"disk": "ssd"}},
        "trained_model": {"cpu": "2", "memory": "900Mi", "gpu": 1},
    }
    fields = {"run": {"memory": "1Gi"}, "steps": steps}
    together = KubernetesSpec.model_validate(fields).run_resources()
    assert (together.cpu, together.memory, together.gpu) == ("2", "3Gi", 1)
    assert together.node_selector == {"disk": "ssd"}
    apart = KubernetesSpec.model_validate({**fields, "step_pods": True}).run_resources()
    assert (apart.cpu, apart.memory, apart.gpu) == (None, "1Gi", None)


def test_an_amount_that_is_none_and_growth_from_nothing_are_refused() -> None:
    for fields in ({"memory": "4 GB"}, {"cpu": "two"}, {"maximum_memory": "8Gi"}):
        with pytest.raises(ValidationError, match="an amount"):
            StepResources.model_validate(fields)


def test_memory_does_not_grow_to_less() -> None:
    assert StepResources(memory="1Gi", maximum_memory="1Gi").maximum_memory == "1Gi"
    with pytest.raises(ValidationError, match=r"maximum_memory: found '1Gi'.*at least memory, 2Gi"):
        StepResources(memory="2Gi", maximum_memory="1Gi")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"minimum_replicas": 4}, "maximum_replicas: found 3, allowed: at least minimum_replicas"),
        ({"cpu": "half"}, "an amount of CPU"),
        ({"memory": "512 MB"}, "an amount of memory"),
    ],
)
def test_a_service_that_no_cluster_takes_is_refused(
    fields: dict[str, object], problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem):
        ServingSpec.model_validate(fields)
    ServingSpec.model_validate({"minimum_replicas": 3, "cpu": "2", "memory": "1.5Gi"})


def test_placement_goes_to_the_pod() -> None:
    resources = StepResources(node_selector={"disk": "ssd"}, tolerations=[{"key": "gpu"}])
    assert resources.to_dagster_k8s() == {
        "pod_spec_config": {"node_selector": {"disk": "ssd"}, "tolerations": [{"key": "gpu"}]}
    }


@pytest.mark.parametrize(
    ("zone", "exists"),
    [
        ("UTC", True),
        ("America/New_York", True),
        ("New York", False),
        ("America", False),
        ("", False),
        ("../etc/passwd", False),
    ],
)
def test_time_zone_of_a_schedule_exists(zone: str, exists: bool) -> None:
    fields = {"cron": "0 6 * * 1", "timezone": zone}
    if exists:
        assert ScheduleSpec.model_validate(fields).timezone == zone
        return
    with pytest.raises(ValidationError, match="an IANA time zone"):
        ScheduleSpec.model_validate(fields)


def test_by_default_all_predictions_are_kept_for_ever() -> None:
    policy = PredictionLogSpec()
    assert (policy.retention, policy.leave_out, policy.hash) == (None, [], [])


def test_a_retention_is_read() -> None:
    policy = PredictionLogSpec.model_validate({"retention": "90d", "hash": ["customer"]})
    assert policy.retention == timedelta(days=90)


def test_a_feature_is_left_out_or_hashed_and_not_both() -> None:
    with pytest.raises(ValidationError, match=r"hash: found \['b'\].*not in leave_out"):
        PredictionLogSpec(leave_out=["a", "b"], hash=["b", "c"])


@pytest.mark.parametrize("retention", ["90", "1.5d", "for ever", 90])
def test_a_retention_that_is_no_duration_is_refused(retention: object) -> None:
    with pytest.raises(ValidationError):
        PredictionLogSpec.model_validate({"retention": retention})

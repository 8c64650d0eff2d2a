"""Runs on the emulated cluster, end to end: queue, launcher, executor, pods, termination, logs."""

import json

import pytest

from mlops_assets_tests.kubernetes.job_cluster import eventually
from mlops_assets_tests.kubernetes.kinds import Object
from mlops_assets_tests.kubernetes_runs.stand import IMAGE, PATIENCE_SECONDS, Stand

pytestmark = pytest.mark.timeout(900)  # a busy machine


def test_a_run_is_one_pod_with_the_settings_of_its_job(stand: Stand) -> None:
    run_id = stand.launch("in_run")
    assert stand.ended(run_id) == "SUCCESS", stand.story(run_id)
    (job,) = stand.jobs(run_id)
    pod = job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert (container["image"], pod["nodeSelector"]) == (IMAGE, {"pool": "cpu"})
    assert job["spec"]["ttlSecondsAfterFinished"] == 600
    assert job["spec"]["backoffLimit"] == 0
    assert _tells_that_its_pod_was_taken_away(job)
    requests, limits = container["resources"]["requests"], container["resources"]["limits"]
    assert (requests["cpu"], limits["ephemeral-storage"]) == ("250m", "20Gi")  # dagster.yaml's
    assert (requests["memory"], limits["memory"]) == ("3Gi", "3Gi")  # the job's
    (found,) = stand.cluster.pods(f"dagster/run-id={run_id}")
    log = stand.cluster.processes.read_log(found, "dagster", previous=False)
    assert f"first runs in {found['metadata']['name']}" in log
    eventually(lambda: stand.jobs(run_id)[0]["status"].get("succeeded") == 1)


def test_each_step_is_a_pod_with_its_own_settings(stand: Stand) -> None:
    run_id = stand.launch("in_steps")
    assert stand.ended(run_id) == "SUCCESS", stand.story(run_id)
    by_step = {job["metadata"]["labels"].get("dagster/op"): job for job in stand.jobs(run_id)}
    assert set(by_step) == {None, "toy__first", "toy__second"}
    template = by_step["toy__second"]["spec"]["template"]
    container = template["spec"]["containers"][0]
    assert template["metadata"]["labels"]["team"] == "ml"
    assert container["resources"]["requests"]["memory"] == "5Gi"
    assert "nodeSelector" not in template["spec"]  # the job's settings are for the run's pod
    assert all(_tells_that_its_pod_was_taken_away(job) for job in by_step.values())
    logged = "\n".join(stand.messages(run_id))
    assert "Executing step" in logged


def _tells_that_its_pod_was_taken_away(job: Object) -> bool:
    """Whether it has the rule in the API's own words, which need pods that are not restarted."""
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    condition = {"type": "DisruptionTarget", "status": "True"}
    rule = {"action": "FailJob", "onPodConditions": [condition]}
    return bool(job["spec"]["podFailurePolicy"] == {"rules": [rule]})


def test_a_run_of_single_assets_has_room_for_the_largest_step(stand: Stand) -> None:
    run_id = stand.launch("__ASSET_JOB", assets=["toy/first", "toy/second"])
    eventually(lambda: stand.jobs(run_id), PATIENCE_SECONDS, "its Job")
    (job,) = stand.jobs(run_id)
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["memory"] == "5Gi"
    assert {"name": "FROM_STEP", "value": "step"} in container["env"]
    assert stand.ended(run_id) == "SUCCESS", stand.story(run_id)


def test_no_run_gets_less_than_dagster_yaml_allows(stand: Stand) -> None:
    small = {"resources": {"requests": {"memory": "300Mi"}, "limits": {"memory": "300Mi"}}}
    config = json.dumps({"container_config": small})
    run_id = stand.launch("wrong_in_run", **{"dagster-k8s/config": config})
    eventually(lambda: stand.jobs(run_id), PATIENCE_SECONDS, "its Job")
    resources = stand.jobs(run_id)[0]["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert resources["requests"]["memory"] == "300Mi"
    assert resources["limits"]["memory"] == "2Gi"
    stand.ended(run_id)

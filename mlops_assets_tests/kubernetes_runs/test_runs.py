"""Runs on the emulated cluster, end to end: queue, launcher, executor, pods, termination, logs."""

from mlops_assets_tests.kubernetes.job_cluster import eventually
from mlops_assets_tests.kubernetes_runs.stand import IMAGE, Stand


def test_a_run_is_one_pod_with_the_settings_of_its_job(stand: Stand) -> None:
    run_id = stand.launch("in_run")
    assert stand.ended(run_id) == "SUCCESS", stand.story(run_id)
    (job,) = stand.jobs(run_id)
    pod = job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert (container["image"], pod["nodeSelector"]) == (IMAGE, {"pool": "cpu"})
    assert job["spec"]["ttlSecondsAfterFinished"] == 600
    assert job["spec"]["backoffLimit"] == 0
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
    assert container["resources"]["requests"]["memory"] == "1Gi"
    assert "nodeSelector" not in template["spec"]  # the job's settings are for the run's pod
    logged = "\n".join(stand.messages(run_id))
    assert "Executing step" in logged

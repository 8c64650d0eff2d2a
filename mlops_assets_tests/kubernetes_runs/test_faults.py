"""What goes wrong on clusters, on the emulated one, end to end.

Each begins with the fault as Dagster by itself shows it, where that takes no longer than a look.
"""

import json
import logging
import signal
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.events import DagsterEvent
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon

from mlops_assets_tests.kubernetes.faults import Fault
from mlops_assets_tests.kubernetes.job_cluster import eventually
from mlops_assets_tests.kubernetes_runs.stand import PATIENCE_SECONDS, Stand

pytestmark = pytest.mark.timeout(900)  # a busy machine
ACCESS = Path(__file__).parents[2] / "k8s" / "base" / "dagster" / "access.yaml"


def said(stand: Stand, run_id: str, words: str) -> bool:
    return any(words in message for message in stand.messages(run_id))


def test_an_outage_of_the_api_server_costs_no_run(stand: Stand) -> None:
    run_id = stand.launch("waiting_in_steps", "outage")
    stand.began("outage")
    outage = Fault("*", "*", 0, times=10**6)
    stand.cluster.api.faults.order(outage)
    stand.go_on("outage")  # the next step is to be started while nobody answers
    eventually(lambda: said(stand, run_id, "STEP_WORKER_STARTING") or n_refused(outage) > 20)
    queued = stand.launch("in_run", "queued_in_outage")
    eventually(lambda: stand.status(queued) == "STARTING", PATIENCE_SECONDS)
    before = n_refused(outage)
    eventually(lambda: n_refused(outage) > before + 10, PATIENCE_SECONDS)
    assert stand.status(run_id) == "STARTED", stand.story(run_id)
    stand.cluster.api.faults.open.clear()
    assert stand.ended(run_id) == "SUCCESS", stand.story(run_id)
    assert stand.ended(queued) == "SUCCESS", stand.story(queued)


def n_refused(outage: Fault) -> int:
    return 10**6 - outage.times


def test_a_single_refusal_costs_no_run(stand: Stand) -> None:
    run_id = stand.launch("waiting_in_run", "refused")
    stand.began("refused")
    refusal = Fault("get", "jobs/status", 403, times=1)
    stand.cluster.api.faults.order(refusal)
    eventually(lambda: refusal.times == 0, PATIENCE_SECONDS)
    stand.go_on("refused")
    assert stand.ended(run_id) == "SUCCESS", stand.story(run_id)


def test_a_step_that_is_never_started_ends_its_run_with_the_reason(stand: Stand) -> None:
    by_itself = stand.launch("lost_by_itself")
    run_id = stand.launch("lost_in_steps")
    assert stand.ended(run_id) == "FAILURE"
    assert said(stand, run_id, "no pod works after"), stand.story(run_id)
    assert said(stand, run_id, 'ImagePullBackOff: Back-off pulling image "registry.example/none:1"')
    eventually(lambda: len(stand.jobs(run_id)) == 1)  # that of the run
    assert stand.status(by_itself) in ("QUEUED", "STARTING", "STARTED")  # dagster-k8s: for ever
    stand.terminate(by_itself)


def test_a_worker_that_dies_before_its_run_started_is_seen_at_once(stand: Stand) -> None:
    broken = json.dumps({"container_config": {"command": ["/bin/sh", "-c", "exit 3"]}})
    run_id = stand.launch("in_run", **{"dagster-k8s/config": broken})
    assert stand.ended(run_id) == "FAILURE"  # Dagster waits for its start timeout, 240 s here
    words = "The run's worker died before the run started"
    assert said(stand, run_id, words), stand.story(run_id)
    assert said(stand, run_id, "its process ended with exit code 3")


def test_a_step_killed_for_memory_runs_again_with_more(stand: Stand) -> None:
    by_itself = stand.launch("hungry_by_itself")
    run_id = stand.launch("hungry_in_steps")
    assert stand.ended(run_id) == "SUCCESS", stand.story(run_id)
    words = "killed for memory: OOMKilled, exit code 137, memory limit 400Mi; it runs again with"
    assert said(stand, run_id, words), stand.messages(run_id)
    limits = [
        job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
        for job in stand.jobs(run_id)
        if "dagster/op" in job["metadata"]["labels"]
    ]
    assert limits[:2] == ["400Mi", "800Mi"]
    assert stand.ended(by_itself) == "FAILURE"
    assert said(stand, by_itself, "Discovered failed Kubernetes job")  # says dagster-k8s
    assert not said(stand, by_itself, "OOMKilled")


def test_an_evicted_step_runs_again(stand: Stand) -> None:
    run_id = stand.launch("waiting_in_steps", "evicted")
    stand.began("evicted")
    stand.cluster.processes.evict(stand.pod(run_id, "dagster-step"))
    words = "evicted from its node: The node was low on resource: memory."
    eventually(lambda: said(stand, run_id, words), PATIENCE_SECONDS)
    stand.go_on("evicted")
    assert stand.ended(run_id) == "SUCCESS", stand.story(run_id)
    assert said(stand, run_id, "eviction 1, allowed: 1")


def test_a_terminated_run_leaves_no_pod(stand: Stand) -> None:
    run_id = stand.launch("waiting_in_steps", "terminated")
    stand.began("terminated")
    pids = [stand.cluster.processes.pid(pod["metadata"]["name"]) for pod in stand.pods(run_id)]
    assert len(pids) == 2
    stand.terminate(run_id)
    assert stand.ended(run_id) == "CANCELED", stand.story(run_id)
    eventually(lambda: not stand.pods(run_id) and not stand.jobs(run_id), PATIENCE_SECONDS)
    assert not (stand.shared / "terminated-went-on").exists()


def test_a_zombie_publishes_nothing(stand: Stand) -> None:
    record = stand.shared / "records" / "toy" / "waiting.json"
    before = record.read_text() if record.exists() else ""
    run_id = stand.launch("waiting_in_steps", "zombie")
    stand.began("zombie")
    step = stand.pod(run_id, "dagster-step")
    stand.cluster.processes.kill(stand.pod(run_id, "dagster-run"))
    assert stand.ended(run_id) == "FAILURE"
    stand.stop("daemon", signal.SIGKILL)  # and its keeper, which would delete the step's Job
    assert stand.pod(run_id, "dagster-step") == step  # works on, for a run that is over
    stand.go_on("zombie")
    eventually((stand.shared / "zombie-went-on").exists, PATIENCE_SECONDS)
    refused = "publishes nothing: its run is over: FAILURE"
    eventually(lambda: said(stand, run_id, refused), PATIENCE_SECONDS)
    assert (record.read_text() if record.exists() else "") == before
    made = dg.DagsterEventType.ASSET_MATERIALIZATION
    assert not stand.instance.all_logs(run_id, of_type=made)
    stand.start_daemon()


def test_a_job_that_outlives_its_run_is_deleted(stand: Stand) -> None:
    run_id = stand.launch("waiting_in_steps", "outlived")
    stand.began("outlived")
    stand.cluster.processes.kill(stand.pod(run_id, "dagster-run"))
    assert stand.ended(run_id) == "FAILURE"
    eventually(
        lambda: not [p for p in stand.pods(run_id) if p["status"]["phase"] == "Running"],
        PATIENCE_SECONDS,
    )
    eventually(lambda: said(stand, run_id, "Deleted job dagster-step-"), PATIENCE_SECONDS)


def test_a_crashed_run_is_retried_and_a_wrong_one_is_not(stand: Stand) -> None:
    once = {"dagster/max_retries": "1"}
    wrong = stand.launch("wrong_in_run", **once)
    more = {"mlops/maximum_memory": "3Gi"}
    crashed = stand.launch("waiting_in_run", "crashed", **once, **more)
    stand.began("crashed")
    stand.cluster.processes.kill(stand.pod(crashed, "dagster-run"), "OOMKilled")
    assert stand.ended(crashed) == "FAILURE"
    assert said(stand, crashed, "killed for memory: OOMKilled"), stand.messages(crashed)
    stand.go_on("crashed")

    def retry() -> str:
        run = stand.instance.get_run_by_id(crashed)
        return run.tags.get("dagster/auto_retry_run_id", "") if run else ""

    child = eventually(retry, PATIENCE_SECONDS)
    assert stand.ended(child) == "SUCCESS", stand.story(child)
    memory = [
        job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
        for run_id in (crashed, child)
        for job in stand.jobs(run_id)
    ]
    assert memory == ["2Gi", "3Gi"]
    assert stand.ended(wrong) == "FAILURE"
    told = "Not retrying run since it failed due to an asset or op failure"
    eventually(lambda: said(stand, wrong, told), PATIENCE_SECONDS)  # the daemon tells it later


def test_a_killed_daemon_loses_nothing(stand: Stand) -> None:
    running = stand.launch("waiting_in_steps", "orphan")
    stand.began("orphan")
    stand.stop("daemon", signal.SIGKILL)
    queued = stand.launch("in_run", "waits_for_a_daemon")
    stand.go_on("orphan")
    assert stand.ended(running) == "SUCCESS", stand.story(running)
    assert stand.status(queued) == "QUEUED"
    stand.start_daemon()
    assert stand.ended(queued) == "SUCCESS", stand.story(queued)


def test_a_queued_run_starts_on_the_image_that_it_was_queued_with(stand: Stand) -> None:
    stand.stop("daemon")
    old = stand.launch("in_run", "queued_with_v1")
    stand.stop("code")
    newer = "registry.example/mlops/platform:v2"
    images = stand.cluster.processes.images
    images[newer] = next(iter(images.values()))
    stand.start_code_location(newer)
    new = stand.launch("in_run", "queued_with_v2")
    stand.start_daemon()
    for run_id, image in ((old, next(iter(images))), (new, newer)):
        assert stand.ended(run_id) == "SUCCESS", stand.story(run_id)
        (job,) = stand.jobs(run_id)
        assert job["spec"]["template"]["spec"]["containers"][0]["image"] == image
        run = stand.instance.get_run_by_id(run_id)
        assert run is not None
        assert run.tags["dagster/image"] == image


def test_two_daemons_launch_each_run_once(stand: Stand) -> None:
    stand.start_daemon("second-daemon")
    run_ids = [stand.launch("in_run", f"run-{number}") for number in range(3)]
    for run_id in run_ids:
        assert stand.ended(run_id) == "SUCCESS", stand.story(run_id)
        assert len(stand.jobs(run_id)) == 1
        successes = dg.DagsterEventType.RUN_SUCCESS
        assert len(stand.instance.all_logs(run_id, of_type=successes)) == 1
    stand.stop("second-daemon", signal.SIGKILL)


def test_a_lost_retry_is_found_and_launched(stand: Stand) -> None:
    run_id = stand.launch("waiting_in_run", "retried", **{"dagster/max_retries": "1"})
    stand.began("retried")
    stand.stop("daemon")
    stand.cluster.processes.kill(stand.pod(run_id, "dagster-run"))
    _fail_while_dagster_looks(stand, run_id)
    list(EventLogConsumerDaemon().run_iteration(stand.workspace()))
    run = stand.instance.get_run_by_id(run_id)
    assert run is not None
    assert run.tags["dagster/will_retry"] == "true"
    assert "dagster/auto_retry_run_id" not in run.tags  # Dagster's cursor is past it for good
    stand.go_on("retried")
    stand.start_daemon()

    def retry() -> str:
        found = stand.instance.get_run_by_id(run_id)
        return found.tags.get("dagster/auto_retry_run_id", "") if found else ""

    child = eventually(retry, PATIENCE_SECONDS)
    assert stand.ended(child) == "SUCCESS", stand.story(child)
    assert said(stand, run_id, "The automatic retry of this run was lost")


def _fail_while_dagster_looks(stand: Stand, run_id: str) -> None:
    """Write a run's failure in Dagster's own three steps, and let its daemon look after the first.

    That is what happened to one of seven retries on a real cluster.
    """
    instance, run = stand.instance, stand.instance.get_run_by_id(run_id)
    assert run is not None
    list(EventLogConsumerDaemon().run_iteration(stand.workspace()))  # it has a cursor by now
    event = DagsterEvent("PIPELINE_FAILURE", run.job_name, message="the worker is gone")
    entry_type: Any = dg.EventLogEntry
    entry = entry_type(
        error_info=None,
        level=logging.ERROR,
        user_message="",
        run_id=run_id,
        timestamp=time.time(),
        job_name=run.job_name,
        dagster_event=event,
    )
    instance.event_log_storage.store_event(entry)
    list(EventLogConsumerDaemon().run_iteration(stand.workspace()))
    instance.run_storage.handle_run_event(run_id, event)
    instance.add_run_tags(run_id, {"dagster/will_retry": "true"})


def test_no_account_uses_a_right_that_its_role_does_not_give(stand: Stand) -> None:
    documents = list(yaml.safe_load_all(ACCESS.read_text()))
    granted = {
        (document["metadata"]["name"], verb, resource)
        for document in documents
        if document["kind"] == "Role"
        for rule in document["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    accounts = {account for account, _, _ in granted}
    used = {(c.user.partition(":")[2], c.verb, c.resource) for c in stand.cluster.api.calls}
    of_stock_executor = {("dagster-run", "delete", "pods")}  # which runs beside ours in this file
    assert {call for call in used if call[0] in accounts} - of_stock_executor <= granted
    assert "dagster-daemon" in {account for account, _, _ in used}

"""What goes wrong on clusters, on the emulated one, end to end."""

import functools
import json

import pytest

from mlops_assets_tests.kubernetes.faults import Fault
from mlops_assets_tests.kubernetes.job_cluster import eventually
from mlops_assets_tests.kubernetes_runs.rights import granted_rights, used_rights
from mlops_assets_tests.kubernetes_runs.settings import NAMESPACE
from mlops_assets_tests.kubernetes_runs.stand import PATIENCE_SECONDS, Stand

pytestmark = pytest.mark.timeout(900)  # a busy machine


def await_calls(
    stand: Stand, since: int, account: str, verb: str, resource: str, n_calls: int
) -> None:
    """Until an account has asked so often for something, after so many calls of all."""
    call, calls = (f"{NAMESPACE}:{account}", verb, resource), stand.cluster.api.calls

    def look() -> bool:
        return [(c.user, c.verb, c.resource) for c in calls[since:]].count(call) >= n_calls

    eventually(look, PATIENCE_SECONDS, f"{n_calls} calls: {call}")


def test_an_outage_of_the_api_server_costs_no_run(stand: Stand) -> None:
    run_id = stand.launch("waiting_and_after_in_steps", "outage")
    stand.began("outage")
    stand.cluster.api.faults.order(Fault("*", "*", 0, times=10**6))
    since = len(stand.cluster.api.calls)
    stand.go_on("outage")  # the next step is to be started while nobody answers
    queued = stand.launch("in_run", "queued_in_outage")
    for account in ("dagster-run", "dagster-daemon"):  # of the step, and of the queued run
        await_calls(stand, since, account, "create", "jobs", 1)
    # Monitoring asks four times before it gives up a question.
    await_calls(stand, since, "dagster-daemon", "get", "jobs/status", 5)
    assert (stand.status(run_id), stand.status(queued)) == ("STARTED", "STARTING")
    stand.cluster.api.faults.open.clear()
    assert stand.ended(run_id) == "SUCCESS", stand.story(run_id)
    assert stand.ended(queued) == "SUCCESS", stand.story(queued)


def test_a_single_refusal_costs_no_run(stand: Stand) -> None:
    run_id = stand.launch("waiting_in_run", "refused")
    stand.began("refused")
    refusal = Fault("get", "jobs/status", 403, times=1)
    stand.cluster.api.faults.order(refusal)
    eventually(lambda: refusal.times == 0, PATIENCE_SECONDS)
    stand.go_on("refused")
    assert stand.ended(run_id) == "SUCCESS", stand.story(run_id)


def test_a_step_that_is_never_started_ends_its_run_with_the_reason(stand: Stand) -> None:
    run_id = stand.launch("lost_in_steps")
    assert stand.ended(run_id) == "FAILURE"
    assert stand.said(run_id, "no pod works after"), stand.story(run_id)
    assert stand.said(run_id, 'ImagePullBackOff: Back-off pulling image "registry.example/none:1"')
    eventually(lambda: len(stand.jobs(run_id)) == 1)  # that of the run


def test_a_step_killed_for_memory_runs_again_with_more(stand: Stand) -> None:
    run_id = stand.launch("hungry_in_steps")
    assert stand.ended(run_id) == "SUCCESS", stand.story(run_id)
    words = "killed for memory: OOMKilled, exit code 137, memory limit 400Mi; it runs again with"
    assert stand.said(run_id, words), stand.messages(run_id)
    resources = [
        job["spec"]["template"]["spec"]["containers"][0]["resources"]
        for job in stand.jobs(run_id)
        if "dagster/op" in job["metadata"]["labels"]
    ]
    for amounts in ("requests", "limits"):
        assert [found[amounts]["memory"] for found in resources][:2] == ["400Mi", "800Mi"]


def test_a_step_whose_pod_is_taken_away_runs_again(stand: Stand) -> None:
    """Its process gets SIGTERM first, as always, and tells a failure of its own."""
    processes = stand.cluster.processes
    ways = {"evicted": processes.evict, "preempted": processes.preempt}
    run_ids = {name: stand.launch("waiting_in_steps", name) for name in ways}
    for name, take_away in ways.items():
        stand.began(name)
        take_away(stand.pod(run_ids[name], "dagster-step"))
    for name, run_id in run_ids.items():
        words = "memory asked for: 512Mi, limit: 2Gi); eviction 1, allowed: 1"
        eventually(functools.partial(stand.said, run_id, words), PATIENCE_SECONDS, name)
        stand.go_on(name)
        assert stand.ended(run_id) == "SUCCESS", stand.story(run_id)
        assert stand.said(run_id, "DagsterExecutionInterruptedError")


def test_a_terminated_run_leaves_no_pod(stand: Stand) -> None:
    run_id = stand.launch("waiting_in_steps", "terminated")
    stand.began("terminated")
    pids = [stand.cluster.processes.pid(pod["metadata"]["name"]) for pod in stand.pods(run_id)]
    assert len(pids) == 2
    stand.terminate(run_id)
    assert stand.ended(run_id) == "CANCELED", stand.story(run_id)
    eventually(lambda: not stand.pods(run_id) and not stand.jobs(run_id), PATIENCE_SECONDS)
    assert not (stand.shared / "terminated-went-on").exists()


def test_the_keeper_ends_what_died_unseen_and_deletes_what_outlives_its_run(stand: Stand) -> None:
    broken = json.dumps({"container_config": {"command": ["/bin/sh", "-c", "exit 3"]}})
    dead = stand.launch("in_run", **{"dagster-k8s/config": broken})
    outlived, lone = (stand.launch("waiting_in_steps", name) for name in ("outlived", "lone"))
    for run_id, name in ((outlived, "outlived"), (lone, "lone")):
        stand.began(name)
        if name == "lone":  # its step's Job is deleted, and the pod works on
            stand.cluster.orphan(stand.pod(run_id, "dagster-step"))
        stand.cluster.processes.kill(stand.pod(run_id, "dagster-run"))
    for run_id, kind in ((outlived, "job"), (lone, "pod")):
        assert stand.ended(run_id) == "FAILURE"
        _is_cleared(stand, run_id, f"Deleted {kind} dagster-step-")
    assert stand.ended(dead) == "FAILURE"  # Dagster waits for its start timeout, 240 s here
    words = "The run's worker died before the run started"
    assert stand.said(dead, words), stand.story(dead)
    assert stand.said(dead, "its process ended with exit code 3")


def _is_cleared(stand: Stand, run_id: str, words: str) -> None:
    eventually(lambda: not stand.works(run_id), PATIENCE_SECONDS)
    eventually(lambda: stand.said(run_id, words), PATIENCE_SECONDS)


def test_each_account_uses_what_its_role_gives_and_nothing_else(stand: Stand) -> None:
    assert used_rights(stand) == granted_rights()

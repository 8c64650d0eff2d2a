"""What became of a worker, from statuses as a real Kubernetes 1.36 writes them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlops_assets.kubernetes_runs.worker import Object, Outcome, Worker, judge

MADE = datetime(2026, 11, 1, 12, tzinfo=UTC)
LIMIT_SECONDS = 300.0
SPEC = {"containers": [{"resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}}}]}


def a_job(condition: str | None = None, reason: str = "", **counts: int) -> Object:
    conditions = [{"type": condition, "status": "True", "reason": reason, "message": "so it is"}]
    status: Object = {**counts, **({"conditions": conditions} if condition else {})}
    metadata = {"creationTimestamp": "2026-11-01T12:00:00Z"}
    return {"metadata": metadata, "spec": {"template": {"spec": SPEC}}, "status": status}


def a_pod(phase: str, state: Any = None, **more: Any) -> Object:
    statuses = [{"name": "dagster", "state": state}] if state else []
    status = {"phase": phase, "containerStatuses": statuses, **more}
    metadata = {"name": "p", "creationTimestamp": "2026-11-01T12:00:00Z"}
    return {"metadata": metadata, "spec": SPEC, "status": status}


def ended(code: int, reason: str = "Error", **more: str) -> Object:
    return {"terminated": {"exitCode": code, "reason": reason, **more}}


def waits(reason: str, message: str) -> Object:
    return {"waiting": {"reason": reason, "message": message}}


FAILED = a_job("Failed", "BackoffLimitExceeded", failed=1)
TAKEN_AWAY = a_job("Failed", "PodFailurePolicy", failed=1)
TAKEN_AWAY["status"]["conditions"][0]["message"] = (
    "Pod mlops/p has condition DisruptionTarget matching FailJob rule at index 0"
)
GIVEN_UP = a_job("Failed", "PodFailurePolicy", failed=1)
ENDING = a_job("FailureTarget", "BackoffLimitExceeded", terminating=1)
DUE_SECONDS = 1800  # after it was made, a pod that was deleted is to have ended
UNSCHEDULED = {
    "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
    "message": "0/3 nodes are available",
}  # fmt: skip
QUOTA = {"type": "Warning", "reason": "FailedCreate", "message": "exceeded quota: memory"}
PREEMPTED = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
UNREACHABLE = {
    "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
    "message": "Taint manager: deleting due to NoExecute taint",
}  # fmt: skip


def deleted(pod: Object) -> Object:
    """The pod as it stays when its node does not answer, or until it does."""
    return {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": "2026-11-01T12:30:00Z"}}


IMAGE = waits("ImagePullBackOff", 'Back-off pulling image "x"')


@pytest.mark.parametrize(
    ("job", "pods", "events", "waited", "outcome", "words"),
    [
        pytest.param(a_job(active=1), [a_pod("Running")], [], 9e9, "running", "runs", id="works"),
        pytest.param(
            None, [a_pod("Running")], [], 9, "running", "its Job is gone", id="orphan_still_works"
        ),
        pytest.param(None, [], [], 9, "gone", "neither", id="nothing_is_left"),
        pytest.param(
            a_job("Complete", "CompletionsReached", succeeded=1),
            [a_pod("Succeeded", ended(0, "Completed"))], [], 9, "completed", "", id="completes",
        ),
        pytest.param(
            a_job(active=1), [a_pod("Succeeded", ended(0, "Completed"))], [], 9, "completed", "",
            id="its_job_does_not_know_yet",
        ),
        pytest.param(
            FAILED, [a_pod("Failed", ended(137, "OOMKilled"))], [], 9, "out_of_memory",
            "killed for memory: OOMKilled, exit code 137, memory limit 2Gi", id="oom_with_limit",
        ),
        pytest.param(
            FAILED, [a_pod("Failed", ended(137))], [], 9, "failed", "exit code 137 (killed)",
            id="killed_by_somebody_is_no_oom",
        ),
        pytest.param(
            FAILED, [a_pod("Failed", ended(1, message="no such table\n"))], [], 9, "failed",
            "exit code 1: no such table", id="last_words_are_told",
        ),
        pytest.param(
            FAILED, [a_pod("Failed", reason="Evicted", message="low on memory")], [], 9, "evicted",
            "low on memory (memory asked for: 1Gi, limit: 2Gi)", id="evicted_by_its_node",
        ),
        pytest.param(
            FAILED, [a_pod("Failed", ended(143), conditions=[PREEMPTED])], [], 9, "evicted",
            "PreemptionByScheduler", id="preempted",
        ),
        pytest.param(
            a_job(active=1), [a_pod("Running", conditions=[PREEMPTED])], [], 9, "running", "",
            id="about_to_be_preempted_still_works",
        ),
        pytest.param(
            a_job("Failed", "DeadlineExceeded"), [], [], 9, "failed", "DeadlineExceeded",
            id="given_up_without_a_count",
        ),
        pytest.param(FAILED, [], [], 9, "failed", "BackoffLimitExceeded", id="its_pod_was_removed"),
        pytest.param(
            TAKEN_AWAY, [], [], 9, "evicted",
            "has condition DisruptionTarget matching FailJob rule at index 0 "
            "(memory asked for: 1Gi, limit: 2Gi)", id="its_pod_was_taken_away_and_is_gone",
        ),
        pytest.param(
            GIVEN_UP, [], [], 9, "failed", "PodFailurePolicy", id="given_up_by_another_rule"
        ),
        pytest.param(
            ENDING, [deleted(a_pod("Running"))], [], DUE_SECONDS + 120, "running", "",
            id="a_deleted_pod_has_time_to_end",
        ),
        pytest.param(
            ENDING, [deleted(a_pod("Running", conditions=[UNREACHABLE]))], [], DUE_SECONDS + 121,
            "evicted", "its node is lost: the pod should have ended 121 s ago; DeletionByTaint"
            "Manager: Taint manager: deleting due to NoExecute taint (memory asked for: 1Gi",
            id="its_node_is_lost",
        ),
        pytest.param(
            a_job(active=1), [deleted(a_pod("Pending"))], [], DUE_SECONDS + 121, "evicted",
            "it was deleted", id="its_node_was_lost_before_it_started",
        ),
        pytest.param(
            FAILED, [deleted(a_pod("Failed", ended(3)))], [], DUE_SECONDS + 121, "failed",
            "exit code 3", id="a_deleted_pod_that_ended_is_not_lost",
        ),
        pytest.param(
            a_job(active=1), [a_pod("Pending", IMAGE)], [], 300, "waiting", "ImagePullBackOff",
            id="limit_is_inclusive",
        ),
        pytest.param(
            a_job(active=1), [a_pod("Pending", IMAGE)], [], 301, "never_started",
            'no pod works after 301 s of 300 s: ImagePullBackOff: Back-off pulling image "x"',
            id="image_is_missing",
        ),
        pytest.param(
            a_job(active=1), [a_pod("Pending", conditions=[UNSCHEDULED])], [], 301,
            "never_started", "Unschedulable: 0/3 nodes are available", id="no_node_has_room",
        ),
        pytest.param(
            a_job(), [], [QUOTA], 301, "never_started", "FailedCreate: exceeded quota: memory",
            id="quota_is_exceeded",
        ),
        pytest.param(a_job(), [], [], 3, "waiting", "it has no pod yet", id="it_was_just_made"),
    ],
)  # fmt: skip
def test_what_became_of_a_worker(
    job: Object | None,
    pods: list[Object],
    events: list[Object],
    waited: float,
    outcome: Outcome,
    words: str,
) -> None:
    now = MADE + timedelta(seconds=min(waited, 1e6))
    verdict = judge(Worker("w", job, pods, events), now, LIMIT_SECONDS)
    assert (verdict.outcome, words in verdict.reason) == (outcome, True), verdict.reason

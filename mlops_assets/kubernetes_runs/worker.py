"""What became of a worker: one Job with its pod, which executes a run or one of its steps.

Here: `judge`, a pure function of the Job, its pods and its events as the API server sends them.
Not here: how they are read (`jobs_api.py`) and what follows for the run (`launcher.py`,
`step_pods.py`, `keeper.py`). A Job is judged by its conditions, not by its counters: one that
missed its deadline before it had a pod counts no failure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Object = dict[str, Any]

Outcome = Literal[
    "running", "waiting", "completed", "failed", "out_of_memory", "evicted", "never_started", "gone"
]
"""What is known of a worker.

- running: its pod works.
- waiting: it has no pod that works yet, and still has time.
- completed: its process ended well.
- failed: its process ended badly by itself, or its Job was given up.
- out_of_memory: the kernel killed it for taking more memory than its limit.
- evicted: its node, or the scheduler for a more important pod, ended it, or its node is lost.
- never_started: it had no pod that works for longer than it may take.
- gone: there is no such Job and no pod of it.
"""
ENDED_BADLY: frozenset[Outcome] = frozenset(
    {"failed", "out_of_memory", "evicted", "never_started", "gone"}
)
_KILLED = 137  # exit code of a process that got SIGKILL
_LOST_NODE_SECONDS = 120.0  # a kubelet that lives ends a pod when its grace is over


@dataclass(frozen=True, slots=True)
class Worker:
    """A Job with what belongs to it, as the API server sent it.

    Attributes:
        name: Name of the Job.
        job: The Job; None when there is none.
        pods: Its pods.
        events: Events about the Job and its pods, if they were asked for.
    """

    name: str
    job: Object | None
    pods: Sequence[Object] = ()
    events: Sequence[Object] = ()


@dataclass(frozen=True, slots=True)
class WorkerVerdict:
    """What became of a worker, and why."""

    outcome: Outcome
    reason: str

    @property
    def ended_badly(self) -> bool:
        """Whether no result is to come of it."""
        return self.outcome in ENDED_BADLY


def judge(worker: Worker, now: datetime, start_limit_seconds: float) -> WorkerVerdict:
    """The first rule that applies; how a pod ended says more than how its Job did.

    Args:
        worker: What the API server says.
        now: Aware; its clock is taken for that of the API server.
        start_limit_seconds: How long after the Job was made a pod of it must work.
    """
    name = worker.name
    for pod in worker.pods:
        if evicted := _eviction(pod):
            return WorkerVerdict("evicted", f"{name}: {evicted}")
        if (end := _terminated(pod)) and end.get("reason") == "OOMKilled":
            return WorkerVerdict("out_of_memory", f"{name}: {_memory_words(pod, end)}")
    if evicted := _eviction_told_by_job(worker.job):
        return WorkerVerdict("evicted", f"{name}: {evicted}")
    condition = _end_condition(worker.job)
    if condition is not None and condition["type"] == "Complete":
        return WorkerVerdict("completed", f"{name}: completed")
    if condition is not None:
        return WorkerVerdict("failed", f"{name}: {_failure_words(worker, condition)}")
    for pod in worker.pods:
        if lost := _lost_node(pod, now):
            return WorkerVerdict("evicted", f"{name}: {lost}")
    phases = [(pod.get("status") or {}).get("phase") for pod in worker.pods]
    if "Running" in phases:
        where = "" if worker.job else ", though its Job is gone"
        return WorkerVerdict("running", f"{name}: its pod runs{where}")
    if worker.job is None and not worker.pods:
        return WorkerVerdict("gone", f"{name}: neither its Job nor a pod of it exists")
    if "Succeeded" in phases:
        return WorkerVerdict("completed", f"{name}: completed")
    if "Failed" in phases:
        return WorkerVerdict("failed", f"{name}: {_failure_words(worker, {})}")
    return _judge_start(worker, now, start_limit_seconds)


def lacks_pod_that_works(worker: Worker) -> bool:
    """Whether events could tell why nothing works; they are read only then."""
    return not any((p.get("status") or {}).get("phase") in _WORKED for p in worker.pods)


_WORKED = ("Running", "Succeeded", "Failed")
_TAKEN = "DisruptionTarget"


def _judge_start(worker: Worker, now: datetime, start_limit_seconds: float) -> WorkerVerdict:
    oldest = worker.job or worker.pods[0]
    since = datetime.fromisoformat(oldest["metadata"]["creationTimestamp"])
    waited = (now - since).total_seconds()
    words = (
        f"no pod works after {waited:.0f} s of {start_limit_seconds:.0f} s: {_hindrance(worker)}"
    )
    outcome: Outcome = "never_started" if waited > start_limit_seconds else "waiting"
    return WorkerVerdict(outcome, f"{worker.name}: {words}")


def _hindrance(worker: Worker) -> str:
    """Why no pod works, in Kubernetes' words: the container's, the scheduler's, an event's."""
    for pod in worker.pods:
        status = pod.get("status") or {}
        for container in _container_statuses(status):
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("message"):
                return f"{waiting['reason']}: {waiting['message']}"
        for condition in status.get("conditions") or ():
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                return f"{condition.get('reason')}: {condition.get('message')}"
    warnings = [event for event in worker.events if event.get("type") == "Warning"]
    if warnings:
        newest = max(warnings, key=lambda event: str(event.get("lastTimestamp") or ""))
        return f"{newest['reason']}: {newest['message']}"
    return "its pod starts" if worker.pods else "it has no pod yet"


def _eviction(pod: Object) -> str | None:
    """How a pod was ended from outside, if it was and has ended."""
    status = pod.get("status") or {}
    if status.get("phase") != "Failed":
        return None
    if status.get("reason") == "Evicted":
        return f"evicted from its node: {status.get('message', '')} ({_memory_amounts(pod)})"
    if words := _disruption_words(pod):
        return f"{words} ({_memory_amounts(pod)})"
    return None


def _eviction_told_by_job(job: Object | None) -> str | None:
    """What is left of a pod that was drained, preempted or collected, and so deleted.

    The Job tells it by the rule about such pods in dagster.yaml (`pod_failure_policy`).
    """
    condition = _end_condition(job)
    if job is None or condition is None or condition.get("reason") != "PodFailurePolicy":
        return None
    message = condition.get("message", "")
    return f"{message} ({_memory_amounts(job['spec']['template'])})" if _TAKEN in message else None


def _lost_node(pod: Object, now: datetime) -> str | None:
    """For how long a pod should have ended, when its node does not say that it has.

    The deletionTimestamp is when its grace is over. It may work on, where its node was cut off.
    """
    until = pod["metadata"].get("deletionTimestamp")
    if until is None or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return None
    seconds = (now - datetime.fromisoformat(until)).total_seconds()
    if seconds <= _LOST_NODE_SECONDS:
        return None
    words = f"its node is lost: the pod should have ended {seconds:.0f} s ago"
    return f"{words}; {_disruption_words(pod) or 'it was deleted'} ({_memory_amounts(pod)})"


def _disruption_words(pod: Object) -> str:
    """Why a pod was taken away, in Kubernetes' words; empty when it was not."""
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition["type"] == _TAKEN and condition["status"] == "True":
            return f"{condition.get('reason')}: {condition.get('message', '')}"
    return ""


def _memory_words(pod: Object, end: Object) -> str:
    limit = _memory(pod, "limits")
    return f"killed for memory: OOMKilled, exit code {end.get('exitCode')}, memory limit {limit}"


def _failure_words(worker: Worker, condition: Object) -> str:
    for pod in worker.pods:
        end = _terminated(pod)
        if end is not None and end.get("exitCode"):
            killed = " (killed)" if end["exitCode"] == _KILLED else ""
            message = f": {end['message'].strip()}" if end.get("message") else ""
            return f"its process ended with exit code {end['exitCode']}{killed}{message}"
    if condition:
        return f"{condition.get('reason')}: {condition.get('message')}"
    return "its pod failed"


def _end_condition(job: Object | None) -> Object | None:
    conditions: Iterable[Object] = ((job or {}).get("status") or {}).get("conditions") or ()
    ends = [c for c in conditions if c["type"] in ("Complete", "Failed") and c["status"] == "True"]
    return ends[0] if ends else None


def _terminated(pod: Object) -> Object | None:
    """How the first container that ended badly ended."""
    for container in _container_statuses(pod.get("status") or {}):
        end: Object | None = (container.get("state") or {}).get("terminated")
        if end is not None and end.get("exitCode"):
            return end
    return None


def _container_statuses(status: Object) -> list[Object]:
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _memory_amounts(pod: Object) -> str:
    """Of a pod, or of a Job's template for it."""
    return f"memory asked for: {_memory(pod, 'requests')}, limit: {_memory(pod, 'limits')}"


def _memory(pod: Object, kind: Literal["requests", "limits"]) -> str:
    resources = pod["spec"]["containers"][0].get("resources") or {}
    return str((resources.get(kind) or {}).get("memory", "none"))

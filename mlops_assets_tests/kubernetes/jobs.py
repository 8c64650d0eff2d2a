"""Stand-in for the job controller: a pod for each Job, and the Job's status from its pods.

Statuses have the shape that the controller of Kubernetes 1.36 writes. Not here: whoever runs the
pods (`processes.py`), pauses between pods, parallelism, and removal of finished Jobs after a time.
"""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from mlops_assets_tests.kubernetes.kinds import Object
from mlops_assets_tests.kubernetes.objects import Objects, Write, now_text
from mlops_assets_tests.kubernetes.refusal import Refusal

_ENDED = ("Complete", "Failed")


class JobController:
    """Keeps all Jobs and their pods."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._pods: dict[str, set[str]] = {}  # uids of the pods that a Job ever had, by its uid

    def reconcile(self) -> None:
        """One pass over all Jobs."""
        with self._objects.changed:
            of_job = defaultdict(list)
            for pod in self._objects.look(self._objects.kind("pods")):
                for owner in pod["metadata"].get("ownerReferences", [])[:1]:
                    of_job[owner["uid"]].append(pod)
            for job in self._objects.look(self._objects.kind("jobs")):
                if ended(job) is None:
                    self._reconcile(job, of_job[job["metadata"]["uid"]])

    def _reconcile(self, job: Object, pods: list[Object]) -> None:
        metadata = job["metadata"]
        known = self._pods.setdefault(metadata["uid"], set())
        known.update(pod["metadata"]["uid"] for pod in pods)
        status = job_status(job, pods, n_lost=len(known) - len(pods), now=datetime.now(UTC))
        has_ended = any(c["type"] in _ENDED for c in status.get("conditions", ()))
        if has_ended:
            for pod in pods:
                if phase(pod) in ("Pending", "Running"):
                    kind = self._objects.kind("pods")
                    self._objects.delete(kind, metadata["namespace"], pod["metadata"]["name"])
        elif not status.get("active") and not status["terminating"]:
            self._create_pod(job)
        kind = self._objects.kind("jobs")
        self._objects.set_status(kind, metadata["namespace"], metadata["name"], status)

    def _create_pod(self, job: Object) -> None:
        owner, template = job["metadata"], job["spec"]["template"]
        metadata = template.get("metadata") or {}
        labels = {**(metadata.get("labels") or {}), "job-name": owner["name"]}
        body = {
            "metadata": {
                "generateName": f"{owner['name']}-",
                "labels": {**labels, "batch.kubernetes.io/job-name": owner["name"]},
                "annotations": metadata.get("annotations") or {},
                "ownerReferences": [
                    {
                        "apiVersion": "batch/v1",
                        "kind": "Job",
                        "name": owner["name"],
                        "uid": owner["uid"],
                        "controller": True,
                    }
                ],
            },
            "spec": template["spec"],
        }
        try:
            kind = self._objects.kind("pods")
            self._objects.create(kind, owner["namespace"], body, Write("controller"))
        except Refusal as refusal:  # by an admission that a test added: a quota, Pod Security
            report(self._objects, job, "FailedCreate", f"Error creating: {refusal.message}")


def job_status(job: Object, pods: list[Object], n_lost: int, now: datetime) -> Object:
    """The status of a Job that has not ended; `n_lost` of its pods were deleted beneath it."""
    spec, before = job["spec"], job.get("status") or {}
    ending = [p for p in pods if "deletionTimestamp" in p["metadata"] and phase(p) == "Running"]
    alive = [p for p in pods if phase(p) in ("Pending", "Running") and p not in ending]
    n_succeeded = sum(_has_succeeded(pod, spec) for pod in pods)
    n_failed = len(pods) - len(alive) - len(ending) - n_succeeded + n_lost
    status: Object = {
        "startTime": before.get("startTime") or now_text(),
        "terminating": len(ending),
        "ready": sum(phase(pod) == "Running" for pod in alive),
        "uncountedTerminatedPods": {},
    }
    counts = {"active": len(alive), "succeeded": n_succeeded, "failed": n_failed}
    status.update({name: count for name, count in counts.items() if count})
    age = (now - datetime.fromisoformat(status["startTime"])).total_seconds()
    if n_succeeded:
        status["completionTime"] = now_text()
        status["conditions"] = _conditions("Complete", "CompletionsReached")
    elif message := _failed_by_policy(spec, pods):
        status["conditions"] = _conditions("Failed", "PodFailurePolicy", message)
    elif n_failed + len(ending) > spec.get("backoffLimit", 6):
        if not ending:  # until its pods have ended, the Job has not
            status["conditions"] = _conditions("Failed", "BackoffLimitExceeded")
    elif age >= spec.get("activeDeadlineSeconds", age + 1):
        status.pop("active", None)
        status["conditions"] = _conditions("Failed", "DeadlineExceeded")
    return status


_WORDS = {
    "CompletionsReached": "Reached expected number of succeeded pods",
    "BackoffLimitExceeded": "Job has reached the specified backoff limit",
    "DeadlineExceeded": "Job was active longer than specified deadline",
}


def _has_succeeded(pod: Object, spec: Object) -> bool:
    """A pod that was deleted counts as failed, unless the Job waits for its end to apply rules."""
    was_taken = "deletionTimestamp" in pod["metadata"] and "podFailurePolicy" not in spec
    return phase(pod) == "Succeeded" and not was_taken


def _failed_by_policy(spec: Object, pods: list[Object]) -> str:
    """Why the Job fails by its rules about conditions of failed pods, the only ones known here."""
    for index, rule in enumerate((spec.get("podFailurePolicy") or {}).get("rules") or ()):
        patterns = {(p["type"], p["status"]) for p in rule.get("onPodConditions") or ()}
        for pod in pods:
            for condition in (pod.get("status") or {}).get("conditions") or ():
                fits = (
                    phase(pod) == "Failed" and (condition["type"], condition["status"]) in patterns
                )
                if fits and rule["action"] == "FailJob":
                    name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
                    words = f"has condition {condition['type']} matching FailJob rule at index"
                    return f"Pod {name} {words} {index}"
    return ""


def _conditions(kind: str, reason: str, message: str = "") -> list[dict[str, Any]]:
    before = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}[kind]
    return [
        {
            "type": name,
            "status": "True",
            "reason": reason,
            "message": message or _WORDS[reason],
            "lastTransitionTime": now_text(),
        }
        for name in (before, kind)
    ]


def ended(job: Object) -> str | None:
    """`Complete` or `Failed` once the Job has ended."""
    conditions = (job.get("status") or {}).get("conditions") or []
    return next((str(c["type"]) for c in conditions if c["type"] in _ENDED), None)


def phase(pod: Object) -> str:
    """The pod's phase; `Pending` before anybody wrote one."""
    return str((pod.get("status") or {}).get("phase", "Pending"))


def report(objects: Objects, about: Object, reason: str, message: str) -> None:
    """A warning event about an object, once for each message."""
    metadata, kind = about["metadata"], objects.kind("events")
    for event in objects.list(kind, metadata["namespace"]):
        if event["involvedObject"]["uid"] == metadata["uid"] and event["message"] == message:
            return
    body = {
        "metadata": {"generateName": f"{metadata['name']}."},
        "involvedObject": {
            "kind": about["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "type": "Warning",
        "reason": reason,
        "message": message,
        "count": 1,
        "firstTimestamp": now_text(),
        "lastTimestamp": now_text(),
    }
    objects.create(kind, metadata["namespace"], body, Write("controller"))

"""The pods of Deployments: made, started, replaced, and failing in the ways that a test orders.

Stands in for the Deployment controller, the scheduler and the kubelet at once. A pod runs a real
predictor (`containers.py`); one whose model cannot be loaded crash-loops by itself.
"""

import hashlib
import json
from typing import Any, Literal

from mlops_assets.kserve.manifest import PORT
from mlops_assets_tests.kubernetes.containers import ContainerFailed, PredictorContainer
from mlops_assets_tests.kubernetes.kinds import Object
from mlops_assets_tests.kubernetes.objects import Objects, Write, now_text
from mlops_assets_tests.kubernetes.refusal import Refusal
from mlops_assets_tests.kubernetes.server import ProxiedCall
from mlops_assets_tests.serving.rsgi import Response

Outcome = Literal[
    "run", "never_ready", "crash_loop", "out_of_memory", "image_pull", "storage_initializer",
    "no_room", "quota",
]  # fmt: skip
MAIN = "kserve-container"
_HASH = "pod-template-hash"
_WORDS = {
    "crash_loop": "Traceback (most recent call last):\n  ...\nValueError: the model is no model",
    "out_of_memory": "",
    "storage_initializer": "RuntimeError: Failed to fetch model. No model found in s3://models/7",
}


class Workloads:
    """Keeps the pods of all Deployments as their templates and the ordered outcomes say.

    Attributes:
        outcomes: What becomes of a revision's pods, by the pod label `endpoint`; "run" otherwise.
    """

    def __init__(self, objects: Objects) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self._objects = objects
        self._containers: dict[str, PredictorContainer | str] = {}  # by pod uid; str: last words

    def reconcile(self) -> None:
        """One pass over all Deployments."""
        for deployment in self._objects.list(self._objects.kind("deployments")):
            self._reconcile(deployment)
        pods = self._objects.list(self._objects.kind("pods"))
        alive = {pod["metadata"]["uid"] for pod in pods}
        self._containers = {uid: c for uid, c in self._containers.items() if uid in alive}

    def restart(self) -> None:
        """Begin the process of each pod anew, as after a crash: its counters are lost."""
        with self._objects.changed:
            self._containers.clear()
            self.reconcile()

    def answer(
        self, pod: Object, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> Response:
        """What a ready pod answers."""
        container = self._containers.get(pod["metadata"]["uid"])
        if not isinstance(container, PredictorContainer):
            return Response(503, {}, b"no healthy upstream")
        return container.answer(method, path, body, headers)

    def ask(self, pod: Object, port: int, call: ProxiedCall) -> Response:
        """A pod's answer to a proxied call."""
        if port != PORT:
            return Response(502, {}, b"nothing listens there")
        return self.answer(pod, *call)

    def read_log(self, pod: Object, container: str, *, previous: bool) -> str:
        """The log of a container; of its run before this one only if it ended."""
        if container not in ("", MAIN, "storage-initializer"):
            raise Refusal(400, f"container {container} is not valid for this pod")
        words = self._words(pod)
        return f"a line before\n{words}\n" if previous and words else "started\n"

    def _words(self, pod: Object) -> str:
        container = self._containers.get(pod["metadata"]["uid"])
        if isinstance(container, str):
            return container
        return _WORDS.get(self._outcome(pod), "")

    def _outcome(self, template: Object) -> Outcome:
        revision = template["metadata"].get("labels", {}).get("endpoint", "")
        return self.outcomes.get(revision, "run")

    def _reconcile(self, deployment: Object) -> None:
        spec, metadata = deployment["spec"], deployment["metadata"]
        template, namespace = spec["template"], metadata["namespace"]
        digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]
        outcome = self._outcome(template)
        pods = self._pods(deployment)
        current = [pod for pod in pods if pod["metadata"]["labels"][_HASH] == digest]
        if outcome != "quota":
            missing = range(len(current), spec["replicas"])
            current.extend(self._create(deployment, digest) for _ in missing)
        ready = [pod for pod in current if self._refresh(pod)]
        old = [pod for pod in pods if pod["metadata"]["labels"][_HASH] != digest]
        surplus = current[spec["replicas"] :]
        if len(ready) >= spec["replicas"]:
            surplus, old = surplus + old, []
        for pod in surplus:
            kind = self._objects.kind("pods")
            self._objects.delete(kind, namespace, pod["metadata"]["name"])
        kept = [pod for pod in current if pod not in surplus]
        n_old = sum(is_ready(pod) for pod in old)
        status = _deployment_status(deployment, len(kept), len(ready), n_old)
        if outcome == "quota" and len(kept) < spec["replicas"]:
            status["conditions"].append(condition("ReplicaFailure", "True", "FailedCreate", _QUOTA))
        kind = self._objects.kind("deployments")
        self._objects.set_status(kind, namespace, metadata["name"], status)

    def _pods(self, deployment: Object) -> list[Object]:
        metadata = deployment["metadata"]
        found = self._objects.list(self._objects.kind("pods"), metadata["namespace"])
        return [
            pod for pod in found if pod["metadata"]["ownerReferences"][0]["uid"] == metadata["uid"]
        ]

    def _create(self, deployment: Object, digest: str) -> Object:
        owner, template = deployment["metadata"], deployment["spec"]["template"]
        metadata = template["metadata"]
        body = {
            "metadata": {
                "generateName": f"{owner['name']}-{digest}-",
                "labels": {**metadata["labels"], _HASH: digest},
                "annotations": dict(metadata.get("annotations", {})),
                "ownerReferences": [
                    {
                        "apiVersion": "apps/v1",
                        "kind": "Deployment",
                        "name": owner["name"],
                        "uid": owner["uid"],
                    }
                ],
            },
            "spec": template["spec"],
        }
        kind = self._objects.kind("pods")
        return self._objects.create(kind, owner["namespace"], body, Write("controller"))

    def _refresh(self, pod: Object) -> bool:
        """Write the pod's status; whether it is ready."""
        uid, outcome = pod["metadata"]["uid"], self._outcome(pod)
        if outcome == "run" and uid not in self._containers:
            try:
                self._containers[uid] = PredictorContainer(pod)
            except ContainerFailed as failure:
                self._containers[uid] = str(failure)
        if outcome == "run" and isinstance(self._containers[uid], str):
            outcome = "crash_loop"
        status = _pod_status(pod, outcome, self._words(pod))
        metadata = pod["metadata"]
        kind = self._objects.kind("pods")
        self._objects.set_status(kind, metadata["namespace"], metadata["name"], status)
        return outcome == "run"


_QUOTA = (
    'pods "toy" is forbidden: exceeded quota: memory, requested: requests.memory=12Gi, '
    "used: requests.memory=2Gi, limited: requests.memory=8Gi"
)


def condition(kind: str, status: str, reason: str = "", message: str = "") -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": now_text(),
    }


def is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _deployment_status(deployment: Object, n_new: int, n_ready: int, n_old: int) -> Object:
    wanted = deployment["spec"]["replicas"]
    complete = n_ready >= wanted
    available = n_ready + n_old
    reason = "NewReplicaSetAvailable" if complete else "ReplicaSetUpdated"
    minimum = "MinimumReplicasAvailable" if available else "MinimumReplicasUnavailable"
    return {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": n_new + n_old,
        "updatedReplicas": n_new,
        "availableReplicas": available,
        "readyReplicas": available,
        "conditions": [
            condition("Available", str(available >= min(1, wanted)), minimum),
            condition("Progressing", "True", reason),
        ],
    }


def _pod_status(pod: Object, outcome: Outcome, words: str) -> Object:
    if outcome == "no_room":
        message = "0/3 nodes are available: 3 Insufficient memory."
        unscheduled = condition("PodScheduled", "False", "Unschedulable", message)
        return {"phase": "Pending", "conditions": [unscheduled]}
    main: Object = {"name": MAIN, "ready": False, "restartCount": 0, "state": {}, "lastState": {}}
    initializer: Object = {**main, "name": "storage-initializer"}
    phase, ready = "Pending", outcome == "run"
    if outcome in ("run", "never_ready"):
        phase, main["ready"] = "Running", ready
        main["state"] = {"running": {"startedAt": now_text()}}
    elif outcome == "image_pull":
        message = f'Back-off pulling image "{pod["spec"]["containers"][0]["image"]}"'
        main["state"] = {"waiting": {"reason": "ImagePullBackOff", "message": message}}
    elif outcome == "storage_initializer":
        main["state"] = {"waiting": {"reason": "PodInitializing"}}
        initializer.update(_looping(1, "Error", words))
    else:
        phase = "Running"
        falls_back = (
            pod["spec"]["containers"][0].get("terminationMessagePolicy") == "FallbackToLogsOnError"
        )
        killed = outcome == "out_of_memory"
        code, reason = (137, "OOMKilled") if killed else (2, "Error")
        main.update(_looping(code, reason, words if falls_back else ""))
    return {
        "phase": phase,
        "podIP": "127.0.0.1",
        "conditions": [condition("PodScheduled", "True"), condition("Ready", str(ready))],
        "initContainerStatuses": [initializer],
        "containerStatuses": [main],
    }


def _looping(code: int, reason: str, message: str) -> dict[str, Any]:
    ended = {"exitCode": code, "reason": reason, "finishedAt": now_text()}
    if message:
        ended["message"] = message
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}
    return {"restartCount": 2, "state": {"waiting": waiting}, "lastState": {"terminated": ended}}

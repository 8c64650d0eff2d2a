"""Stand-in for the scheduler and the kubelet: the containers of Jobs' pods as local processes.

A container gets its own environment and nothing of ours, its own folder and session, as root its
own tree of processes (`namespaces.py`), SIGTERM and then SIGKILL when its pod is deleted or
evicted, and SIGKILL when it takes more memory than its limit. It shares this machine's files and
network: mounts are not made, users are not switched.
"""

import contextlib
import functools
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlops_assets_tests.kubernetes.container_environment import (
    ContainerBlocked,
    container_environment,
)
from mlops_assets_tests.kubernetes.jobs import phase, report
from mlops_assets_tests.kubernetes.kinds import Kind, Object
from mlops_assets_tests.kubernetes.kubeconfig import write_kubeconfig
from mlops_assets_tests.kubernetes.namespaces import first_pid, isolation
from mlops_assets_tests.kubernetes.objects import Objects, now_text
from mlops_assets_tests.kubernetes.quantities import quantity
from mlops_assets_tests.kubernetes.server import ApiServer, Pods, ProxiedCall
from mlops_assets_tests.serving.rsgi import Response
from mlops_assets_tests.with_parent import with_parent

_GRACE_SECONDS = 10.0
_NODE = "node-1"
_BY_KUBELET = "TerminationByKubelet"
_DEFAULT_SIGNALS = ("env", "--default-signal")


@dataclass(frozen=True, slots=True)
class Image:
    """What the name of a container image stands for on this machine.

    Attributes:
        environment: Variables that the image sets.
        entrypoint: What runs when the container names no command.
    """

    environment: Mapping[str, str]
    entrypoint: tuple[str, ...] = ()


@dataclass(slots=True)
class _Running:
    """The process of a pod."""

    process: subprocess.Popen[bytes]
    started_at: str
    reason: str = ""  # why it was killed, in the kubelet's words
    disruption: Object | None = None  # the condition that its pod has once it is taken away
    kill_at: float | None = None  # by the monotonic clock, once its pod is to end
    is_told: bool = False  # to end


@dataclass(slots=True)
class Processes:
    """Runs the pods of Jobs.

    Attributes:
        api: The server that the pods are objects of.
        images: What can be pulled, by name.
        folder: Where logs and kubeconfigs go.
        allocatable: What the one node has.
        others: Who runs the pods that belong to no Job.
    """

    api: ApiServer
    images: dict[str, Image]
    folder: Path
    allocatable: dict[str, str] = field(default_factory=lambda: {"cpu": "64", "memory": "64Gi"})
    others: Pods | None = None
    _running: dict[str, _Running] = field(default_factory=dict)  # by pod uid

    @property
    def _objects(self) -> Objects:
        return self.api.objects

    def reconcile(self) -> None:
        """One pass over all pods of Jobs."""
        with self._objects.changed:
            pods = {p["metadata"]["uid"]: p for p in self._objects.look(self._kind)}
            for uid, pod in pods.items():
                if not is_of_job(pod):
                    continue
                if uid in self._running:
                    self._follow(pod, self._running[uid])
                elif "deletionTimestamp" in pod["metadata"]:  # and its Job has counted it
                    self._remove(pod)
                elif phase(pod) == "Pending":
                    self._start(pod)
            for uid in self._running.keys() - pods.keys():  # removed without grace
                _kill(self._running.pop(uid).process)

    def ends_slowly(self, kind: Kind, found: Object) -> bool:
        """Whether a deleted object has a process that must end first."""
        return kind.plural == "pods" and found["metadata"]["uid"] in self._running

    def kill(self, pod: str, reason: str = "Error") -> None:
        """SIGKILL to the process of a pod, as by its node's kernel."""
        with self._objects.changed:
            running = self._of(pod)
            running.reason = reason
            _kill(running.process)

    def evict(self, pod: str, message: str = "The node was low on resource: memory.") -> None:
        """End a pod as a node in distress does: it stays, as failed."""
        with self._objects.changed:
            self._of(pod).disruption = _disruption(_BY_KUBELET, message)

    def preempt(self, pod: str) -> None:
        """Take a pod away for a more important one, as the scheduler does: it is deleted."""
        with self._objects.changed:
            found = self._find(pod)
            message = "default-scheduler: preempting to accommodate a higher priority pod"
            disruption = _disruption("PreemptionByScheduler", message)
            self._of(pod).disruption = disruption
            conditions = [*found["status"]["conditions"], disruption]
            self._write(found, {**found["status"], "conditions": conditions})
            self._objects.delete(self._kind, found["metadata"]["namespace"], pod)

    def pid(self, pod: str) -> int:
        """Process id of a pod's container, as this machine knows it."""
        process = self._of(pod).process
        while (found := first_pid(process)) is None:  # it is being started
            assert process.poll() is None, f"{pod} has ended"
            time.sleep(0.01)
        return found

    def stop(self) -> None:
        """Kill everything."""
        for running in self._running.values():
            _kill(running.process)
        self._running.clear()

    def read_log(self, pod: Object, container: str, *, previous: bool) -> str:
        """What the process wrote."""
        if not is_of_job(pod) and self.others is not None:
            return self.others.read_log(pod, container, previous=previous)
        path = self._log(pod)
        return path.read_text(errors="replace") if path.exists() else ""

    def ask(self, pod: Object, port: int, call: ProxiedCall) -> Response:
        """Nothing listens in the pods of Jobs."""
        if not is_of_job(pod) and self.others is not None:
            return self.others.ask(pod, port, call)
        return Response(502, {}, b"nothing listens there")

    @property
    def _kind(self) -> Kind:
        return self._objects.kind("pods")

    def _of(self, pod: str) -> _Running:
        with self._objects.changed:
            return self._running[self._find(pod)["metadata"]["uid"]]

    def _find(self, pod: str) -> Object:
        (found,) = (p for p in self._objects.list(self._kind) if p["metadata"]["name"] == pod)
        return found

    def _log(self, pod: Object) -> Path:
        return self.folder / f"{pod['metadata']['name']}.log"

    def _start(self, pod: Object) -> None:
        if lacking := self._lacking(pod):
            message = f"0/1 nodes are available: 1 {lacking}."
            unscheduled = _condition("PodScheduled", "False", "Unschedulable", message)
            self._write(pod, {"phase": "Pending", "conditions": [unscheduled]})
            report(self._objects, pod, "FailedScheduling", message)
            return
        container = pod["spec"]["containers"][0]
        try:
            arguments, environment = self._prepare(pod, container)
        except ContainerBlocked as blocked:
            waiting = {"reason": blocked.reason, "message": blocked.message}
            self._write(pod, _status(pod, "Pending", {"waiting": waiting}))
            report(self._objects, pod, "Failed", f"Error: {blocked.reason}: {blocked.message}")
            return
        with self._log(pod).open("wb") as log:
            process = subprocess.Popen(
                [*with_parent(), *default_signals(), *isolation(), *arguments],
                env=environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started_at = now_text()
        self._running[pod["metadata"]["uid"]] = _Running(process, started_at)
        self._write(pod, _status(pod, "Running", {"running": {"startedAt": started_at}}))

    def _lacking(self, pod: Object) -> str:
        """What the node has too little of."""
        for container in pod["spec"]["containers"]:
            resources = container.get("resources") or {}
            wanted = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
            for name, amount in wanted.items():
                if quantity(amount) > quantity(self.allocatable.get(name, "0")):
                    return f"Insufficient {name}"
        return ""

    def _prepare(self, pod: Object, container: Object) -> tuple[list[str], dict[str, str]]:
        image = self.images.get(container["image"])
        if image is None:
            message = f'Back-off pulling image "{container["image"]}"'
            raise ContainerBlocked("ImagePullBackOff", message)
        namespace = pod["metadata"]["namespace"]
        account = pod["spec"].get("serviceAccountName") or "default"
        environment = {**image.environment, "HOSTNAME": pod["metadata"]["name"]}
        if pod["spec"].get("automountServiceAccountToken") is not False:
            path = self.folder / f"{namespace}-{account}.kubeconfig"
            if not path.exists():
                user = f"{namespace}:{account}"
                write_kubeconfig(path, self.api.url, namespace, user)
            environment["KUBECONFIG"] = str(path)
        environment.update(container_environment(self._objects, pod, container))
        command = container.get("command") or list(image.entrypoint)
        return [*command, *(container.get("args") or [])], environment

    def _follow(self, pod: Object, running: _Running) -> None:
        limits = (pod["spec"]["containers"][0].get("resources") or {}).get("limits") or {}
        code = running.process.poll()
        metadata = pod["metadata"]
        if code is None:
            if "memory" in limits and _resident_bytes(running.process) > quantity(limits["memory"]):
                running.reason = "OOMKilled"
                _kill(running.process)
            if "deletionTimestamp" in metadata or running.disruption is not None:
                self._end(pod, running)
            return
        _kill(running.process)  # what it left behind in its session
        self._running.pop(metadata["uid"])
        exit_code = code if code >= 0 else 128 - code
        terminated = {
            "exitCode": exit_code,
            "reason": running.reason or ("Error" if exit_code else "Completed"),
            "startedAt": running.started_at,
            "finishedAt": now_text(),
        }
        phase_now = "Failed" if exit_code else "Succeeded"
        status = _status(pod, phase_now, {"terminated": terminated})
        if (disruption := running.disruption) is not None:
            status["conditions"].append(disruption)
            if disruption["reason"] == _BY_KUBELET:
                status.update(phase="Failed", reason="Evicted", message=disruption["message"])
        self._write(pod, status)

    def _end(self, pod: Object, running: _Running) -> None:
        if running.kill_at is None:
            grace = pod["spec"].get("terminationGracePeriodSeconds", 30)
            running.kill_at = time.monotonic() + min(grace, _GRACE_SECONDS)
        if not running.is_told and (found := first_pid(running.process)) is not None:
            running.is_told = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(found, signal.SIGTERM)
        elif time.monotonic() > running.kill_at:
            _kill(running.process)

    def _remove(self, pod: Object) -> None:
        metadata = pod["metadata"]
        self._objects.remove(self._kind, metadata["namespace"], metadata["name"])

    def _write(self, pod: Object, status: Object) -> None:
        metadata = pod["metadata"]
        self._objects.set_status(self._kind, metadata["namespace"], metadata["name"], status)


@functools.cache
def default_signals() -> tuple[str, ...]:
    """What goes before a command that is to heed every signal, whatever this process ignores.

    Nothing where `env` cannot do it. Code between fork and exec could: it crashes now and then in a
    process with threads.
    """
    tried = subprocess.run([*_DEFAULT_SIGNALS, "true"], capture_output=True, check=False)
    return _DEFAULT_SIGNALS if tried.returncode == 0 else ()


def is_of_job(pod: Object) -> bool:
    """Whether a Job made the pod, be it gone or not."""
    return "batch.kubernetes.io/job-name" in pod["metadata"].get("labels", {})


def _kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the whole session, and wait."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _resident_bytes(process: subprocess.Popen[bytes]) -> int:
    try:
        n_pages = int(Path(f"/proc/{first_pid(process)}/statm").read_text().split()[1])
    except (OSError, IndexError):  # it has ended
        return 0
    return n_pages * os.sysconf("SC_PAGE_SIZE")


def _condition(kind: str, status: str, reason: str = "", message: str = "") -> Object:
    found = {"type": kind, "status": status, "lastTransitionTime": now_text()}
    return {**found, **({"reason": reason, "message": message} if reason else {})}


def _disruption(reason: str, message: str) -> Object:
    return _condition("DisruptionTarget", "True", reason, message)


def _status(pod: Object, phase_now: str, state: Object) -> Object:
    container = pod["spec"]["containers"][0]
    return {
        "phase": phase_now,
        "hostIP": "127.0.0.1",
        "podIP": "127.0.0.1",
        "conditions": [
            _condition("PodScheduled", "True"),
            _condition("Ready", str(phase_now == "Running")),
        ],
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": phase_now == "Running",
                "restartCount": 0,
                "state": state,
            }
        ],
    }

"""What the pods of a revision say of it: starting, ready, or failed and why. Pure.

KServe's own `Ready` stays true while old pods serve and the new ones keep dying, and tells of a
crash loop after ten minutes. Pods tell within seconds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlops_assets.serving.backend import RevisionStatus

Object = Mapping[str, Any]

_INITIALIZER = "storage-initializer"
_CANNOT_START = {
    "ImagePullBackOff": "its image cannot be pulled",
    "InvalidImageName": "its image has no valid name",
    "ErrImageNeverPull": "its image is not on the node and may not be pulled",
    "CreateContainerConfigError": "a Secret or ConfigMap that it names is missing",
    "CreateContainerError": "its container cannot be made",
    "RunContainerError": "its container cannot be started",
}
_LONGEST_WORDS = 500
_LATELY_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a state may last that may yet mend itself.

    Attributes:
        now: The time, aware.
        room_seconds: How long a pod may wait for a node with room: a cluster that adds nodes needs
            minutes, one that does not needs none.
    """

    now: datetime
    room_seconds: float


def judge_revision(
    name: str,
    workload: Object | None,
    pods: Sequence[Object],
    logs: Mapping[tuple[str, str], str],
    patience: Patience,
) -> RevisionStatus:
    """The status of a revision.

    One pod that answers its probe makes it ready, whatever becomes of the others: a Deployment that
    grows is no outage. The reason tells of them.

    Args:
        name: Name of the revision.
        workload: Its Deployment; None when there is none yet.
        pods: Its pods, and no others: those of its present declaration.
        logs: Ends of logs by (pod, container), for containers that left no message.
        patience: What may take how long.
    """
    n_ready = sum(is_ready(pod) for pod in pods)
    n_crashes = sum(_count_crashes(pod, patience) for pod in pods)
    failure = next(_failures(pods, logs, patience), None) or _workload_failure(workload)
    if n_ready:
        reason = f"{n_ready} of {len(pods)} pods answer the probe"
        reason = f"{reason}; {failure}" if failure else reason
        return RevisionStatus(name=name, phase="ready", reason=reason, n_crashes=n_crashes)
    if failure:
        return RevisionStatus(name=name, phase="failed", reason=failure, n_crashes=n_crashes)
    reason = _waits_for(workload, pods)
    return RevisionStatus(name=name, phase="starting", reason=reason, n_crashes=n_crashes)


def _count_crashes(pod: Object, patience: Patience) -> int:
    """How often containers of a pod ended: of a young pod all times, of an old one the last time
    if that was lately. What happened weeks ago tells nothing of a version."""
    made = pod["metadata"].get("creationTimestamp")
    is_young = made is not None and _age_seconds(made, patience) < _LATELY_SECONDS
    count = 0
    for container in pod.get("status", {}).get("containerStatuses") or []:
        ended = (container.get("lastState") or {}).get("terminated") or {}
        at = ended.get("finishedAt")
        if is_young:
            count += container.get("restartCount", 0)
        elif at is not None and _age_seconds(at, patience) < _LATELY_SECONDS:
            count += 1
    return count


def _age_seconds(moment: str, patience: Patience) -> float:
    return (patience.now - datetime.fromisoformat(moment)).total_seconds()


def is_ready(pod: Object) -> bool:
    """Whether a pod answers its probe and is not on its way out."""
    leaving = "deletionTimestamp" in pod["metadata"]
    return not leaving and _condition(pod, "Ready").get("status") == "True"


def silent_containers(pods: Sequence[Object]) -> Iterator[tuple[str, str]]:
    """(pod, container) of those that ended without a message, so that their logs must tell."""
    for pod in pods:
        for container in _containers(pod):
            ended = _ended(container)
            killed = ended is not None and ended.get("reason") == "OOMKilled"
            if ended is not None and not killed and not ended.get("message", "").strip():
                yield pod["metadata"]["name"], container["name"]


def last_words(text: str) -> str:
    """The last line that says something, without our log's time and level.

    >>> last_words("started\\n2026-01-01T00:00:00+0000 ERROR no such file\\n\\n")
    'no such file'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].split(" ERROR ", 1)[-1][:_LONGEST_WORDS] if lines else ""


def _failures(
    pods: Sequence[Object], logs: Mapping[tuple[str, str], str], patience: Patience
) -> Iterator[str]:
    for pod in pods:
        name = pod["metadata"]["name"]
        problem = _no_room(pod, patience)
        if problem:
            yield f"pod {name}: {problem}"
        for container in _containers(pod):
            problem = _container_failure(container, logs.get((name, container["name"]), ""))
            if problem:
                yield f"pod {name}: {problem}"


def _containers(pod: Object) -> list[Any]:
    status = pod.get("status", {})
    return [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]


def _container_failure(container: Object, log: str) -> str | None:
    waiting = container.get("state", {}).get("waiting") or {}
    if waiting.get("reason") in _CANNOT_START:
        return f"{_CANNOT_START[waiting['reason']]}: {waiting.get('message', '')}".rstrip(": ")
    ended = _ended(container)
    if ended is None:
        return None
    words = last_words(ended.get("message") or "") or last_words(log)
    if ended.get("reason") == "OOMKilled":
        return "its memory limit is too small for it (OOMKilled)"
    what = "the model was not fetched" if container["name"] == _INITIALIZER else "it keeps ending"
    return f"{what}: {container['name']} ended with code {ended.get('exitCode')}: {words}"


def _ended(container: Object) -> Object | None:
    """How a container that crash-loops ended last; None for one that does not."""
    if (container.get("state", {}).get("waiting") or {}).get("reason") != "CrashLoopBackOff":
        return None
    ended: Object = (container.get("lastState") or {}).get("terminated") or {}
    return ended


def _no_room(pod: Object, patience: Patience) -> str | None:
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") != "False" or scheduled.get("reason") != "Unschedulable":
        return None
    if _age_seconds(scheduled["lastTransitionTime"], patience) < patience.room_seconds:
        return None
    return f"no node has room for it: {scheduled.get('message', '')}"


def _workload_failure(workload: Object | None) -> str | None:
    """What keeps a Deployment from making its pods at all: a quota, or admission."""
    if workload is None:
        return None
    refused = _condition(workload, "ReplicaFailure")
    if refused.get("status") == "True":
        return f"its pods are refused: {refused.get('message', '')}"
    progress = _condition(workload, "Progressing")
    if progress.get("status") == "False":
        return f"{progress.get('reason')}: {progress.get('message', '')}"
    return None


def _waits_for(workload: Object | None, pods: Sequence[Object]) -> str:
    if workload is None:
        return "KServe has not made its Deployment yet"
    if not pods:
        return "it has no pods yet"
    scheduled = _condition(pods[0], "PodScheduled")
    if scheduled.get("status") == "False":
        return f"its pod waits for a node: {scheduled.get('message', '')}"
    for container in _containers(pods[0]):
        waiting = container.get("state", {}).get("waiting")
        if waiting:
            return f"container {container['name']}: {waiting.get('reason', 'waits')}"
    return "its pod has not answered the probe yet"


def _condition(found: Object, kind: str) -> Object:
    conditions = found.get("status", {}).get("conditions") or []
    empty: Object = {}
    return next((item for item in conditions if item["type"] == kind), empty)

"""Which Jobs and pods of runs are left over. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from mlops_assets.kubernetes_runs.jobs_api import RUN_LABEL
from mlops_assets.kubernetes_runs.worker import Object

_LAST_PHASES = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class RunState:
    """What is stored of a run.

    Attributes:
        run_id: The run.
        status: Dagster's word.
        is_finished: Whether that is the last one.
        updated_at: When it was last written, aware.
        tags: Its tags.
    """

    run_id: str
    status: str
    is_finished: bool
    updated_at: datetime
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something on the cluster that works, or may begin to, for a run that is over."""

    kind: Literal["job", "pod"]
    name: str
    run_id: str
    reason: str


def find_leftovers(
    jobs: Sequence[Object],
    pods: Sequence[Object],
    runs: Mapping[str, RunState],
    now: datetime,
    grace_seconds: float,
) -> list[Leftover]:
    """Jobs that have not ended, and pods of no Job that have not, of runs that have.

    A Job that has ended is left for its time to live: it costs nothing, and its log is read.

    Args:
        jobs: All Jobs of runs of this instance.
        pods: All pods of runs of this instance.
        runs: The runs that they belong to, by id; one that is missing is unknown to the storage.
        now: Aware.
        grace_seconds: How long a run's workers have to end by themselves, and how old the Job of
            an unknown run must be.
    """
    found = [("job", job) for job in jobs if not _has_ended(job)]
    found += [("pod", pod) for pod in pods if _is_alone(pod) and not _has_ended(pod)]
    leftovers = []
    for kind, thing in found:
        metadata = thing["metadata"]
        run_id = metadata["labels"][RUN_LABEL]
        run = runs.get(run_id)
        if run is None:
            since, words = _made_at(thing), "is unknown"
        elif run.is_finished:
            since, words = run.updated_at, f"is over: {run.status}"
        else:
            continue
        seconds = (now - since).total_seconds()
        if seconds > grace_seconds:
            reason = f"its run {run_id} {words}, for {seconds:.0f} s"
            leftovers.append(Leftover(kind, metadata["name"], run_id, reason))  # type: ignore[arg-type]
    return leftovers


def _has_ended(thing: Object) -> bool:
    status: dict[str, Any] = thing.get("status") or {}
    if status.get("phase") in _LAST_PHASES or "deletionTimestamp" in thing["metadata"]:
        return True
    return any(
        c["type"] in ("Complete", "Failed") and c["status"] == "True"
        for c in status.get("conditions") or ()
    )


def _is_alone(pod: Object) -> bool:
    return not pod["metadata"].get("ownerReferences")


def _made_at(thing: Object) -> datetime:
    return datetime.fromisoformat(thing["metadata"]["creationTimestamp"])

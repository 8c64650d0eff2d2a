"""Jobs, their pods and events, over the API of a cluster, and calls that wait for it to be back.

Uses no right beyond those of dagster-k8s itself: get of `jobs/status`, list of pods and events,
and, to clean up, list and delete of Jobs and pods.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from mlops_assets.errors import ClusterApiError
from mlops_assets.kserve.api import PODS, ClusterApi, Collection, is_retryable
from mlops_assets.kubernetes_runs.worker import Object, Worker, lacks_pod_that_works

JOBS = Collection("jobs", "Job", "batch")
EVENTS = Collection("events", "Event")
RUN_LABEL = "dagster/run-id"
_LONGEST_PAUSE_SECONDS = 10.0
_T = TypeVar("_T")


def read_worker(api: ClusterApi, name: str) -> Worker:
    """A Job with its pods, and with events if no pod of it works."""
    try:
        job: Object | None = api.read_json(f"{JOBS.path(api.namespace, name)}/status")
    except ClusterApiError as error:
        if error.status != 404:
            raise
        job = None
    worker = Worker(name, job, tuple(api.list(PODS, f"job-name={name}")))
    if job is None or not lacks_pod_that_works(worker):
        return worker
    events = [
        event
        for about in (name, *(pod["metadata"]["name"] for pod in worker.pods))
        for event in _events(api, about)
    ]
    return Worker(name, job, worker.pods, tuple(events))


def _events(api: ClusterApi, about: str) -> list[Object]:
    query = {"fieldSelector": f"involvedObject.name={about}"}
    found: list[Object] = api.read_json(EVENTS.path(api.namespace), query)["items"]
    return found


def is_outage(error: BaseException) -> bool:
    """Whether a call failed because the API server is away, starting or overloaded.

    Errors of the `kubernetes` library have a status; without one there was no answer.
    """
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    if isinstance(error, ClusterApiError):
        return is_retryable(error)
    if isinstance(error, ApiException):
        message = f"{error.reason}: {error.body}"
        return is_retryable(ClusterApiError(message, int(error.status or 0)))
    return isinstance(error, HTTPError)


def call_patiently(
    call: Callable[[], _T],
    patience_seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> _T:
    """The call's result; sent again while the API server is away, for as long as is given."""
    deadline, pause = clock() + patience_seconds, 0.5
    while True:
        try:
            return call()
        except Exception as error:
            if not is_outage(error) or clock() + pause > deadline:
                raise
        sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

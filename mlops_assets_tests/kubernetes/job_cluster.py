"""A cluster that runs Jobs: the API server, the job controller, and processes for pods."""

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mlops_assets_tests.kubernetes.jobs import JobController
from mlops_assets_tests.kubernetes.kinds import Object
from mlops_assets_tests.kubernetes.kubeconfig import write_kubeconfig
from mlops_assets_tests.kubernetes.objects import Objects
from mlops_assets_tests.kubernetes.processes import Image, Processes
from mlops_assets_tests.kubernetes.server import ApiServer, running_api_server

_PASS_SECONDS = 0.05
_LOOK_SECONDS = 0.05
_T = TypeVar("_T")


@dataclass(slots=True)
class JobCluster:
    """A running cluster.

    Attributes:
        api: The API server, with its faults and calls.
        processes: The pods.
        kubeconfig: For a caller outside.
    """

    api: ApiServer
    processes: Processes
    kubeconfig: Path

    @property
    def objects(self) -> Objects:
        """What the API server stores."""
        return self.api.objects

    def jobs(self, labels: str = "") -> list[Object]:
        """The Jobs that fit a selector, the oldest first."""
        found = self.objects.list(self.objects.kind("jobs"), "", labels)
        return sorted(found, key=lambda job: int(job["metadata"]["resourceVersion"]))

    def pods(self, labels: str = "") -> list[Object]:
        """The pods that fit a selector."""
        return self.objects.list(self.objects.kind("pods"), "", labels)

    def orphan(self, pod: str) -> None:
        """Delete the Job of a pod, and let the pod work on."""
        (found,) = (each for each in self.pods() if each["metadata"]["name"] == pod)
        (owner,) = found["metadata"]["ownerReferences"]
        namespace = found["metadata"]["namespace"]
        self.objects.delete(self.objects.kind("jobs"), namespace, owner["name"], orphan=True)

    def logs(self) -> str:
        """All that the pods wrote, for a failing test."""
        files = sorted(self.processes.folder.glob("*.log"))
        return "\n".join(f"--- {file.name}\n{file.read_text()}" for file in files)


def eventually(
    look: Callable[[], _T | None],
    seconds: float = 60.0,
    what: str = "",
    pause_seconds: float = _LOOK_SECONDS,
) -> _T:
    """What `look` returns once that is true; fails after a generous while."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what or look} did not come within {seconds} s"
        time.sleep(pause_seconds)
    return found


@contextmanager
def running_job_cluster(
    images: dict[str, Image], folder: Path, api: ApiServer | None = None
) -> Iterator[JobCluster]:
    """A cluster for as long as the block runs; its own API server unless one is given."""
    if api is None:
        with running_api_server() as own, running_job_cluster(images, folder, own) as cluster:
            yield cluster
        return
    folder.mkdir(parents=True, exist_ok=True)
    processes = Processes(api, images, folder, others=api.pods)
    api.pods, api.objects.ends_slowly = processes, processes.ends_slowly
    kubeconfig = write_kubeconfig(folder / "kubeconfig", api.url)
    controllers = threading.Thread(target=_reconcile, args=(api, processes), daemon=True)
    controllers.start()
    yield JobCluster(api, processes, kubeconfig)
    api.stopping = True
    controllers.join()


def _reconcile(api: ApiServer, processes: Processes) -> None:
    jobs = JobController(api.objects)
    try:
        while not api.stopping:
            with api.objects.changed:
                jobs.reconcile()
                processes.reconcile()
            time.sleep(_PASS_SECONDS)
    except Exception:
        api.defects.append(traceback.format_exc())
    finally:
        processes.stop()

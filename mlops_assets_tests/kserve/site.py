"""A cluster with our client of it, for the tests of this folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_assets.kserve.api import INFERENCE_SERVICES, ClusterApi
from mlops_assets.kserve.capabilities import Mode
from mlops_assets.kserve.cluster import ClusterSettings, KServeCluster
from mlops_assets_tests.kubernetes.cluster import Cluster, running_cluster
from mlops_assets_tests.kubernetes.running import api_of
from mlops_assets_tests.serving.running import toy_manifest


@dataclass(frozen=True)
class Site:
    """A running cluster and how it is used."""

    cluster: Cluster
    mode: Mode
    user: str = ""

    @property
    def api(self) -> ClusterApi:
        return api_of(self.cluster, user=self.user)

    def client(self, **settings: Any) -> KServeCluster:
        """A client as a new process would make it."""
        given = {
            "mode": self.mode,
            "ingress": self.cluster.ingress,
            "poll_seconds": 0.02,
            "room_seconds": 0.0,
            **settings,
        }
        return KServeCluster(self.api, ClusterSettings(**given))

    def live(self, model: Path, version: int = 1, **manifest: Any) -> dict[str, Any]:
        """Have a version of the toy model live; its manifest."""
        declared = toy_manifest(model, version, **manifest)
        self.client().apply(declared)
        self.client().wait_ready("toy", version, 60.0)
        return declared

    def service(self) -> dict[str, Any]:
        """The InferenceService as it is stored."""
        found = self.api.get(INFERENCE_SERVICES, "toy")
        assert found is not None
        return found

    def edit(self, patch: dict[str, Any]) -> None:
        """Change the InferenceService as a person with kubectl does."""
        path = INFERENCE_SERVICES.path("default", "toy")
        headers = {"Content-Type": "application/merge-patch+json"}
        self.api.call("PATCH", path, {"fieldManager": "kubectl-edit"}, patch, headers)
        self.cluster.settle()

    def pods(self, revision: str) -> set[str]:
        """Identities of the pods of a revision."""
        return {pod["metadata"]["uid"] for pod in self.cluster.pods(revision)}

    def clean(self) -> None:
        """Nothing is there and nothing is ordered."""
        self.api.delete(INFERENCE_SERVICES, "toy")
        self.cluster.workloads.outcomes.clear()
        self.cluster.api.faults.open.clear()
        self.cluster.api.faults.denied.clear()
        self.cluster.api.faults.allowed.clear()
        self.cluster.paused.clear()
        self.cluster.settle()


@contextmanager
def running_site(mode: Mode = "Standard", kserve: str = "0.21", **more: bool) -> Iterator[Site]:
    """A site for as long as the block runs."""
    with running_cluster(kserve, **more) as cluster:
        yield Site(cluster, mode)

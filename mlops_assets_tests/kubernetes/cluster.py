"""A whole cluster for tests: the API server, KServe, pods that predict, and a gateway to them."""

import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mlops_assets_tests.kubernetes.custom_kinds import (
    http_route,
    inference_service,
    knative_revision,
)
from mlops_assets_tests.kubernetes.gateway import DataPlane, running_gateway
from mlops_assets_tests.kubernetes.kinds import Object
from mlops_assets_tests.kubernetes.kserve_knative import reconcile_knative
from mlops_assets_tests.kubernetes.kserve_standard import reconcile_standard
from mlops_assets_tests.kubernetes.kserve_webhook import admit_inference_service
from mlops_assets_tests.kubernetes.objects import Objects
from mlops_assets_tests.kubernetes.server import ApiServer, running_api_server
from mlops_assets_tests.kubernetes.workloads import Outcome, Workloads

DOMAIN = "example.com"
_SETTLE_SECONDS = 60.0  # on a busy machine
_MODE = "serving.kserve.io/deploymentMode"


@dataclass(slots=True)
class Cluster:
    """A running cluster.

    Attributes:
        api: The API server, with its faults and calls.
        workloads: The pods.
        ingress: Address of the gateway.
        paused: While set, KServe's controller does nothing, as one that is slow or gone.
    """

    api: ApiServer
    workloads: Workloads
    ingress: str
    paused: threading.Event = field(default_factory=threading.Event)
    _handled: int = -1

    @property
    def objects(self) -> Objects:
        """What the API server stores."""
        return self.api.objects

    def order(self, revision: str, outcome: Outcome) -> None:
        """Have all pods of a revision come to this, now and later; returns once they have."""
        with self.objects.changed:
            self.workloads.outcomes[revision] = outcome
            self._handled = -1
            self.objects.changed.notify_all()
        self.settle()

    def settle(self) -> None:
        """Wait until the controllers have nothing left to do."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        with self.objects.changed:
            while self._handled != self.objects.version:
                assert time.monotonic() < deadline
                self.objects.changed.wait(0.1)

    def pods(self, revision: str) -> list[Object]:
        """The pods of a revision."""
        kind = self.objects.kind("pods")
        return self.objects.list(kind, "", f"endpoint={revision}")

    def reconcile(self) -> None:
        """One pass of all controllers."""
        for service in self.objects.list(self.objects.kind("inferenceservices")):
            if self.paused.is_set():
                break
            mode = service["metadata"].get("annotations", {}).get(_MODE, "Knative")
            act = reconcile_standard if mode == "Standard" else reconcile_knative
            act(self.objects, service, DOMAIN)
        self.workloads.reconcile()

    def run(self) -> None:
        """Reconcile whenever something changed, until the server stops."""
        while not self.api.stopping:
            with self.objects.changed:
                if self._handled == self.objects.version:
                    self.objects.changed.wait(1.0)
                    continue
                before = self.objects.version
                try:
                    self.reconcile()
                except Exception:
                    self.api.defects.append(traceback.format_exc())
                    return
                if self.objects.version == before:
                    self._handled = before
                    self.objects.changed.notify_all()


@contextmanager
def running_cluster(
    kserve: str = "0.21", *, gateway_api: bool = True, with_schema: bool = True
) -> Iterator[Cluster]:
    """A cluster with this release of KServe and with Knative, for as long as the block runs."""
    definitions: list[dict[str, Any]] = [
        inference_service(kserve, with_schema=with_schema),
        knative_revision(),
    ]
    if gateway_api:
        definitions.append(http_route())
    with running_api_server() as api:
        for definition in definitions:
            api.objects.create(api.objects.kind("customresourcedefinitions"), "", definition)
        api.objects.admission.append(admit_inference_service)
        workloads = Workloads(api.objects)
        api.pods = workloads
        with running_gateway(DataPlane(api.objects, workloads)) as ingress:
            cluster = Cluster(api, workloads, ingress)
            controllers = threading.Thread(target=cluster.run, daemon=True)
            controllers.start()
            yield cluster
            api.stopping = True
            with api.objects.changed:
                api.objects.changed.notify_all()
            controllers.join()

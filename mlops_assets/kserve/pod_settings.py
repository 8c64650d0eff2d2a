"""What the pods of predictors are on a cluster besides what their model's document says. Pure.

A ServingRuntime can set a container and not the pod around it; what Pod Security, accounts and
scheduling ask of the pod therefore goes into the InferenceService. It is no part of a revision: a
cluster with other settings restarts its pods and changes no version.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_SERVICE_LABEL = "serving.kserve.io/inferenceservice"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSettings:
    """Names of objects that the cluster must have.

    Attributes:
        service_account: Account of the pods, with the keys that fetch models; it gets no token.
        priority_class: Who goes first where nodes are full; None: as all others.
        storage_container: The ClusterStorageContainer that fetches models; None: KServe's own.
    """

    service_account: str
    priority_class: str | None = None
    storage_container: str | None = None

    def on_service(self, service: Mapping[str, Any]) -> dict[str, Any]:
        """An InferenceService whose pods have these settings, and what Pod Security `restricted`
        asks of a pod."""
        dressed = copy.deepcopy(dict(service))
        pod = self._pod(service["metadata"]["name"])
        spec = dressed["spec"]
        for block in (spec["predictor"], *(c["predictor"] for c in spec.get("canary") or ())):
            block.update(copy.deepcopy(pod))
        return dressed

    def _pod(self, service: str) -> dict[str, Any]:
        names = {
            "serviceAccountName": self.service_account,
            "priorityClassName": self.priority_class,
            "storageContainerName": self.storage_container,
        }
        return {
            **{field: name for field, name in names.items() if name is not None},
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": {_SERVICE_LABEL: service}},
                }
            ],
        }

"""Where InferenceServices run, as Dagster resources: one class for each backend.

| variable | default | meaning |
|---|---|---|
| `MLOPS_GATEWAY_URL` | as the home says | the serving gateway of this machine |
| `MLOPS_KSERVE_NAMESPACE` | this machine serves | namespace of a cluster that serves |
| `MLOPS_KSERVE_MODE` | `Standard` | how KServe runs services there: `Standard` or `Knative` |
| `MLOPS_KSERVE_INGRESS` | the services' own hosts | address of the cluster's gateway |
| `MLOPS_KSERVE_ROOM_SECONDS` | `10` | how long a pod may wait for a node with room |
| `MLOPS_KSERVE_SERVICE_ACCOUNT` | as KServe does | account of predictors, which get no token |
| `MLOPS_KSERVE_PRIORITY_CLASS` | none | their priority class; needs an account |
| `MLOPS_KSERVE_STORAGE_CONTAINER` | KServe's own | fetches their models; needs an account |

Outside of a pod the cluster is the one that `KUBECONFIG` or `~/.kube/config` names, as for kubectl.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import dagster as dg
from pydantic import Field

from mlops_assets.errors import PlatformError
from mlops_assets.kserve.pod_settings import PodSettings

if TYPE_CHECKING:
    from mlops_assets.serving.backend import ServingBackend

_Mode = Literal["Standard", "Knative"]


class EmbeddedServingResource(dg.ConfigurableResource["ServingBackend"]):
    """The serving gateway on this machine."""

    home: str = Field(description="MLOPS_HOME, which holds the manifests that the gateway serves.")
    url: str | None = Field(None, description="Where the gateway answers; None: as its home says.")

    def create_resource(self, context: dg.InitResourceContext) -> "ServingBackend":  # noqa: ARG002
        """The gateway's client of `mlops_assets.serving`."""
        from mlops_assets.serving.embedded import EmbeddedServing

        return EmbeddedServing(Path(self.home), self.url)


class KServeServingResource(dg.ConfigurableResource["ServingBackend"]):
    """InferenceServices in one namespace of a cluster."""

    namespace: str = Field(description="Namespace of the InferenceServices.")
    mode: _Mode = Field(
        default="Standard", description="How KServe runs them; never changes for one."
    )
    ingress: str | None = Field(
        default=None,
        description="Address of the gateway; None: the services' host names lead there.",
    )
    kubeconfig: str | None = Field(
        default=None, description="File that names the cluster; None: this pod's, or kubectl's."
    )
    context: str | None = Field(
        default=None, description="Context of the kubeconfig; None: its current."
    )
    timeout_seconds: float = Field(default=30.0, gt=0, description="Longest wait for one API call.")
    room_seconds: float = Field(
        default=10.0,
        ge=0,
        description="How long a pod may wait for a node; 300 where nodes are added.",
    )
    service_account: str | None = Field(
        default=None,
        description="Account of predictors, whose pods then fit Pod Security `restricted`.",
    )
    priority_class: str | None = Field(default=None, description="Their priority class.")
    storage_container: str | None = Field(
        default=None, description="ClusterStorageContainer that fetches their models."
    )
    take_over: bool = Field(
        default=False,
        description="Overwrite fields that somebody set by hand; else refuse and name them.",
    )

    def pod_settings(self) -> PodSettings | None:
        """What pods are besides what their model says; None without an account."""
        if self.service_account is None:
            return None
        return PodSettings(
            service_account=self.service_account,
            priority_class=self.priority_class,
            storage_container=self.storage_container,
        )

    def create_resource(self, context: dg.InitResourceContext) -> "ServingBackend":  # noqa: ARG002
        """The cluster's client of `mlops_assets.kserve`."""
        from mlops_assets.kserve.api import connect
        from mlops_assets.kserve.cluster import ClusterSettings, KServeCluster

        api = connect(
            self.namespace,
            kubeconfig=None if self.kubeconfig is None else Path(self.kubeconfig),
            context=self.context,
            timeout_seconds=self.timeout_seconds,
        )
        settings = ClusterSettings(
            pods=self.pod_settings(),
            mode=self.mode,
            ingress=self.ingress,
            take_over=self.take_over,
            room_seconds=self.room_seconds,
        )
        return KServeCluster(api, settings)


def serving_from(
    environment: Mapping[str, str], home: Path
) -> EmbeddedServingResource | KServeServingResource:
    """The backend that the environment names: a cluster if it names a namespace.

    Raises:
        PlatformError: a setting is none.
    """
    namespace = environment.get("MLOPS_KSERVE_NAMESPACE")
    if not namespace:
        return EmbeddedServingResource(
            home=str(home), url=environment.get("MLOPS_GATEWAY_URL") or None
        )
    modes: dict[str, _Mode] = {mode: mode for mode in get_args(_Mode)}
    mode = environment.get("MLOPS_KSERVE_MODE") or "Standard"
    if mode not in modes:
        raise PlatformError(f"MLOPS_KSERVE_MODE: found {mode!r}, allowed: {', '.join(modes)}")
    room = environment.get("MLOPS_KSERVE_ROOM_SECONDS") or "10"
    if not room.isdigit():
        raise PlatformError(f"MLOPS_KSERVE_ROOM_SECONDS: found {room!r}, allowed: whole seconds")
    account = environment.get("MLOPS_KSERVE_SERVICE_ACCOUNT") or None
    priority = environment.get("MLOPS_KSERVE_PRIORITY_CLASS") or None
    storage = environment.get("MLOPS_KSERVE_STORAGE_CONTAINER") or None
    if account is None and (priority or storage):
        raise PlatformError(
            "MLOPS_KSERVE_SERVICE_ACCOUNT: missing; expected beside MLOPS_KSERVE_PRIORITY_CLASS "
            "and MLOPS_KSERVE_STORAGE_CONTAINER"
        )
    return KServeServingResource(
        service_account=account,
        priority_class=priority,
        storage_container=storage,
        namespace=namespace,
        mode=modes[mode],
        ingress=environment.get("MLOPS_KSERVE_INGRESS") or None,
        room_seconds=float(room),
    )

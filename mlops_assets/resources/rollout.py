"""Where rollouts are remembered and measured, as Dagster resources: one class for each backend.

| variable | default | meaning |
|---|---|---|
| `MLOPS_DAGSTER_UI_URL` | no links | Dagster's pages; notifications point there |
| `MLOPS_KSERVE_NAMESPACE` | this machine serves | namespace of a cluster that serves |
| `MLOPS_PROMETHEUS_URL` | the pods are asked | where Prometheus answers |
| `MLOPS_PROMETHEUS_TOKEN` | none | sent to it as a bearer token |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

if TYPE_CHECKING:
    from mlops_assets.rollout.metrics_source import MetricsSource
    from mlops_assets.rollout.store import RolloutStore


@dataclass(frozen=True, slots=True)
class RolloutBackend:
    """Where states are kept, where numbers come from, and where people look at Dagster."""

    store: "RolloutStore"
    source: "MetricsSource"
    ui_url: str | None = None


class EmbeddedRolloutResource(dg.ConfigurableResource[RolloutBackend]):
    """States beside the manifests of this machine, numbers from its prediction log."""

    home: str = Field(description="MLOPS_HOME.")
    ui_url: str | None = Field(None, description="Dagster's pages; notifications point there.")

    def create_resource(self, context: dg.InitResourceContext) -> RolloutBackend:  # noqa: ARG002
        """The file store and the prediction log."""
        from mlops_assets.rollout.file_store import FileStore
        from mlops_assets.rollout.log_source import LogPlace, PredictionLogSource
        from mlops_assets.serving.home import ServingHome

        home = Path(self.home)
        store = FileStore(ServingHome.under(home).rollouts)
        return RolloutBackend(store, PredictionLogSource(LogPlace.under(home)), self.ui_url)


class KServeRolloutResource(dg.ConfigurableResource[RolloutBackend]):
    """States in ConfigMaps of one namespace, numbers from Prometheus or from the pods."""

    namespace: str = Field(description="Namespace of the InferenceServices.")
    kubeconfig: str | None = Field(
        default=None, description="File that names the cluster; None: this pod's, or kubectl's."
    )
    context: str | None = Field(
        default=None, description="Context of the kubeconfig; None: its current."
    )
    timeout_seconds: float = Field(default=30.0, gt=0, description="Longest wait for one API call.")
    prometheus_url: str | None = Field(
        default=None, description="Where Prometheus answers; None: the pods are asked."
    )
    prometheus_token: str | None = Field(default=None, description="Sent as a bearer token.")
    ui_url: str | None = Field(
        default=None, description="Dagster's pages; notifications point there."
    )

    def create_resource(self, context: dg.InitResourceContext) -> RolloutBackend:  # noqa: ARG002
        """The cluster's ConfigMaps and counters."""
        from mlops_assets.kserve.api import connect
        from mlops_assets.kserve.pod_metrics import PodMetrics
        from mlops_assets.kserve.prometheus import PrometheusMetrics
        from mlops_assets.kserve.state_store import ConfigMapStore
        from mlops_assets.rollout.counter_source import CounterSource

        api = connect(
            self.namespace,
            kubeconfig=None if self.kubeconfig is None else Path(self.kubeconfig),
            context=self.context,
            timeout_seconds=self.timeout_seconds,
        )
        if self.prometheus_url is None:
            return RolloutBackend(ConfigMapStore(api), CounterSource(PodMetrics(api)), self.ui_url)
        counters = PrometheusMetrics(
            self.prometheus_url, self.namespace, token=self.prometheus_token
        )
        return RolloutBackend(ConfigMapStore(api), CounterSource(counters), self.ui_url)


def rollouts_from(
    environment: Mapping[str, str], home: Path
) -> EmbeddedRolloutResource | KServeRolloutResource:
    """The backend that the environment names: a cluster if it names a namespace."""
    namespace = environment.get("MLOPS_KSERVE_NAMESPACE")
    ui_url = environment.get("MLOPS_DAGSTER_UI_URL") or None
    if not namespace:
        return EmbeddedRolloutResource(home=str(home), ui_url=ui_url)
    return KServeRolloutResource(
        namespace=namespace,
        prometheus_url=environment.get("MLOPS_PROMETHEUS_URL") or None,
        prometheus_token=environment.get("MLOPS_PROMETHEUS_TOKEN") or None,
        ui_url=ui_url,
    )

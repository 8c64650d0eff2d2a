"""Where rollouts are remembered and measured, as Dagster resources: one class for each backend.

| variable | default | meaning |
|---|---|---|
| `MLOPS_DAGSTER_UI_URL` | no links | Dagster's pages; notifications point there |
| `MLOPS_KSERVE_NAMESPACE` | this machine serves | namespace of a cluster that serves |
| `MLOPS_PROMETHEUS_URL` | the pods are asked | where Prometheus answers |
| `MLOPS_PROMETHEUS_TOKEN` | none | sent to it as a bearer token |
| `MLOPS_PROMETHEUS_QUERIES` | fit Standard mode | JSON: templates `requests`, `errors`, `latency` |

On a cluster errors and latencies come of counters, and what was answered of the prediction log that
its sink keeps in `MLOPS_STORAGE_URI`; without that there are counters alone.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from mlops_assets.errors import PlatformError

if TYPE_CHECKING:
    from mlops_assets.kserve.api import ClusterApi
    from mlops_assets.rollout.metrics_source import MetricsSource
    from mlops_assets.rollout.store import RolloutStore


_QUERIES = ("requests", "errors", "latency")


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
    """States in ConfigMaps of one namespace; numbers from Prometheus or from the pods, and from
    the prediction log where there is one."""

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
    prometheus_queries: dict[str, str] = Field(
        default_factory=dict, description="Query templates that are other than the defaults."
    )
    lake: str | None = Field(
        default=None, description="Lake with the prediction log; None: counters alone."
    )
    storage_options: dict[str, str] = Field(
        default_factory=dict, description="Options of the object store, as deltalake names them."
    )
    kept: str = Field(
        default=".mlops/rollouts",
        description="Folder for what was read of the log; it may be lost at any time.",
    )
    ui_url: str | None = Field(
        default=None, description="Dagster's pages; notifications point there."
    )

    def create_resource(self, context: dg.InitResourceContext) -> RolloutBackend:  # noqa: ARG002
        """The cluster's ConfigMaps, counters and log."""
        from mlops_assets.kserve.api import connect
        from mlops_assets.kserve.state_store import ConfigMapStore

        api = connect(
            self.namespace,
            kubeconfig=None if self.kubeconfig is None else Path(self.kubeconfig),
            context=self.context,
            timeout_seconds=self.timeout_seconds,
        )
        return RolloutBackend(ConfigMapStore(api), self._build_source(api), self.ui_url)

    def _build_source(self, api: "ClusterApi") -> "MetricsSource":
        from mlops_assets.kserve.pod_metrics import PodMetrics
        from mlops_assets.kserve.prometheus import PrometheusMetrics, QueryTemplates
        from mlops_assets.rollout.counter_source import CounterSource
        from mlops_assets.rollout.joined_source import JoinedSource
        from mlops_assets.rollout.log_source import LogPlace, PredictionLogSource

        if self.prometheus_url is None:
            counters = CounterSource(PodMetrics(api))
        else:
            templates = QueryTemplates(**self.prometheus_queries)
            reader = PrometheusMetrics(
                self.prometheus_url, self.namespace, templates, token=self.prometheus_token
            )
            counters = CounterSource(reader)
        if self.lake is None:
            return counters
        root = f"{self.lake.rstrip('/')}/serving"
        place = LogPlace(root, Path(self.kept), storage_options=self.storage_options)
        return JoinedSource(counters, PredictionLogSource(place))


def rollouts_from(
    environment: Mapping[str, str], home: Path
) -> EmbeddedRolloutResource | KServeRolloutResource:
    """The backend that the environment names: a cluster if it names a namespace.

    Raises:
        PlatformError: a setting is none.
    """
    namespace = environment.get("MLOPS_KSERVE_NAMESPACE")
    ui_url = environment.get("MLOPS_DAGSTER_UI_URL") or None
    if not namespace:
        return EmbeddedRolloutResource(home=str(home), ui_url=ui_url)
    storage = environment.get("MLOPS_STORAGE_URI")
    return KServeRolloutResource(
        namespace=namespace,
        prometheus_url=environment.get("MLOPS_PROMETHEUS_URL") or None,
        prometheus_token=environment.get("MLOPS_PROMETHEUS_TOKEN") or None,
        prometheus_queries=_read_queries(environment.get("MLOPS_PROMETHEUS_QUERIES")),
        lake=f"{storage.rstrip('/')}/lake" if storage else None,
        kept=str(home / "rollouts"),
        ui_url=ui_url,
    )


def _read_queries(text: str | None) -> dict[str, str]:
    """Query templates by name; refused when one has another name or is no text."""
    if not text:
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise PlatformError(f"MLOPS_PROMETHEUS_QUERIES: found no JSON: {error}") from error
    is_right = isinstance(found, dict) and all(isinstance(query, str) for query in found.values())
    if not is_right or not found.keys() <= set(_QUERIES):
        raise PlatformError(
            f"MLOPS_PROMETHEUS_QUERIES: found {text!r}, allowed: a JSON object with texts of "
            f"{', '.join(_QUERIES)}"
        )
    return found

"""Where rollouts are remembered and measured, as Dagster resources: one class for each backend."""

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
        from mlops_assets.rollout.log_source import PredictionLogSource
        from mlops_assets.serving.home import ServingHome

        home = Path(self.home)
        store = FileStore(ServingHome.under(home).rollouts)
        return RolloutBackend(store, PredictionLogSource(home), self.ui_url)

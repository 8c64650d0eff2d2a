"""The prediction log of all services, as a Dagster resource."""

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

if TYPE_CHECKING:
    from mlops_assets.serving.prediction_log.logged import LoggedPredictions


class PredictionLogResource(dg.ConfigurableResource["LoggedPredictions"]):
    """The tables under one lake, and on one machine the segments that are on their way to them."""

    lake: str = Field(description="Folder or object storage URI that holds every table.")
    storage_options: dict[str, str] = Field(
        default_factory=dict, description="Options of the object store, as deltalake names them."
    )
    home: str | None = Field(
        None, description="MLOPS_HOME whose segments are moved first; None: a sink does that."
    )

    def create_resource(
        self,
        context: dg.InitResourceContext,  # noqa: ARG002
    ) -> "LoggedPredictions":
        """The log of `mlops_assets.serving`."""
        from mlops_assets.serving.prediction_log.logged import LoggedPredictions
        from mlops_assets.serving.prediction_log.store import PredictionStore

        store = PredictionStore(f"{self.lake.rstrip('/')}/serving", self.storage_options)
        return LoggedPredictions(store, None if self.home is None else Path(self.home))

"""The MLflow server, as a Dagster resource.

dagster-mlflow's resource is not used for the platform's own assets: with MLflow 3 it marks failed
runs FINISHED and splits one run in two when steps run side by side (`dagster_mlflow.py` keeps it,
repaired, for assets that ask for it).
"""

import dagster as dg
from pydantic import Field

from mlops_assets.modeling.tracking import Tracking


class TrackingResource(dg.ConfigurableResource[Tracking]):
    """One MLflow tracking server and registry."""

    uri: str = Field(description="Tracking and registry URI: `sqlite:///…` or `http://…`.")
    artifact_root: str | None = Field(
        None, description="Where new experiments keep artifacts; None leaves it to the server."
    )
    ui_url: str | None = Field(None, description="Where people open MLflow; links point there.")

    def create_resource(self, context: dg.InitResourceContext) -> Tracking:  # noqa: ARG002
        """The tracking of `mlops_assets.modeling`; MLflow itself is imported on first use."""
        return Tracking(self.uri, self.artifact_root, self.ui_url)

"""The MLflow server, as a Dagster resource.

dagster-mlflow's resource is not used for the platform's own assets: with MLflow 3 it marks failed
runs FINISHED and splits one run in two when steps run side by side (`dagster_mlflow.py` keeps it,
repaired, for assets that ask for it).
"""

from pathlib import Path

import dagster as dg
from pydantic import Field

from mlops_assets.modeling.signing import SIGNING_KEY, TRUSTED, ensure_key_pair
from mlops_assets.modeling.tracking import Tracking


class TrackingResource(dg.ConfigurableResource[Tracking]):
    """One MLflow tracking server and registry."""

    uri: str = Field(description="Tracking and registry URI: `sqlite:///…` or `http://…`.")
    artifact_root: str | None = Field(
        None, description="Where new experiments keep artifacts; None leaves it to the server."
    )
    ui_url: str | None = Field(None, description="Where people open MLflow; links point there.")
    signing_key: str | None = Field(
        default=None,
        description="File of the private key that signs models, where a key was handed out.",
    )
    key_folder: str | None = Field(
        default=None,
        description="Folder of a key pair to sign with instead; made when it has none. Its trusted "
        "keys count in either case.",
    )

    def create_resource(self, context: dg.InitResourceContext) -> Tracking:  # noqa: ARG002
        """The tracking of `mlops_assets.modeling`; MLflow itself is imported on first use."""
        trusted = None if self.key_folder is None else Path(self.key_folder, TRUSTED)
        return Tracking(self.uri, self.artifact_root, self.ui_url, self._signing_key(), trusted)

    def _signing_key(self) -> Path | None:
        if self.signing_key is not None:
            return Path(self.signing_key)
        if self.key_folder is None:
            return None
        ensure_key_pair(Path(self.key_folder))
        return Path(self.key_folder, SIGNING_KEY)

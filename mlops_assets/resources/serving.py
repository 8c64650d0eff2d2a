"""Where InferenceServices run, as Dagster resources: one class for each backend."""

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

if TYPE_CHECKING:
    from mlops_assets.serving.backend import ServingBackend


class EmbeddedServingResource(dg.ConfigurableResource["ServingBackend"]):
    """The serving gateway on this machine."""

    home: str = Field(description="MLOPS_HOME, which holds the manifests that the gateway serves.")
    url: str | None = Field(None, description="Where the gateway answers; None: as its home says.")

    def create_resource(self, context: dg.InitResourceContext) -> "ServingBackend":  # noqa: ARG002
        """The gateway's client of `mlops_assets.serving`."""
        from mlops_assets.serving.embedded import EmbeddedServing

        return EmbeddedServing(Path(self.home), self.url)

"""The lake that datasets and training frames lie in, as a Dagster resource."""

from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

if TYPE_CHECKING:
    from mlops_assets.data.snapshots import Lake


class LakeResource(dg.ConfigurableResource["Lake"]):
    """Delta tables under one root: a folder, or a bucket with the same code."""

    root: str = Field(description="Folder or object storage URI that holds every table.")
    storage_options: dict[str, str] = Field(
        default_factory=dict, description="Options of the object store, as deltalake names them."
    )

    def create_resource(self, context: dg.InitResourceContext) -> "Lake":  # noqa: ARG002
        """The lake of `mlops_assets.data`."""
        from mlops_assets.data.snapshots import Lake

        return Lake(self.root, self.storage_options)

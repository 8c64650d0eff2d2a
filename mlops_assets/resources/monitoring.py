"""Where judged windows and the state of retraining are kept, as a Dagster resource.

| variable | default | meaning |
|---|---|---|
| `MLOPS_DAGSTER_UI_URL` | no links | Dagster's pages; notifications point there |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

if TYPE_CHECKING:
    from mlops_assets.monitoring.store import MonitoringStore
    from mlops_assets.retraining.store import RetrainingStore


@dataclass(frozen=True, slots=True)
class MonitoringBackend:
    """Judged windows, states of retraining, and where people look at Dagster."""

    store: "MonitoringStore"
    retraining: "RetrainingStore"
    ui_url: str | None = None

    def clock(self, model: str) -> datetime:
        """The time of a model: real, unless its past is played.

        Raises:
            MonitoringError: the time of a replay cannot be read.
        """
        return self.store.now(model, datetime.now(UTC))

    def page_of(self, model: str, asset: str) -> str | None:
        """The page of a model's asset; None when nobody serves pages."""
        return None if self.ui_url is None else f"{self.ui_url}/assets/{model}/{asset}"


class MonitoringResource(dg.ConfigurableResource[MonitoringBackend]):
    """Small documents under one root: a folder, or a prefix in object storage."""

    root: str = Field(description="Folder or object storage URI.")
    ui_url: str | None = Field(None, description="Dagster's pages; notifications point there.")

    def create_resource(self, context: dg.InitResourceContext) -> MonitoringBackend:  # noqa: ARG002
        """The stores of `mlops_assets.monitoring` and `mlops_assets.retraining`."""
        return open_backend(self.root, self.ui_url)


def open_backend(root: str, ui_url: str | None = None) -> MonitoringBackend:
    """The stores under a root. One per process: what was read of a model is not read again."""
    found = _OPENED.get((root, ui_url))
    if found is None:
        from mlops_assets.data.documents import ModelDocuments
        from mlops_assets.monitoring.store import MonitoringStore
        from mlops_assets.retraining.store import RetrainingStore

        documents = ModelDocuments(root)
        found = MonitoringBackend(MonitoringStore(documents), RetrainingStore(documents), ui_url)
        _OPENED[root, ui_url] = found
    return found


_OPENED: dict[tuple[str, str | None], MonitoringBackend] = {}


def monitoring_from(environment: Mapping[str, str], storage: str) -> MonitoringResource:
    """The resource of this environment, under the root of all that is kept."""
    ui_url = environment.get("MLOPS_DAGSTER_UI_URL") or None
    return MonitoringResource(root=f"{storage}/monitoring", ui_url=ui_url)

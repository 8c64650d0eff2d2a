"""The prediction log as its readers take it: tables, brought up to date where this machine can.

Light to import, since Dagster's definitions name it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops_assets.serving.prediction_log.drain import Drained
    from mlops_assets.serving.prediction_log.store import PredictionStore


@dataclass(frozen=True, slots=True)
class LoggedPredictions:
    """The log of all services.

    Attributes:
        store: The tables.
        home: MLOPS_HOME whose segments this process may move; None: a sink elsewhere does.
    """

    store: "PredictionStore"
    home: Path | None = None

    def settle(self) -> "Drained":
        """Have the tables hold what was logged until now, as far as it stands on this machine."""
        from mlops_assets.serving.prediction_log.drain import Drained
        from mlops_assets.serving.prediction_log.sink import drain_home

        return Drained() if self.home is None else drain_home(self.home)

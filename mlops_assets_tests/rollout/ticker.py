"""A process that ticks one rollout without pause, as a daemon would, until it is killed."""

import contextlib
import sys
from datetime import UTC, datetime
from pathlib import Path

from mlops_assets.errors import MlopsError
from mlops_assets.modeling.tracking import Tracking
from mlops_assets.notify.notification import SilentNotifier
from mlops_assets.rollout.file_store import FileStore
from mlops_assets.rollout.log_source import LogPlace, PredictionLogSource
from mlops_assets.rollout.registry import TrackingRegistry
from mlops_assets.rollout.ticking import tick
from mlops_assets.rollout.world import World
from mlops_assets.serving.embedded import EmbeddedServing
from mlops_assets.serving.home import ServingHome
from mlops_assets.spec import ModelSpec


def main() -> None:
    """`python -m mlops_assets_tests.rollout.ticker HOME DOCUMENT`."""
    home, document = Path(sys.argv[1]), Path(sys.argv[2])
    spec = ModelSpec.model_validate_json(document.read_text())
    world = World(
        FileStore(ServingHome.under(home).rollouts),
        EmbeddedServing(home),
        TrackingRegistry(Tracking(f"sqlite:///{home}/mlflow.db")),
        PredictionLogSource(LogPlace.under(home)),
        SilentNotifier(),
    )
    while True:
        with contextlib.suppress(MlopsError):
            tick(world, spec, datetime.now(UTC))


if __name__ == "__main__":
    main()

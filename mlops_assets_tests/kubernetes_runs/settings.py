"""The cluster's own dagster.yaml and platform.env, changed where a test's cluster is another.

What is changed stands here, so that all else is what production runs on.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mlops_assets_tests.postgres import Postgres

_BASE = Path(__file__).parents[2] / "k8s" / "base"
NAMESPACE = "mlops"
"""As in dagster.yaml."""


def instance_settings(
    home: Path, postgres: Postgres, *, object_storage: bool = False
) -> dict[str, Any]:
    """The cluster's instance, on this machine and without its pauses.

    Args:
        home: DAGSTER_HOME.
        postgres: Where its storage is.
        object_storage: Whether there is one to keep logs in.
    """
    settings: dict[str, Any] = yaml.safe_load((_BASE / "dagster" / "dagster.yaml").read_text())
    # Another host: the database's, and no service account's files.
    database = settings["storage"]["postgres"]["postgres_db"]
    database.update(port=postgres.port, username=postgres.user)
    launcher = settings["run_launcher"]["config"]
    launcher.update(load_incluster_config=False, dagster_home=str(home))
    settings["local_artifact_storage"]["config"]["base_dir"] = str(home)
    if object_storage:
        settings["compute_logs"]["config"].update(local_dir=str(home / "logs"), upload_interval=1)
    else:
        settings.pop("compute_logs")
    # Another clock.
    launcher.update(api_patience_seconds=120, start_timeout_seconds=5)
    settings["run_monitoring"].update(poll_interval_seconds=1, start_timeout_seconds=240)
    settings["run_coordinator"] = {
        "module": "dagster.core.run_coordinator",
        "class": "QueuedRunCoordinator",
        "config": {"dequeue_interval_seconds": 1},
    }
    return settings


def platform_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """The variables of platform.env, some of them changed."""
    lines = (_BASE / "platform.env").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs} | dict(changes)

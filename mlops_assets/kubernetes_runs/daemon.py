"""Dagster's daemon with the run keeper: `python -m mlops_assets.kubernetes_runs.daemon`.

Takes the options of `dagster-daemon run`, such as `-w workspace.yaml`, and is that command with
one more thread. Settings, from the environment:

| variable | default | meaning |
|---|---|---|
| `MLOPS_RUN_KEEPER_SECONDS` | 15 | pause between two looks |
| `MLOPS_RUN_KEEPER_GRACE_SECONDS` | 60 | time for the workers of a run that is over to end |
| `MLOPS_RUN_KEEPER_RETRY_SECONDS` | 60 | time for Dagster to launch a retry, also after a start |
"""

import functools
import os
from collections.abc import Sequence
from typing import Any

import dagster as dg
from dagster._daemon import cli, controller
from dagster._daemon.daemon import DagsterDaemon

from mlops_assets.kubernetes_runs.keeper import RunKeeperDaemon


def gen_daemons(instance: dg.DagsterInstance) -> Sequence[DagsterDaemon[Any]]:
    """Dagster's own daemons and ours."""
    keeper = RunKeeperDaemon(
        float(os.environ.get("MLOPS_RUN_KEEPER_SECONDS", "15")),
        float(os.environ.get("MLOPS_RUN_KEEPER_GRACE_SECONDS", "60")),
        float(os.environ.get("MLOPS_RUN_KEEPER_RETRY_SECONDS", "60")),
    )
    daemons = [*controller.create_daemons_from_instance(instance), keeper]
    required = [daemon.daemon_type() for daemon in daemons]
    # Or its heartbeat counts as missing, and the log says so every minute.
    known: Any = instance
    known.get_required_daemon_types = lambda: required
    return daemons


def main() -> None:
    """Runs until a signal ends it."""
    # The command has no option for further daemons; the function that it calls has.
    command: Any = cli
    command.daemon_controller_from_instance = functools.partial(
        controller.daemon_controller_from_instance, gen_daemons=gen_daemons
    )
    cli.run_command()


if __name__ == "__main__":
    main()

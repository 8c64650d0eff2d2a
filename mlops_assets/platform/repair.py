"""Puts the records right after a kill: what says that it runs, and does not, is closed.

A run counts as alive while the process that executes it is; so a run of `dagster dev` beside is
left alone. Queued runs are left in the queue: the daemon takes them up, as it would have without
the kill.
"""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.platform.execution import PROCESS_TAG, is_process
from mlops_assets.platform.home import Home
from mlops_assets.platform.registry_glance import count_running

if TYPE_CHECKING:
    import dagster as dg

REASON = "the platform was killed while this ran; `mlops-assets up` closed it"


def main() -> None:
    """`python -m mlops_assets.platform.repair HOME`, after Dagster's process was started again."""
    import dagster as dg

    home, began = Home(Path(sys.argv[1])), datetime.now(UTC)
    with dg.DagsterInstance.get() as instance:
        for message in repair(instance, home, began):
            print(message)


def repair(instance: "dg.DagsterInstance", home: Home, began: datetime) -> Iterator[str]:
    """Closes the runs that a kill left open; yields a message for each. Safe to repeat.

    Args:
        instance: Whose runs.
        home: Whose MLflow runs.
        began: A moment after the kill. A run whose status is newer was not killed; it may be about
            to begin, and have no process yet.
    """
    import dagster as dg

    unended = [
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    ]
    alive = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=unended)):
        run = record.dagster_run
        if record.update_timestamp >= began or is_executed(instance, run):
            alive.append(run.run_id)
        elif run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, REASON)
            yield f"run {run.run_id[:8]} of {run.job_name} is canceled: {REASON}"
        else:
            instance.report_run_failed(run, REASON)
            yield f"run {run.run_id[:8]} of {run.job_name} is failed: {REASON}"
    if count_running(home):
        from mlops_assets.modeling.tracking import Tracking  # loads MLflow: only when needed

        tracking = Tracking(f"sqlite:///{home.mlflow_database}")
        for run_id in tracking.kill_abandoned_runs(alive):
            yield f"MLflow run {run_id[:8]} is killed: {REASON}"


def is_executed(instance: "dg.DagsterInstance", run: "dg.DagsterRun") -> bool:
    """Whether the process that executes a run is alive."""
    if PROCESS_TAG in run.tags:
        return is_process(run.tags[PROCESS_TAG])
    return any(_is_alive(pid, at) for pid, at in _recorded_processes(instance, run.run_id))


def _recorded_processes(instance: "dg.DagsterInstance", run_id: str) -> Iterator[tuple[int, float]]:
    """Processes that a launched run wrote into its log as it began, and when it did."""
    import dagster as dg

    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        metadata = event.engine_event_data.metadata if event is not None else {}
        if "pid" in metadata:
            yield int(str(metadata["pid"].value)), entry.timestamp


def _is_alive(pid: int, recorded_at: float) -> bool:
    """Whether a process lives that had begun when it was recorded; a later one is another."""
    import psutil

    try:
        return pid != os.getpid() and psutil.Process(pid).create_time() <= recorded_at
    except psutil.Error:
        return False


if __name__ == "__main__":
    main()

"""The run keeper: what nobody else looks after. One more thread of Dagster's daemon.

Every few seconds it
- deletes Jobs and pods that work for a run that is over;
- fails runs whose worker died before they started, with the reason, at once;
- launches retries of runs that Dagster's daemon was to launch and did not.

Each is decided by what is stored and what the cluster says, and is safe to do twice.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.storage.dagster_run import RunRecord
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import (
    consume_new_runs_for_automatic_reexecution,
)
from dagster._daemon.daemon import DaemonIterator, IntervalDaemon

from mlops_assets.kserve.api import PODS, ClusterApi
from mlops_assets.kubernetes_runs.jobs_api import JOBS, RUN_LABEL
from mlops_assets.kubernetes_runs.launcher import KubernetesRunLauncher
from mlops_assets.kubernetes_runs.reaping import (
    WILL_RETRY_TAG,
    RunState,
    find_leftovers,
    find_lost_retries,
)

DAEMON_TYPE = "RUN_KEEPER"
_LOOK_BACK = timedelta(days=1)
_COLLECTION = {"job": JOBS, "pod": PODS}


class RunKeeperDaemon(IntervalDaemon[IWorkspaceProcessContext[Any]]):
    """Looks after the runs of one instance.

    Args:
        interval_seconds: Pause between two looks.
        grace_seconds: How long the workers of a run that is over have to end by themselves.
        patience_seconds: How long Dagster's daemon has to launch a retry.
    """

    def __init__(
        self,
        interval_seconds: float = 15.0,
        grace_seconds: float = 60.0,
        patience_seconds: float = 60.0,
    ) -> None:
        super().__init__(interval_seconds=interval_seconds)
        self._grace_seconds = grace_seconds
        self._patience_seconds = patience_seconds
        self._handed_over: frozenset[str] = frozenset()  # runs whose lost retry Dagster was given

    @classmethod
    def daemon_type(cls) -> str:
        """Name of its heartbeat."""
        return DAEMON_TYPE

    def run_iteration(
        self, workspace_process_context: IWorkspaceProcessContext[Any]
    ) -> DaemonIterator:
        """One look; an error is shown by the daemon's page and the next look comes."""
        instance = workspace_process_context.instance
        launcher = instance.run_launcher
        now = datetime.now(UTC)
        yield from self._launch_lost_retries(workspace_process_context, now)
        if isinstance(launcher, KubernetesRunLauncher):
            yield from self._fail_dead_starts(instance, launcher, now)
            yield from self._reap(instance, launcher.api(), own_labels(launcher), now)

    def _reap(
        self, instance: dg.DagsterInstance, api: ClusterApi, labels: str, now: datetime
    ) -> Iterator[None]:
        """Delete what is left over. Runs are read after what works for them, so none is missed."""
        jobs, pods = api.list(JOBS, labels), api.list(PODS, labels)
        run_ids = {thing["metadata"]["labels"][RUN_LABEL] for thing in (*jobs, *pods)}
        runs = {run.run_id: run for run in _read_runs(instance, run_ids=sorted(run_ids))}
        for leftover in find_leftovers(jobs, pods, runs, now, self._grace_seconds):
            self._logger.info("deleting %s %s: %s", leftover.kind, leftover.name, leftover.reason)
            api.delete(_COLLECTION[leftover.kind], leftover.name)
            if (run := instance.get_run_by_id(leftover.run_id)) is not None:
                words = f"Deleted {leftover.kind} {leftover.name}: {leftover.reason}"
                instance.report_engine_event(words, run, cls=type(self))
            yield

    def _fail_dead_starts(
        self, instance: dg.DagsterInstance, launcher: KubernetesRunLauncher, now: datetime
    ) -> Iterator[None]:
        """End runs that are to start and whose worker has died; Dagster waits for its timeout.

        That there is no worker is no death: a launch may wait for the API server to be back.
        """
        starting = dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.STARTING],
            updated_before=now - timedelta(seconds=self._grace_seconds),
        )
        for run in instance.get_runs(starting):
            verdict = launcher.judge_worker(run)
            has_died = verdict.ended_badly and verdict.outcome != "gone"
            seen = instance.get_run_by_id(run.run_id)
            if has_died and seen is not None and seen.status == run.status:
                words = f"The run's worker died before the run started: {verdict.reason}"
                instance.report_run_failed(run, f"{words}\n{self._debug_info(launcher, run)}")
            yield

    def _debug_info(self, launcher: KubernetesRunLauncher, run: dg.DagsterRun) -> str:
        """What dagster-k8s has to say of a worker; the run ends without it just as well."""
        try:
            return launcher.get_run_worker_debug_info(run) or ""
        except Exception:  # it breaks on a Job that no controller has looked at
            self._logger.exception("no debug info of run %s", run.run_id)
            return ""

    def _launch_lost_retries(
        self, context: IWorkspaceProcessContext[Any], now: datetime
    ) -> Iterator[None]:
        """Have Dagster launch the retries that it lost; it launches none twice.

        Each is handed over once: when Dagster then launches none, it has told the run why, such as
        a backfill that is over, and would do so at every look.
        """
        instance = context.instance
        failed = dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.FAILURE],
            tags={WILL_RETRY_TAG: "true"},
            updated_after=now - _LOOK_BACK,
        )
        records = {r.dagster_run.run_id: r for r in instance.get_run_records(failed)}
        states = [_state(record) for record in records.values()]
        self._handed_over &= records.keys()
        states = [state for state in states if state.run_id not in self._handed_over]
        overdue = find_lost_retries(states, frozenset(), now, self._patience_seconds)
        parents = frozenset(
            run.run_id
            for run in overdue
            if instance.get_runs(dg.RunsFilter(tags={"dagster/parent_run_id": run.run_id}), limit=1)
        )
        for lost in find_lost_retries(overdue, parents, now, self._patience_seconds):
            record = records[lost.run_id]
            self._handed_over |= {lost.run_id}
            words = "The automatic retry of this run was lost; it is launched now."
            self._logger.warning("run %s: %s", lost.run_id, words)
            instance.report_engine_event(words, record.dagster_run, cls=type(self))
            yield from consume_new_runs_for_automatic_reexecution(context, [record], self._logger)


def own_labels(launcher: KubernetesRunLauncher) -> str:
    """Selector of what this instance runs: instances that share a namespace differ in labels."""
    return ",".join([RUN_LABEL, *(f"{name}={value}" for name, value in launcher.labels.items())])


def _read_runs(instance: dg.DagsterInstance, **wanted: Any) -> list[RunState]:
    if not all(wanted.values()):
        return []
    return [_state(record) for record in instance.get_run_records(dg.RunsFilter(**wanted))]


def _state(record: RunRecord) -> RunState:
    run, updated = record.dagster_run, record.update_timestamp
    return RunState(
        run.run_id,
        run.status.value,
        run.is_finished,
        updated if updated.tzinfo else updated.replace(tzinfo=UTC),
        run.tags,
    )

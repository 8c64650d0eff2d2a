"""The run keeper: what nobody else looks after. One more thread of Dagster's daemon.

Every few seconds it
- deletes Jobs and pods that work for a run that is over;
- fails runs whose worker died before they started, with the reason;
- launches retries of runs that Dagster's daemon was to launch and did not.

Each is decided by what is stored and what the cluster says, and is safe to do twice. One that fails
leaves the others alone.
"""

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._core.storage.dagster_run import RunRecord
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, WILL_RETRY_TAG
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import (
    consume_new_runs_for_automatic_reexecution,
)
from dagster._daemon.daemon import DaemonIterator, IntervalDaemon
from dagster._daemon.utils import DaemonErrorCapture

from mlops_assets.kserve.api import PODS, ClusterApi
from mlops_assets.kubernetes_runs.jobs_api import JOBS, RUN_LABEL
from mlops_assets.kubernetes_runs.launcher import KubernetesRunLauncher
from mlops_assets.kubernetes_runs.lost_retries import (
    HAND_OVER_WORDS,
    RetryHistory,
    assess_children,
    assess_hand_over,
    assess_history,
    judge_retry,
    retry_marks,
)
from mlops_assets.kubernetes_runs.reaping import Leftover, RunState, find_leftovers

DAEMON_TYPE = "RUN_KEEPER"
_LOOK_BACK = timedelta(days=1)
_COLLECTION = {"job": JOBS, "pod": PODS}
_ANSWER_SECONDS = 10


class RunKeeperDaemon(IntervalDaemon[IWorkspaceProcessContext[Any]]):
    """Looks after the runs of one instance.

    Args:
        interval_seconds: Pause between two looks.
        grace_seconds: How long the workers of a run that is over have to end by themselves, and
            those of a run that is to start to be judged.
        patience_seconds: How long Dagster's daemon has to launch a retry, each time and from the
            first look on.
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
        self._first_look_at: datetime | None = None
        self._settled: frozenset[str] = frozenset()  # failed runs whose retry needs no other look

    @classmethod
    def daemon_type(cls) -> str:
        """Name of its heartbeat."""
        return DAEMON_TYPE

    def run_iteration(
        self, workspace_process_context: IWorkspaceProcessContext[Any]
    ) -> DaemonIterator:
        """One look. What fails is shown by the daemon's page, and all else is looked after."""
        instance = workspace_process_context.instance
        launcher = instance.run_launcher
        now = datetime.now(UTC)
        self._first_look_at = self._first_look_at or now
        retries = self._launch_lost_retries(workspace_process_context, now)
        yield from self._survive("looking for lost retries", retries)
        if isinstance(launcher, KubernetesRunLauncher):
            deaths = self._fail_dead_starts(instance, launcher, now)
            yield from self._survive("looking for dead workers", deaths)
            leftovers = self._reap(instance, launcher.api(), own_labels(launcher), now)
            yield from self._survive("looking for leftovers", leftovers)

    def _survive(self, what: str, work: DaemonIterator) -> DaemonIterator:
        """Work that may fail: its error is logged and told, and the rest is done."""
        try:
            yield from work
        except Exception:
            yield DaemonErrorCapture.process_exception(
                sys.exc_info(), logger=self._logger, log_message=f"{what} failed"
            )

    def _reap(
        self, instance: dg.DagsterInstance, api: ClusterApi, labels: str, now: datetime
    ) -> DaemonIterator:
        """Delete what is left over. Runs are read after what works for them, so none is missed."""
        jobs, pods = api.list(JOBS, labels), api.list(PODS, labels)
        run_ids = {thing["metadata"]["labels"][RUN_LABEL] for thing in (*jobs, *pods)}
        runs = {run.run_id: run for run in _read_runs(instance, run_ids=sorted(run_ids))}
        for leftover in find_leftovers(jobs, pods, runs, now, self._grace_seconds):
            what = f"deleting {leftover.kind} {leftover.name}"
            yield from self._survive(what, self._delete(instance, api, leftover))

    def _delete(
        self, instance: dg.DagsterInstance, api: ClusterApi, leftover: Leftover
    ) -> DaemonIterator:
        self._logger.info("deleting %s %s: %s", leftover.kind, leftover.name, leftover.reason)
        api.delete(_COLLECTION[leftover.kind], leftover.name)
        if (run := instance.get_run_by_id(leftover.run_id)) is not None:
            words = f"Deleted {leftover.kind} {leftover.name}: {leftover.reason}"
            instance.report_engine_event(words, run, cls=type(self))
        yield None

    def _fail_dead_starts(
        self, instance: dg.DagsterInstance, launcher: KubernetesRunLauncher, now: datetime
    ) -> DaemonIterator:
        """End runs that are to start and whose worker has died; Dagster waits for its timeout."""
        starting = dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.STARTING],
            updated_before=now - timedelta(seconds=self._grace_seconds),
        )
        for run in instance.get_runs(starting):
            what = f"judging the worker of run {run.run_id}"
            yield from self._survive(what, self._fail_if_dead(instance, launcher, run))

    def _fail_if_dead(
        self, instance: dg.DagsterInstance, launcher: KubernetesRunLauncher, run: dg.DagsterRun
    ) -> DaemonIterator:
        """That there is no worker is no death: a launch may wait for the API server to be back."""
        verdict = launcher.judge_worker(run)
        has_died = verdict.ended_badly and verdict.outcome != "gone"
        seen = instance.get_run_by_id(run.run_id)
        if has_died and seen is not None and seen.status == run.status:
            launcher.count_kill(seen, verdict)
            words = f"The run's worker died before the run started: {verdict.reason}"
            instance.report_run_failed(run, f"{words}\n{self._debug_info(launcher, run)}")
        yield None

    def _debug_info(self, launcher: KubernetesRunLauncher, run: dg.DagsterRun) -> str:
        """What dagster-k8s has to say of a worker; the run ends without it just as well."""
        try:
            return launcher.get_run_worker_debug_info(run) or ""
        except Exception:  # it breaks on a Job that no controller has looked at
            self._logger.exception("no debug info of run %s", run.run_id)
            return ""

    def _launch_lost_retries(
        self, context: IWorkspaceProcessContext[Any], now: datetime
    ) -> DaemonIterator:
        """Have Dagster launch the retries that it lost; it launches none twice."""
        failed = dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.FAILURE],
            tags={WILL_RETRY_TAG: ["true", "false"]},
            updated_after=now - _LOOK_BACK,
        )
        records = {r.dagster_run.run_id: r for r in context.instance.get_run_records(failed)}
        self._settled &= records.keys()
        for run_id in records.keys() - self._settled:
            what = f"launching the lost retry of run {run_id}"
            yield from self._survive(what, self._launch_if_lost(context, records[run_id], now))

    def _launch_if_lost(
        self, context: IWorkspaceProcessContext[Any], record: RunRecord, now: datetime
    ) -> DaemonIterator:
        run = record.dagster_run
        history = _read_history(context.instance, run.run_id)
        since = self._first_look_at or now
        state = judge_retry(_state(record), history, now, since, self._patience_seconds)
        marks = retry_marks(run.run_id, state)
        if not marks.items() <= run.tags.items():
            context.instance.add_run_tags(run.run_id, marks)
        if state not in ("lost", "pending"):
            self._settled |= {run.run_id}
        if state == "lost" and _can_be_asked(context, run):
            yield from self._hand_over(context, run, history)

    def _hand_over(
        self, context: IWorkspaceProcessContext[Any], run: dg.DagsterRun, before: RetryHistory
    ) -> DaemonIterator:
        """Told afterwards: one that a kill cuts short counts for nothing, and is repeated."""
        instance = context.instance
        self._logger.warning("run %s: its retry was lost; asking for it again", run.run_id)
        instance.add_run_tags(run.run_id, {WILL_RETRY_TAG: "true"})  # Dagster looks at it
        fresh = instance.get_run_records(dg.RunsFilter(run_ids=[run.run_id]))
        try:
            yield from consume_new_runs_for_automatic_reexecution(context, fresh, self._logger)
        except Exception:  # it survives what goes wrong in a launch, and no more
            instance.report_engine_event(HAND_OVER_WORDS["failed"], run, cls=type(self))
            raise
        outcome = assess_hand_over(before, _read_history(instance, run.run_id))
        instance.report_engine_event(HAND_OVER_WORDS[outcome], run, cls=type(self))


def _read_history(instance: dg.DagsterInstance, run_id: str) -> RetryHistory:
    children = instance.get_runs(dg.RunsFilter(tags={PARENT_RUN_ID_TAG: run_id}))
    told = instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    child = assess_children(child.status.value for child in children)
    return assess_history(child, [entry.message for entry in told])


def _can_be_asked(context: IWorkspaceProcessContext[Any], run: dg.DagsterRun) -> bool:
    """Whether a run's code location answers; while it does not, a hand-over would fail."""
    origin = run.remote_job_origin
    if origin is None:
        return True  # Dagster tells the run so
    name = origin.repository_origin.code_location_origin.location_name
    try:
        location = context.create_request_context().get_code_location(name)
        if isinstance(location, GrpcServerCodeLocation):  # kept while its server is away
            location.client.get_server_id(timeout=_ANSWER_SECONDS)
    except dg.DagsterError:
        return False
    return True


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

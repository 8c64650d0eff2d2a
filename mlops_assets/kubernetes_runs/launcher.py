"""The run launcher of a cluster: dagster-k8s's, with answers that a run's fate may depend on.

Named by the cluster's dagster.yaml:

    run_launcher:
      module: mlops_assets.kubernetes_runs.launcher
      class: KubernetesRunLauncher
      config: {...}   # as for K8sRunLauncher, and the two settings below

What differs from `K8sRunLauncher`, each of which failed healthy runs or hid why a run failed:

- an API server that does not answer, or refuses for a while, leaves running runs alone, and
  launches wait for it, for up to `api_patience_seconds`;
- a worker is judged by its Job's conditions and its pods (`worker.py`): a Job that was given up
  before it had a pod counts as failed, one whose pod still works does not, and a worker that was
  killed for memory or evicted is called so;
- a run whose worker was killed for memory gets more when it is run again, up to its tag
  `mlops/maximum_memory`;
- a terminated run's Job and pods are deleted by one call.

Keep `max_resume_run_attempts` at 0: a resumed run's steps would go on after it was terminated.
"""

import time
from datetime import UTC, datetime
from typing import Any

from dagster import Field, IntSource
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.storage.dagster_run import DagsterRun
from dagster_k8s import K8sRunLauncher  # noqa: TID253 - loaded on a cluster only
from dagster_k8s.container_context import K8sContainerContext  # noqa: TID253
from dagster_k8s.job import get_job_name_from_run_id  # noqa: TID253

from mlops_assets.assets.attributes import MAXIMUM_MEMORY_TAG
from mlops_assets.errors import ClusterApiError
from mlops_assets.kserve.api import ClusterApi, build_api
from mlops_assets.kubernetes_runs.asset_runs import gather_tags
from mlops_assets.kubernetes_runs.jobs_api import read_worker
from mlops_assets.kubernetes_runs.outage import Outages
from mlops_assets.kubernetes_runs.patient_client import PatientClient
from mlops_assets.kubernetes_runs.pod_memory import at_least, memory_limit, with_memory
from mlops_assets.kubernetes_runs.retrying import RetryPolicy, memory_after
from mlops_assets.kubernetes_runs.worker import WorkerVerdict, judge

MEMORY_KILLS = "mlops/memory_kills"
"""Tag of a run: how often it, or a run that it repeats, was killed for memory. A run that repeats
another takes over its tags."""
KILLED_RUN = "mlops/killed_run"
"""Tag of a run: the run that was counted last."""

_REQUEST_SECONDS = 10.0
_SETTINGS = {
    "api_patience_seconds": Field(
        IntSource,
        is_required=False,
        default_value=900,
        description="How long runs go on, and launches wait, while the API server is away.",
    ),
    "start_timeout_seconds": Field(
        IntSource,
        is_required=False,
        default_value=600,
        description="How long a pod may take to start working; then its step or run fails.",
    ),
}


class KubernetesRunLauncher(K8sRunLauncher):
    """Launches each run as a Job, and tells what became of it."""

    def __init__(
        self, api_patience_seconds: int = 900, start_timeout_seconds: int = 600, **config: Any
    ) -> None:
        super().__init__(**config)
        self.api_patience_seconds = api_patience_seconds
        self.start_timeout_seconds = start_timeout_seconds
        self._api_client = PatientClient(api_patience_seconds)
        self._outages = Outages(api_patience_seconds)
        self._apis: dict[str, ClusterApi] = {}  # by namespace; each keeps its connections

    @classmethod
    def config_type(cls) -> Any:
        """The settings of `K8sRunLauncher` and ours."""
        return {**super().config_type(), **_SETTINGS}

    def api(self, namespace: str | None = None) -> ClusterApi:
        """The API of a namespace; by default that of the runs."""
        from kubernetes import client

        name = namespace or self.job_namespace
        if name not in self._apis:
            configuration = client.Configuration.get_default_copy()
            self._apis[name] = build_api(configuration, name, _REQUEST_SECONDS)
        return self._apis[name]

    def judge_worker(self, run: DagsterRun) -> WorkerVerdict:
        """What became of a run's worker.

        Raises:
            ClusterApiError: the API server refused or did not answer.
        """
        namespace = super().get_container_context_for_run(run).namespace
        attempt = self._get_resume_attempt_number(run)
        name = get_job_name_from_run_id(run.run_id, resume_attempt_number=attempt)
        worker = read_worker(self.api(namespace), name)
        return judge(worker, datetime.now(UTC), self.start_timeout_seconds)

    def get_container_context_for_run(self, dagster_run: DagsterRun) -> K8sContainerContext:
        """The settings of a run's pod, with the memory that its former ends call for.

        Those of a run of single assets are gathered from its steps (`asset_runs.py`).
        """
        snapshot_id = dagster_run.job_snapshot_id
        if dagster_run.job_name.startswith(IMPLICIT_ASSET_JOB_NAME) and snapshot_id is not None:
            steps = self._instance.get_job_snapshot(snapshot_id).node_defs_snapshot.op_def_snaps
            tags = gather_tags(step.tags for step in steps)
            dagster_run = dagster_run.with_tags({**tags, **dagster_run.tags})
        context = super().get_container_context_for_run(dagster_run)
        # What one step asks for may be less than the others need, which ask for nothing.
        own = K8sContainerContext.create_for_run(dagster_run, self, include_run_tags=False)
        context = at_least(context, memory_limit(own.run_k8s_config))
        n_kills = int(dagster_run.tags.get(MEMORY_KILLS, "0"))
        if not n_kills:
            return context
        first = memory_limit(context.run_k8s_config)
        policy = RetryPolicy(first, dagster_run.tags.get(MAXIMUM_MEMORY_TAG), 0)
        return with_memory(context, memory_after(n_kills, policy))

    def count_kill(self, run: DagsterRun, verdict: WorkerVerdict) -> None:
        """Write on a run that was killed for memory that it was, for those that repeat it; once."""
        if verdict.outcome == "out_of_memory" and run.tags.get(KILLED_RUN) != run.run_id:
            n_kills = int(run.tags.get(MEMORY_KILLS, "0")) + 1
            tags = {MEMORY_KILLS: str(n_kills), KILLED_RUN: run.run_id}
            self._instance.add_run_tags(run.run_id, tags)

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """What run monitoring acts on: only FAILED and UNKNOWN end a run.

        UNKNOWN, with which Dagster fails a run at once, is for an API server that was away for
        longer than the patience.
        """
        try:
            verdict = self.judge_worker(run)
        except ClusterApiError as error:
            if self._outages.is_lost(run.run_id, time.monotonic()):
                words = f"nobody could be asked for {self.api_patience_seconds} s: {error}"
                return CheckRunHealthResult(WorkerStatus.UNKNOWN, words)
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"not to be asked now: {error}")
        self._outages.answered(run.run_id)
        self.count_kill(run, verdict)
        if verdict.ended_badly:
            return CheckRunHealthResult(WorkerStatus.FAILED, verdict.reason)
        if verdict.outcome == "completed" and not run.is_finished:
            words = f"{verdict.reason}, and the run has no end"
            return CheckRunHealthResult(WorkerStatus.FAILED, words)
        return CheckRunHealthResult(WorkerStatus.RUNNING, verdict.reason)

"""One look of the run keeper, on an API server without a cluster behind it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import yaml
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget

from mlops_assets.kubernetes_runs.keeper import RunKeeperDaemon
from mlops_assets_tests.kubernetes.kubeconfig import write_kubeconfig
from mlops_assets_tests.kubernetes.server import ApiServer
from mlops_assets_tests.kubernetes_runs.toy_job import toy


@contextmanager
def opened(api: ApiServer, folder: Path) -> Iterator[WorkspaceProcessContext]:
    """An instance with our launcher."""
    config = {
        "instance_config_map": "x",
        "dagster_home": str(folder),
        "service_account_name": "x",
        "load_incluster_config": False,
        "kubeconfig_file": str(write_kubeconfig(folder / "kubeconfig", api.url)),
    }
    launcher = {"module": "mlops_assets.kubernetes_runs.launcher", "class": "KubernetesRunLauncher"}
    settings = {"run_launcher": {**launcher, "config": config}}
    (folder / "dagster.yaml").write_text(yaml.safe_dump(settings))
    with (
        dg.DagsterInstance.from_config(str(folder)) as instance,
        WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as workspace,
    ):
        yield workspace


def look(keeper: RunKeeperDaemon, workspace: WorkspaceProcessContext, times: int = 1) -> None:
    for _ in range(times):
        list(keeper.run_iteration(workspace))


def an_impatient_keeper() -> RunKeeperDaemon:
    return RunKeeperDaemon(grace_seconds=-1.0, patience_seconds=-1.0)


def test_a_launch_that_waits_for_the_api_server_is_not_taken_for_a_dead_worker(
    api: ApiServer, tmp_path: Path
) -> None:
    """After an outage the keeper may look before the launch asks again: there is no Job yet."""
    with opened(api, tmp_path) as workspace:
        instance = workspace.instance
        run = instance.create_run_for_job(toy, status=dg.DagsterRunStatus.STARTING)
        look(an_impatient_keeper(), workspace)
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        assert found.status == dg.DagsterRunStatus.STARTING


def test_a_worker_that_died_before_its_run_started_is_told_at_the_next_look(
    api: ApiServer, tmp_path: Path
) -> None:
    """Also when dagster-k8s has no words for its Job: this one has no start time."""
    with opened(api, tmp_path) as workspace:
        instance = workspace.instance
        run = instance.create_run_for_job(toy, status=dg.DagsterRunStatus.STARTING)
        jobs, name = api.objects.kind("jobs"), f"dagster-run-{run.run_id}"
        spec = {"template": {"spec": {"containers": [{"name": "dagster"}]}}}
        api.objects.create(jobs, "default", {"metadata": {"name": name}, "spec": spec})
        failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
        api.objects.set_status(jobs, "default", name, {"failed": 1, "conditions": [failed]})
        look(an_impatient_keeper(), workspace)
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        assert found.status == dg.DagsterRunStatus.FAILURE


def test_a_retry_that_dagster_declines_is_asked_for_once(api: ApiServer, tmp_path: Path) -> None:
    """Its code location is gone, or its backfill is over: another look changes nothing of it."""
    tags = {"dagster/will_retry": "true"}
    with opened(api, tmp_path) as workspace:
        instance = workspace.instance
        run = instance.create_run_for_job(toy, status=dg.DagsterRunStatus.FAILURE, tags=tags)
        look(an_impatient_keeper(), workspace, times=3)
        told = [entry.message for entry in instance.all_logs(run.run_id)]
    for words in ("retry of this run was lost; it is launched now", "unable to retry the run"):
        assert len([message for message in told if words in message]) == 1

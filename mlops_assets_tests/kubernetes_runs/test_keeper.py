"""One look of the run keeper, on an API server without a cluster behind it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import yaml
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster_shared.error import SerializableErrorInfo

from mlops_assets.kubernetes_runs.keeper import RunKeeperDaemon
from mlops_assets.kubernetes_runs.launcher import MEMORY_KILLS
from mlops_assets.kubernetes_runs.lost_retries import HAND_OVER_WORDS, MOST_HAND_OVERS
from mlops_assets.observability.dagster_facts import read_dagster
from mlops_assets_tests.kubernetes.faults import Fault
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


def look(keeper: RunKeeperDaemon, workspace: WorkspaceProcessContext, times: int = 1) -> list[str]:
    """One look or more; what failed in them."""
    told = [found for _ in range(times) for found in keeper.run_iteration(workspace)]
    return [error.message for error in told if isinstance(error, SerializableErrorInfo)]


def an_impatient_keeper() -> RunKeeperDaemon:
    return RunKeeperDaemon(grace_seconds=-1.0, patience_seconds=-1.0)


def launched(instance: dg.DagsterInstance, api: ApiServer) -> dg.DagsterRun:
    """A run that is to start, with a Job of its own."""
    run = instance.create_run_for_job(toy, status=dg.DagsterRunStatus.STARTING)
    has_job(api, run, f"dagster-run-{run.run_id}")
    return run


def has_job(api: ApiServer, run: dg.DagsterRun, name: str) -> None:
    labels = {"dagster/run-id": run.run_id}
    spec = {"template": {"spec": {"containers": [{"name": "dagster"}]}}}
    jobs = api.objects.kind("jobs")
    api.objects.create(
        jobs, "default", {"metadata": {"name": name, "labels": labels}, "spec": spec}
    )


def dies(api: ApiServer, run: dg.DagsterRun, reason: str = "Error") -> None:
    """Its worker ends, before it could tell that the run started."""
    jobs, pods, name = *map(api.objects.kind, ("jobs", "pods")), f"dagster-run-{run.run_id}"
    failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
    api.objects.set_status(jobs, "default", name, {"failed": 1, "conditions": [failed]})
    metadata = {"name": name, "labels": {"job-name": name, "dagster/run-id": run.run_id}}
    api.objects.create(pods, "default", {"metadata": metadata, "spec": {"containers": [{}]}})
    end = {"terminated": {"exitCode": 137, "reason": reason}}
    status = {"phase": "Failed", "containerStatuses": [{"name": "dagster", "state": end}]}
    api.objects.set_status(pods, "default", name, status)


def status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def awaits_retry(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether backfills and retraining take it for a run that goes on."""
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return bool(found.is_complete_and_waiting_to_retry)


def lost_retries(instance: dg.DagsterInstance) -> float:
    """What the alert sees, once Dagster and the keeper had their time."""
    found = read_dagster(instance, datetime.now(UTC) + timedelta(minutes=6))
    (lost,) = [sample.value for sample in found if sample.name == "mlops_run_retries_lost"]
    return lost


def test_a_launch_that_waits_for_the_api_server_is_not_taken_for_a_dead_worker(
    api: ApiServer, tmp_path: Path
) -> None:
    """After an outage the keeper may look before the launch asks again: there is no Job yet."""
    with opened(api, tmp_path) as workspace:
        instance = workspace.instance
        run = instance.create_run_for_job(toy, status=dg.DagsterRunStatus.STARTING)
        assert look(an_impatient_keeper(), workspace) == []
        assert status(instance, run) == dg.DagsterRunStatus.STARTING


def test_a_worker_that_died_before_its_run_started_is_told_at_the_next_look(
    api: ApiServer, tmp_path: Path
) -> None:
    """Also when dagster-k8s has no words for its Job: this one has no start time."""
    with opened(api, tmp_path) as workspace:
        run = launched(workspace.instance, api)
        dies(api, run)
        assert look(an_impatient_keeper(), workspace) == []
        assert status(workspace.instance, run) == dg.DagsterRunStatus.FAILURE


def test_a_worker_killed_for_memory_before_its_run_started_is_repeated_with_more(
    api: ApiServer, tmp_path: Path
) -> None:
    with opened(api, tmp_path) as workspace:
        instance = workspace.instance
        run = launched(instance, api)
        dies(api, run, "OOMKilled")
        look(an_impatient_keeper(), workspace)
        killed = instance.get_run_by_id(run.run_id)
        assert killed is not None
        assert killed.status == dg.DagsterRunStatus.FAILURE
        assert killed.tags[MEMORY_KILLS] == "1"


def test_what_cannot_be_deleted_stays_alone(api: ApiServer, tmp_path: Path) -> None:
    with opened(api, tmp_path) as workspace:
        run = workspace.instance.create_run_for_job(toy, status=dg.DagsterRunStatus.FAILURE)
        for name in ("first", "second", "third"):
            has_job(api, run, name)
        api.faults.order(Fault("delete", "jobs", 403))
        (error,) = look(an_impatient_keeper(), workspace)
        assert "ordered failure" in error
        assert len(api.objects.list(api.objects.kind("jobs"))) == 1


def test_what_cannot_be_judged_keeps_nothing_else_from_being_looked_after(
    api: ApiServer, tmp_path: Path
) -> None:
    with opened(api, tmp_path) as workspace:
        instance = workspace.instance
        runs = [launched(instance, api) for _ in range(2)]
        for run in runs:
            dies(api, run)
        over = instance.create_run_for_job(toy, status=dg.DagsterRunStatus.FAILURE)
        has_job(api, over, "leftover")
        api.faults.order(Fault("get", "jobs/status", 403))
        (error,) = look(an_impatient_keeper(), workspace)
        assert "ordered failure" in error
        assert sorted(status(instance, run).value for run in runs) == ["FAILURE", "STARTING"]
        assert api.objects.find("jobs", "default", "leftover") is None


def test_a_retry_that_dagster_declines_is_asked_for_once(api: ApiServer, tmp_path: Path) -> None:
    """Its job is gone, or its backfill is over: another look changes nothing of it."""
    tags = {"dagster/will_retry": "true"}
    with opened(api, tmp_path) as workspace:
        instance = workspace.instance
        run = instance.create_run_for_job(toy, status=dg.DagsterRunStatus.FAILURE, tags=tags)
        look(an_impatient_keeper(), workspace, times=3)
        told = [entry.message for entry in instance.all_logs(run.run_id)]
        assert not awaits_retry(instance, run)
    for words in ("retry of this run was lost; Dagster was asked", "unable to retry the run"):
        assert len([message for message in told if words in message]) == 1


def test_a_retry_is_declined_once_also_after_a_failed_launch(
    api: ApiServer, tmp_path: Path
) -> None:
    """Dagster failed to launch it, and then its backfill ended."""
    tags = {"dagster/will_retry": "false", "dagster/backfill": "over"}
    with opened(api, tmp_path) as workspace:
        instance = workspace.instance
        run = instance.create_run_for_job(toy, status=dg.DagsterRunStatus.FAILURE, tags=tags)
        instance.report_engine_event("Failed to retry run", run)
        look(an_impatient_keeper(), workspace, times=3)
        told = [entry.message for entry in instance.all_logs(run.run_id)]
        assert lost_retries(instance) == 0
    assert len([message for message in told if "Not retrying run since" in message]) == 1


def test_what_dagster_does_not_survive_counts_as_a_failed_launch(
    api: ApiServer, tmp_path: Path
) -> None:
    """It was asked at every look, for ever: nothing told that it had been."""
    tags = {"dagster/will_retry": "true", "dagster/failure_reason": "of a newer Dagster"}
    with opened(api, tmp_path) as workspace:
        instance = workspace.instance
        run = instance.create_run_for_job(toy, status=dg.DagsterRunStatus.FAILURE, tags=tags)
        errors = look(an_impatient_keeper(), workspace, times=MOST_HAND_OVERS + 2)
        told = [entry.message for entry in instance.all_logs(run.run_id)]
        assert not awaits_retry(instance, run)
        assert lost_retries(instance) == 1
    assert len(errors) == MOST_HAND_OVERS
    assert len([words for words in told if HAND_OVER_WORDS["failed"] in words]) == MOST_HAND_OVERS


def test_a_keeper_that_has_just_started_leaves_an_old_failure_to_dagster(
    api: ApiServer, tmp_path: Path
) -> None:
    """Both look at once after an outage, and neither sees the retry that the other creates."""
    tags = {"dagster/will_retry": "true"}
    keeper = RunKeeperDaemon(patience_seconds=1.0)
    with opened(api, tmp_path) as workspace:
        instance = workspace.instance
        run = instance.create_run_for_job(toy, status=dg.DagsterRunStatus.FAILURE, tags=tags)
        time.sleep(1.1)
        look(keeper, workspace)
        assert instance.all_logs(run.run_id) == []
        time.sleep(1.1)
        look(keeper, workspace)
        assert instance.all_logs(run.run_id) != []


def test_a_retry_waits_for_its_code_location(api: ApiServer, tmp_path: Path) -> None:
    location = GrpcServerCodeLocationOrigin("127.0.0.1", 9, location_name="away")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), "toy")
    with opened(api, tmp_path) as workspace:
        instance = workspace.instance
        run = instance.create_run_for_job(
            toy,
            status=dg.DagsterRunStatus.FAILURE,
            tags={"dagster/will_retry": "false"},
            remote_job_origin=origin,
        )
        instance.report_engine_event("Failed to retry run", run)
        assert look(an_impatient_keeper(), workspace, times=2) == []
        assert len(instance.all_logs(run.run_id)) == 1
        assert lost_retries(instance) == 1

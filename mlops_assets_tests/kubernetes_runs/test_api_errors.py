"""One refusal, or an outage, as run monitoring meets it: dagster-k8s's launcher and ours.

Dagster's own monitoring looks at a run that works, over the official client.
"""

import logging
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from mlops_assets.kubernetes_runs.launcher import KubernetesRunLauncher
from mlops_assets_tests.kubernetes.faults import Fault
from mlops_assets_tests.kubernetes.kubeconfig import write_kubeconfig
from mlops_assets_tests.kubernetes.objects import Write
from mlops_assets_tests.kubernetes.server import ApiServer
from mlops_assets_tests.kubernetes_runs.toy_job import toy

DAGSTER_K8S = ("dagster_k8s", "K8sRunLauncher")
OURS = ("mlops_assets.kubernetes_runs.launcher", "KubernetesRunLauncher")
PATIENCE_SECONDS = 0  # it ends with the second look


def monitored(api: ApiServer, folder: Path, launcher: tuple[str, str], *, n_looks: int = 1) -> str:
    """Status of a healthy run after monitoring has looked at it; faults hit from the first look."""
    module, name = launcher
    config: dict[str, Any] = {
        "instance_config_map": "x",
        "dagster_home": str(folder),
        "service_account_name": "x",
        "load_incluster_config": False,
        "kubeconfig_file": str(write_kubeconfig(folder / "kubeconfig", api.url)),
    }
    if launcher == OURS:
        config["api_patience_seconds"] = PATIENCE_SECONDS
    settings = {
        "run_launcher": {"module": module, "class": name, "config": config},
        "run_monitoring": {"enabled": True, "start_timeout_seconds": 60},
    }
    (folder / "dagster.yaml").write_text(yaml.safe_dump(settings))
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        run = instance.create_run_for_job(toy, status=dg.DagsterRunStatus.STARTED)
        _have_working_job(api, run.run_id)
        if isinstance(instance.run_launcher, KubernetesRunLauncher):
            instance.run_launcher.api().first_pause_seconds = 0.001
        with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as workspace:
            for _ in range(n_looks):
                logger = logging.getLogger("monitoring")
                assert list(execute_run_monitoring_iteration(workspace, logger)) == [None]
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        return found.status.value


def _have_working_job(api: ApiServer, run_id: str) -> None:
    name = f"dagster-run-{run_id}"
    jobs, pods = api.objects.kind("jobs"), api.objects.kind("pods")
    api.objects.create(jobs, "default", {"metadata": {"name": name}, "spec": {}})
    api.objects.set_status(jobs, "default", name, {"active": 1, "ready": 1})
    labels = {"job-name": name}
    body = {"metadata": {"name": name, "labels": labels}, "spec": {"containers": [{}]}}
    api.objects.create(pods, "default", body, Write())
    api.objects.set_status(pods, "default", name, {"phase": "Running"})


@pytest.mark.parametrize(
    ("launcher", "status"), [(DAGSTER_K8S, "FAILURE"), (OURS, "STARTED")], ids=["dagster_k8s", "we"]
)
@pytest.mark.parametrize("code", [403, 429, 502, 0])
def test_one_answer_that_is_none_costs_a_run_only_by_itself(
    api: ApiServer, tmp_path: Path, launcher: tuple[str, str], status: str, code: int
) -> None:
    api.faults.order(Fault("*", "*", code, times=10**6))
    assert monitored(api, tmp_path, launcher) == status


def test_patience_with_an_api_server_that_stays_away_ends(api: ApiServer, tmp_path: Path) -> None:
    api.faults.order(Fault("*", "*", 0, times=10**6))
    assert monitored(api, tmp_path, OURS, n_looks=2) == "FAILURE"


@pytest.mark.parametrize(
    ("launcher", "status"), [(DAGSTER_K8S, "FAILURE"), (OURS, "STARTED")], ids=["dagster_k8s", "we"]
)
def test_a_run_whose_job_is_gone_and_whose_pod_works_goes_on(
    api: ApiServer, tmp_path: Path, launcher: tuple[str, str], status: str
) -> None:
    api.faults.order(Fault("get", "jobs/status", 404, times=10**6))
    assert monitored(api, tmp_path, launcher) == status

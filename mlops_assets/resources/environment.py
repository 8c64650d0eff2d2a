"""The resources in force, read once from the environment when the code location loads.

| variable | default | meaning |
|---|---|---|
| `MLOPS_HOME` | `.mlops` in the working folder | everything that the embedded platform keeps |
| `MLOPS_KSERVE_NAMESPACE`, … | this machine serves | a cluster that serves (`serving.py`) |
| `MLOPS_DAGSTER_UI_URL`, … | no links | where rollouts are kept and measured (`rollout.py`) |
| `MLOPS_MLFLOW_UI_URL` | `http://127.0.0.1:5000` | where links to MLflow point |
| `MLOPS_NOTIFY_URL`, … | nobody is told | who hears of rollouts and drift (`notifier.py`) |
| `MLOPS_EXECUTOR` | `in_process` | `in_process`, `multiprocess`, or `kubernetes`: in the run's pod,
  or in a pod for each step where the model's document asks for `kubernetes.step_pods` |
"""

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import dagster as dg

from mlops_assets.errors import PlatformError
from mlops_assets.resources.dagster_mlflow import mlflow_resource
from mlops_assets.resources.lake import LakeResource
from mlops_assets.resources.notifier import notifier_from
from mlops_assets.resources.prediction_log import PredictionLogResource
from mlops_assets.resources.records import RecordIOManager
from mlops_assets.resources.rollout import rollouts_from
from mlops_assets.resources.serving import serving_from
from mlops_assets.resources.tracking import TrackingResource
from mlops_assets.spec.operations import KubernetesSpec


@functools.cache
def default_resources() -> Mapping[str, Any]:
    """The resources that every `ModelPipeline` brings; one set per process, so that definitions
    of many documents merge."""
    return MappingProxyType(embedded_resources(os.environ))


def embedded_resources(environment: Mapping[str, str]) -> dict[str, Any]:
    """Resources of the embedded platform."""
    home = Path(environment.get("MLOPS_HOME", ".mlops")).absolute()
    uri, artifact_root = f"sqlite:///{home}/mlflow.db", f"file://{home}/mlartifacts"
    return {
        "lake": LakeResource(root=str(home / "lake")),
        "records": RecordIOManager(root=str(home / "records")),
        "tracking": TrackingResource(
            uri=uri,
            artifact_root=artifact_root,
            ui_url=environment.get("MLOPS_MLFLOW_UI_URL", "http://127.0.0.1:5000"),
        ),
        "serving": serving_from(environment, home),
        "rollouts": rollouts_from(environment, home),
        "notifier": notifier_from(environment, home),
        "predictions": PredictionLogResource(lake=str(home / "lake"), home=str(home)),
        "mlflow": mlflow_resource(tracking_uri=uri, experiment_name="dagster"),
    }


def executor(environment: Mapping[str, str]) -> dg.ExecutorDefinition:
    """The executor that `MLOPS_EXECUTOR` names.

    In one process a step costs 0.02 s, with processes of their own 0.4 to 0.6 s each, in pods of
    their own 5 to 9 s.
    """
    name = environment.get("MLOPS_EXECUTOR", "in_process")
    if name in ("in_process", "kubernetes"):
        return dg.in_process_executor
    if name == "multiprocess":
        preload = {"preload_modules": ["dagster", "mlops_assets.component"]}
        config = {"max_concurrent": 2, "start_method": {"forkserver": preload}}
        return dg.multiprocess_executor.configured(config, name="multiprocess")
    allowed = "in_process, multiprocess, kubernetes"
    raise PlatformError(f"MLOPS_EXECUTOR: found {name!r}, allowed: {allowed}")


def job_executor(
    kubernetes: KubernetesSpec, environment: Mapping[str, str]
) -> dg.ExecutorDefinition | None:
    """The executor of one model's job, where it differs from that of the code location."""
    if environment.get("MLOPS_EXECUTOR") != "kubernetes" or not kubernetes.step_pods:
        return None
    from mlops_assets.kubernetes_runs.step_pods import step_pod_executor  # 1.4 s

    return step_pod_executor

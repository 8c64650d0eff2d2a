"""The resources in force, read once from the environment when the code location loads.

| variable | default | meaning |
|---|---|---|
| `MLOPS_HOME` | `.mlops` in the working folder | everything that the embedded platform keeps |
| `MLOPS_STORAGE_URI` | the home | root of lake, records and prediction log: `s3://bucket/prefix` |
| `MLOPS_MLFLOW_URI` | a database in the home | MLflow's server, which says where artifacts lie |
| `MLOPS_KSERVE_NAMESPACE`, … | this machine serves | a cluster that serves (`serving.py`) |
| `MLOPS_DAGSTER_UI_URL`, … | no links | where rollouts are kept and measured (`rollout.py`) |
| `MLOPS_MLFLOW_UI_URL` | `http://127.0.0.1:5000` | where links to MLflow point |
| `MLOPS_SIGNING_KEY` | a key pair in the home | file of the private key that signs models; a must
  with `MLOPS_MLFLOW_URI` |
| `MLOPS_NOTIFY_URL`, … | nobody is told | who hears of rollouts and drift (`notifier.py`) |
| `MLOPS_EXECUTOR` | `in_process` | `in_process`, `multiprocess`, or `kubernetes`: in the run's pod,
  or in a pod for each step where the model's document asks for `kubernetes.step_pods` |

Object storage takes address and keys from the variables of its own tools: `AWS_ENDPOINT_URL`,
`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`; `AWS_ALLOW_HTTP` where it has no TLS.
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
from mlops_assets.resources.monitoring import monitoring_from
from mlops_assets.resources.notifier import notifier_from
from mlops_assets.resources.prediction_log import PredictionLogResource
from mlops_assets.resources.records import RecordIOManager
from mlops_assets.resources.rollout import rollouts_from
from mlops_assets.resources.serving import serving_from
from mlops_assets.resources.tracking import TrackingResource
from mlops_assets.serving.home import ServingHome
from mlops_assets.spec.operations import KubernetesSpec


@functools.cache
def default_resources() -> Mapping[str, Any]:
    """The resources that every `ModelPipeline` brings; one set per process, so that definitions
    of many documents merge."""
    return MappingProxyType(build_resources(os.environ))


def build_resources(environment: Mapping[str, str]) -> dict[str, Any]:
    """The resources that an environment names; without a word of it, those of one machine.

    Raises:
        PlatformError: a setting is none.
    """
    home = Path(environment.get("MLOPS_HOME") or ".mlops").absolute()
    storage = (environment.get("MLOPS_STORAGE_URI") or str(home)).rstrip("/")
    tracking = _tracking_from(environment, home)
    # Where a cluster serves, a sink of its own moves what is logged; here, whoever reads it.
    segments = None if environment.get("MLOPS_KSERVE_NAMESPACE") else str(home)
    return {
        "lake": LakeResource(root=f"{storage}/lake"),
        "records": RecordIOManager(root=f"{storage}/records"),
        "tracking": tracking,
        "serving": serving_from(environment, home),
        "rollouts": rollouts_from(environment, home),
        "notifier": notifier_from(environment, storage),
        "monitoring": monitoring_from(environment, storage),
        "predictions": PredictionLogResource(lake=f"{storage}/lake", home=segments),
        "mlflow": mlflow_resource(tracking_uri=tracking.uri, experiment_name="dagster"),
    }


def _tracking_from(environment: Mapping[str, str], home: Path) -> TrackingResource:
    ui_url = environment.get("MLOPS_MLFLOW_UI_URL") or "http://127.0.0.1:5000"
    uri = environment.get("MLOPS_MLFLOW_URI")
    signing_key = environment.get("MLOPS_SIGNING_KEY") or None
    if uri:
        return TrackingResource(uri=uri, artifact_root=None, ui_url=ui_url, signing_key=signing_key)
    return TrackingResource(
        uri=f"sqlite:///{home}/mlflow.db",
        artifact_root=f"file://{home}/mlartifacts",
        ui_url=ui_url,
        signing_key=signing_key,
        key_folder=str(ServingHome.under(home).keys),
    )


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

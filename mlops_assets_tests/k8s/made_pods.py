"""The pods that stand in no manifest: of runs, which the launcher makes of dagster.yaml, and
predictors, which KServe makes of a service, our ServingRuntime and whatever fetches the model."""

import os
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import yaml

from mlops_assets.kserve.manifest import build_inference_service
from mlops_assets.resources.serving import KServeServingResource, serving_from
from mlops_assets_tests.documents import churn_spec
from mlops_assets_tests.k8s.rendering import FOLDER, Object, Pod, pods_of, render
from mlops_assets_tests.kubernetes.kubeconfig import write_kubeconfig

DAGSTER_YAML = FOLDER / "base" / "dagster" / "dagster.yaml"
RUN_ID = "0a1b2c3d-0000-4000-8000-000000000000"


def settings_of(overlay: str) -> dict[str, str]:
    """What the ConfigMap of the platform tells every process."""
    found: list[dict[str, str]] = [
        content["data"]
        for content in render(overlay)
        if content["kind"] == "ConfigMap"
        and content["metadata"]["name"].startswith("mlops-platform-")
    ]
    return found[0]


def process_environment(overlay: str) -> dict[str, str]:
    """Variables of the daemon, as its manifest gives them; values of Secrets are stand-ins."""
    (daemon,) = (
        content
        for content in render(overlay)
        if (content["kind"], content["metadata"]["name"]) == ("Deployment", "dagster-daemon")
    )
    (container,) = daemon["spec"]["template"]["spec"]["containers"]
    own = {item["name"]: item.get("value", "of-a-secret") for item in container["env"]}
    return {**settings_of(overlay), **own}


def run_job(overlay: str, folder: Path, tags: Mapping[str, str] | None = None) -> Object:
    """The Job of a run, by the launcher that the cluster's dagster.yaml names.

    Args:
        overlay: Whose settings.
        folder: Scratch, for a dagster.yaml that reaches no cluster.
        tags: Of the run.
    """
    from dagster._core.instance.ref import InstanceRef
    from dagster_k8s.job import construct_dagster_k8s_job
    from kubernetes.client import ApiClient

    content = yaml.safe_load(DAGSTER_YAML.read_text())
    kubeconfig = write_kubeconfig(folder / "kubeconfig", "http://127.0.0.1:1")
    content["run_launcher"]["config"] |= {
        "load_incluster_config": False,
        "kubeconfig_file": str(kubeconfig),
    }
    (folder / "dagster.yaml").write_text(yaml.safe_dump(content))
    with mock.patch.dict(os.environ, process_environment(overlay)):
        launcher: Any = InstanceRef.from_dir(str(folder)).run_launcher
        run = dg.DagsterRun("churn_pipeline", RUN_ID, tags=dict(tags or {}))
        context = launcher.get_container_context_for_run(run)
        job = construct_dagster_k8s_job(
            context.get_k8s_job_config("registry.example.com/platform:1", launcher),
            ["dagster", "api", "execute_run"],
            "dagster-run",
            context.run_k8s_config,
            component="run_worker",
        )
    made: Object = ApiClient().sanitize_for_serialization(job)
    return {"apiVersion": "batch/v1", "kind": "Job", **made}


def run_pod(overlay: str, folder: Path) -> Pod:
    """The pod of a run."""
    template = run_job(overlay, folder)["spec"]["template"]
    namespace = yaml.safe_load(DAGSTER_YAML.read_text())["run_launcher"]["config"]["job_namespace"]
    return Pod("pod of a run", namespace, template["metadata"]["labels"], template["spec"])


def predictor_service(overlay: str) -> Object:
    """The InferenceService of a model, as the platform of an overlay sends it."""
    manifest = build_inference_service(
        churn_spec(),
        version=7,
        storage_uri="s3://mlops/mlflow/7",
        model_digest="7" * 64,
        mlflow_run_id="r",
    )
    resource = serving_from(settings_of(overlay), Path("/nowhere"))
    assert isinstance(resource, KServeServingResource)
    settings = resource.pod_settings()
    assert settings is not None
    return settings.on_service(manifest)


def predictor_pod(overlay: str) -> Pod:
    """The pod that KServe makes: the runtime's container with the model's own fields over it."""
    objects = {content["kind"]: content for content in render(overlay)}
    runtime = objects["ServingRuntime"]["spec"]
    fetcher = objects["ClusterStorageContainer"]["spec"]["container"]
    predictor = predictor_service(overlay)["spec"]["predictor"]
    model = predictor["model"]
    (container,) = runtime["containers"]
    made = {
        **container,
        **{name: model[name] for name in _CONTAINER_FIELDS},
        "args": [*container["args"], *model["args"]],
    }
    labels = {
        **runtime.get("labels", {}),
        **predictor["labels"],
        "serving.kserve.io/inferenceservice": "churn",
        "component": "predictor",
    }
    pod = {name: value for name, value in predictor.items() if name in _POD_FIELDS}
    spec = {**pod, "initContainers": [fetcher], "containers": [made], "volumes": runtime["volumes"]}
    return Pod("pod of a predictor", settings_of(overlay)["MLOPS_KSERVE_NAMESPACE"], labels, spec)


_CONTAINER_FIELDS = (
    "resources", "lifecycle", "startupProbe", "readinessProbe", "livenessProbe"
)  # fmt: skip
_POD_FIELDS = (
    "serviceAccountName", "priorityClassName", "automountServiceAccountToken", "securityContext",
    "enableServiceLinks", "topologySpreadConstraints", "terminationGracePeriodSeconds",
)  # fmt: skip


@cache
def all_pods(overlay: str) -> list[Pod]:
    """Every pod of an overlay: those that manifests make, a run's and a predictor's."""
    with tempfile.TemporaryDirectory() as folder:
        return [*pods_of(render(overlay)), run_pod(overlay, Path(folder)), predictor_pod(overlay)]

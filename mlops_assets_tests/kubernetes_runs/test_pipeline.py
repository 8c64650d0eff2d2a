"""A real model's whole pipeline on the emulated cluster: the real definitions, nothing stubbed.

Dagster and MLflow keep their state in PostgreSQL, lake, records, logs and models lie in object
storage, the run is a pod, and the service that it declares answers with the model that it fetched.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import dagster as dg
import pytest

from mlops_assets_tests.kubernetes.cluster import running_cluster
from mlops_assets_tests.kubernetes.job_cluster import eventually
from mlops_assets_tests.kubernetes_runs.cluster_platform import ClusterPlatform
from mlops_assets_tests.kubernetes_runs.pipeline_contract import *  # noqa: F403
from mlops_assets_tests.kubernetes_runs.pipeline_contract import JOB, MODEL, SERVICE
from mlops_assets_tests.kubernetes_runs.settings import NAMESPACE
from mlops_assets_tests.kubernetes_runs.stand import (
    PATIENCE_SECONDS,
    Plan,
    Stand,
    running_stand,
)
from mlops_assets_tests.object_storage import BUCKET, ObjectStorage, running_object_storage
from mlops_assets_tests.postgres import Postgres, running_postgres
from mlops_assets_tests.serving.keys import signing_key
from mlops_assets_tests.serving.running import find_free_port
from mlops_assets_tests.with_parent import with_parent

pytestmark = [
    pytest.mark.timeout(1200),  # a busy machine; 60 s on one that is not
    pytest.mark.filterwarnings("ignore:Using variable_values:DeprecationWarning"),
]


@dataclass(frozen=True)
class Site:
    """The platform with what it stands on."""

    stand: Stand
    storage: ObjectStorage
    ingress: str
    mlflow: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with (
        running_postgres() as postgres,
        running_object_storage() as storage,
        running_mlflow(folder / "mlflow.log", postgres, storage) as mlflow,
        running_cluster() as cluster,
    ):
        changes = {
            "MLOPS_MLFLOW_URI": mlflow,
            "MLOPS_KSERVE_NAMESPACE": NAMESPACE,
            "MLOPS_KSERVE_INGRESS": cluster.ingress,
            "MLOPS_SIGNING_KEY": str(signing_key()),
        }
        plan = Plan(postgres, "mlops_assets.definitions", storage, cluster.api, changes)
        with running_stand(folder / "stand", plan) as stand:
            yield Site(stand, storage, cluster.ingress, mlflow)


@contextmanager
def running_mlflow(log: Path, postgres: Postgres, storage: ObjectStorage) -> Iterator[str]:
    """MLflow's server as the cluster runs it; its URL."""
    port, url = find_free_port(), postgres.create("mlflow")
    arguments = [
        "server", "--host=127.0.0.1", f"--port={port}", "--workers=1",
        f"--backend-store-uri={url}", f"--default-artifact-root=s3://{BUCKET}/mlflow",
        "--no-serve-artifacts",
    ]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*with_parent("TERM"), str(Path(sys.executable).parent / "mlflow"), *arguments],
            env={
                **os.environ,
                **storage.environment,
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            },
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return bool(urlopen(f"http://127.0.0.1:{port}/health", timeout=5).status == 200)
        except OSError:
            return False

    try:
        eventually(answers, PATIENCE_SECONDS, "MLflow")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 9)
        process.wait()


@pytest.fixture(scope="module")
def platform(site: Site) -> ClusterPlatform:
    from mlops_assets.kserve.api import connect

    stand = site.stand
    api = connect(NAMESPACE, kubeconfig=Path(stand.environment["KUBECONFIG"]))
    return ClusterPlatform(stand.start_webserver(), api, stand.environment, PATIENCE_SECONDS)


def test_all_that_a_run_makes_lies_in_object_storage_and_postgresql(site: Site) -> None:
    keys = site.storage.keys()
    assert any(key.startswith("lake/") and "_delta_log" in key for key in keys), keys
    assert any(key.startswith("mlflow/") for key in keys), keys
    assert f"records/{MODEL}/inference_service.json" in keys
    (run, *_) = site.stand.instance.get_runs(
        dg.RunsFilter(job_name=JOB, statuses=[dg.DagsterRunStatus.SUCCESS])
    )
    logs = [key for key in site.storage.keys("dagster-logs/") if run.run_id in key]
    assert logs, site.storage.keys("dagster-logs/")

    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=site.mlflow, registry_uri=site.mlflow)
    (registered,) = [m for m in client.search_registered_models() if MODEL in m.name]
    champion = client.get_model_version_by_alias(registered.name, "champion")
    assert champion.tags["mlops.dagster_run_id"] == run.run_id


def test_the_service_answers_with_the_model_that_it_fetched(site: Site) -> None:
    record = site.storage.client.get_object(
        Bucket=BUCKET, Key=f"records/{MODEL}/inference_service.json"
    )
    example = json.loads(record["Body"].read())["example"]
    found = site.stand.cluster.objects.find("inferenceservices", NAMESPACE, SERVICE)
    assert found is not None
    host = found["status"]["url"].removeprefix("http://")
    body = json.dumps({"instances": example}).encode()
    headers = {"Host": host, "Content-Type": "application/json"}
    url = f"{site.ingress}/v1/models/{SERVICE}:predict"
    with urlopen(Request(url, body, headers), timeout=60) as answer:
        assert len(json.loads(answer.read())["predictions"]) == len(example)

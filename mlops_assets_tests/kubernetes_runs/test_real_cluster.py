"""The pipeline's tests on a real cluster: `pytest -n0 -m cluster` and this folder.

| variable | meaning |
|---|---|
| `KUBECONFIG` | names the cluster on which an overlay of `k8s/` runs |
| `MLOPS_TEST_WEBSERVER` | Dagster's webserver: `127.0.0.1:3000`, by `kubectl port-forward` |
| `MLOPS_TEST_NAMESPACE` | where runs are (`mlops`) |
| `MLOPS_TEST_PATIENCE_SECONDS` | longest wait for a run (1800: the first one pulls images) |
| `MLOPS_KSERVE_NAMESPACE`, `_MODE`, `_INGRESS` | as in production (`mlops-models`) |
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_graphql import DagsterGraphQLClient

from mlops_assets.kubernetes_runs.jobs_api import PODS, RUN_LABEL
from mlops_assets.resources.serving import serving_from
from mlops_assets_tests.kubernetes_runs.pipeline_contract import *  # noqa: F403

pytestmark = pytest.mark.cluster


class RealCluster:
    """A platform on a cluster, over its webserver and its API server."""

    def __init__(self) -> None:
        from mlops_assets.kserve.api import connect

        host, _, port = _setting("MLOPS_TEST_WEBSERVER").partition(":")
        self._dagster = DagsterGraphQLClient(host, port_number=int(port or 80))
        namespace = os.environ.get("MLOPS_TEST_NAMESPACE", "mlops")
        self._api = connect(namespace, kubeconfig=Path(_setting("KUBECONFIG")))
        self.patience_seconds = float(os.environ.get("MLOPS_TEST_PATIENCE_SECONDS", "1800"))

    def launch(self, job: str) -> str:
        return self._dagster.submit_job_execution(job)

    def terminate(self, run_id: str) -> None:
        self._dagster.terminate_run(run_id)

    def status(self, run_id: str) -> str:
        return self._dagster.get_run_status(run_id).value

    def story(self, run_id: str) -> str:
        return "\n".join(str((p["metadata"]["name"], p["status"])) for p in self.pods(run_id))

    def pods(self, run_id: str) -> Sequence[Any]:
        return self._api.list(PODS, f"{RUN_LABEL}={run_id}")

    def live(self, service: str) -> Mapping[str, int]:
        environment = {"MLOPS_KSERVE_NAMESPACE": "mlops-models", **os.environ}
        with dg.build_init_resource_context() as context:
            return serving_from(environment, Path()).create_resource(context).traffic(service)


@pytest.fixture(scope="module")
def platform() -> RealCluster:
    return RealCluster()


def _setting(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        pytest.fail(f"-m cluster needs {name}; see {__name__}")
    return value

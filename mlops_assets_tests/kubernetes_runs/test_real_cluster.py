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
from pathlib import Path

import pytest

from mlops_assets_tests.kubernetes_runs.cluster_platform import ClusterPlatform
from mlops_assets_tests.kubernetes_runs.pipeline_contract import *  # noqa: F403

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def platform() -> ClusterPlatform:
    from mlops_assets.kserve.api import connect

    namespace = os.environ.get("MLOPS_TEST_NAMESPACE", "mlops")
    return ClusterPlatform(
        _setting("MLOPS_TEST_WEBSERVER"),
        connect(namespace, kubeconfig=Path(_setting("KUBECONFIG"))),
        {"MLOPS_KSERVE_NAMESPACE": "mlops-models", **os.environ},
        float(os.environ.get("MLOPS_TEST_PATIENCE_SECONDS", "1800")),
    )


def _setting(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        pytest.fail(f"-m cluster needs {name}; see {__name__}")
    return value

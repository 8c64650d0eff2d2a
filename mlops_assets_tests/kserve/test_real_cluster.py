"""The contract suite of serving backends on a real cluster: `pytest -n0 -m cluster`.

| variable | meaning |
|---|---|
| `KUBECONFIG` | names the cluster, with the rights of docs/kserve.md |
| `MLOPS_TEST_MODELS` | where the packages were put that the cluster fetches: `s3://bucket/toys` |
| `MLOPS_TEST_READY_SECONDS` | longest wait for a revision (20) |
| `MLOPS_KSERVE_NAMESPACE`, `_MODE`, `_INGRESS` | as in production; the namespace is `default` |

`python -m mlops_assets_tests.kserve.test_real_cluster FOLDER` writes the packages `positive` and
`negative`. The namespace needs the ServingRuntime `mlops-predictor`.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.kserve.cluster import KServeCluster
from mlops_assets.resources.serving import KServeServingResource, serving_from
from mlops_assets.serving.backend import ServingBackend
from mlops_assets_tests.kubernetes.running import api_of_nobody
from mlops_assets_tests.serving.backend_contract import *  # noqa: F403
from mlops_assets_tests.serving.packages import write_binary_model

pytestmark = pytest.mark.cluster


@dataclass(frozen=True)
class Package:
    """A package where the cluster finds it."""

    name: str

    def as_uri(self) -> str:
        return f"{_setting('MLOPS_TEST_MODELS').rstrip('/')}/{self.name}"


def _setting(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        pytest.fail(f"-m cluster needs {name}; see {__name__}")
    return value


@pytest.fixture(scope="module")
def backend() -> Iterator[ServingBackend]:
    _setting("KUBECONFIG")
    environment = {"MLOPS_KSERVE_NAMESPACE": "default", **os.environ}
    resource = serving_from(environment, Path())
    assert isinstance(resource, KServeServingResource)
    with dg.build_init_resource_context() as context:
        yield resource.create_resource(context)


@pytest.fixture(scope="module")
def unreachable() -> ServingBackend:
    return KServeCluster(api_of_nobody())


@pytest.fixture(scope="module")
def cannot() -> frozenset[str]:
    knative = os.environ.get("MLOPS_KSERVE_MODE") == "Knative"
    return frozenset({"mirror", "begin_with_two"} if knative else {"mirror"})


@pytest.fixture(scope="session")
def positive_model() -> Package:
    return Package("positive")


@pytest.fixture(scope="session")
def negative_model() -> Package:
    return Package("negative")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    write_binary_model(folder / "positive")
    write_binary_model(folder / "negative", sign=-1.0, digest="b" * 64)

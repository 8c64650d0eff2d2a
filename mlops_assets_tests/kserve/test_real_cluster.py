"""The contract suite of serving backends on the cluster of `kubernetes/real_cluster.py`.

`make test-cluster` runs it. The namespace needs the ServingRuntime `mlops-predictor`. Where no
overlay of `k8s/` runs, `python -m mlops_assets_tests.kserve.test_real_cluster FOLDER` writes the
packages `positive` and `negative`, for `mlops-assets keys sign` and for the storage that
`MLOPS_TEST_MODELS` names.
"""

import dataclasses
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.kserve.api import PODS
from mlops_assets.kserve.cluster import KServeCluster
from mlops_assets.resources.serving import KServeServingResource, serving_from
from mlops_assets.serving.backend import ServingBackend
from mlops_assets_tests.kubernetes.job_cluster import eventually
from mlops_assets_tests.kubernetes.real_cluster import (
    RealCluster,
    named_cluster,
    serving_settings,
    toy_packages,
)
from mlops_assets_tests.kubernetes.running import api_of_nobody
from mlops_assets_tests.serving.backend_contract import *  # noqa: F403
from mlops_assets_tests.serving.backend_contract import READY_SECONDS
from mlops_assets_tests.serving.packages import write_binary_model

pytestmark = pytest.mark.cluster


@dataclass(frozen=True)
class Package:
    """A package where the cluster finds it."""

    uri: str

    def as_uri(self) -> str:
        return self.uri


@pytest.fixture(scope="module")
def cluster() -> RealCluster:
    return named_cluster()


@pytest.fixture(scope="module")
def settings(cluster: RealCluster) -> Iterator[dict[str, str]]:
    with serving_settings(cluster) as told:
        yield told


@pytest.fixture(scope="module")
def models(cluster: RealCluster) -> Iterator[str]:
    with ExitStack() as stack:
        yield os.environ.get("MLOPS_TEST_MODELS") or stack.enter_context(toy_packages(cluster))


@pytest.fixture(scope="module")
def backend(settings: dict[str, str]) -> Iterator[ServingBackend]:
    resource = serving_from(settings, Path())
    assert isinstance(resource, KServeServingResource)
    with dg.build_init_resource_context() as context:
        yield resource.create_resource(context)


@pytest.fixture(autouse=True)
def no_pods_of_the_test_before(cluster: RealCluster, settings: dict[str, str]) -> Iterator[None]:
    """Each test declares the same service; pods take up to 60 s to stop."""
    yield
    api = dataclasses.replace(cluster.api, namespace=settings["MLOPS_KSERVE_NAMESPACE"])
    of_service = "serving.kserve.io/inferenceservice=toy"
    eventually(lambda: not api.list(PODS, of_service), READY_SECONDS + 60, "the end of its pods", 1)


@pytest.fixture(scope="module")
def unreachable() -> ServingBackend:
    return KServeCluster(api_of_nobody())


@pytest.fixture(scope="module")
def cannot(settings: dict[str, str]) -> frozenset[str]:
    knative = settings.get("MLOPS_KSERVE_MODE") == "Knative"
    return frozenset({"mirror", "begin_with_two"} if knative else {"mirror"})


@pytest.fixture(scope="module")
def positive_model(models: str) -> Package:
    return Package(f"{models.rstrip('/')}/positive")


@pytest.fixture(scope="module")
def negative_model(models: str) -> Package:
    return Package(f"{models.rstrip('/')}/negative")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    write_binary_model(folder / "positive")
    write_binary_model(folder / "negative", sign=-1.0, digest="b" * 64)

"""A cluster in Knative mode passes the contract suite of serving backends."""

from collections.abc import Iterator

import pytest

from mlops_assets.kserve.cluster import ClusterSettings, KServeCluster
from mlops_assets.serving.backend import ServingBackend
from mlops_assets_tests.kubernetes.cluster import running_cluster
from mlops_assets_tests.kubernetes.running import api_of, api_of_nobody
from mlops_assets_tests.serving.backend_contract import *  # noqa: F403


@pytest.fixture(scope="module")
def backend() -> Iterator[ServingBackend]:
    with running_cluster() as cluster:
        settings = ClusterSettings(
            mode="Knative", ingress=cluster.ingress, poll_seconds=0.02, room_seconds=0.0
        )
        yield KServeCluster(api_of(cluster), settings)


@pytest.fixture(scope="module")
def unreachable() -> ServingBackend:
    return KServeCluster(api_of_nobody(), ClusterSettings(mode="Knative"))


@pytest.fixture(scope="module")
def cannot() -> frozenset[str]:
    return frozenset({"mirror", "begin_with_two"})

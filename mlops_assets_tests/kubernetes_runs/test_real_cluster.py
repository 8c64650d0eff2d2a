"""The pipeline's tests on the cluster of `kubernetes/real_cluster.py`: `make test-cluster`."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from mlops_assets_tests.kubernetes.real_cluster import named_cluster
from mlops_assets_tests.kubernetes_runs.cluster_platform import ClusterPlatform
from mlops_assets_tests.kubernetes_runs.pipeline_contract import *  # noqa: F403

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def platform() -> Iterator[ClusterPlatform]:
    cluster = named_cluster()
    with ExitStack() as open_ways:
        webserver = os.environ.get("MLOPS_TEST_WEBSERVER") or open_ways.enter_context(
            cluster.forwarded(cluster.api.namespace, "dagster-webserver", 80)
        )
        yield ClusterPlatform(
            webserver,
            cluster.api,
            {**cluster.settings(), **os.environ},
            float(os.environ.get("MLOPS_TEST_PATIENCE_SECONDS", "1800")),
        )

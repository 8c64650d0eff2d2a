"""One platform for all tests of a file; an API server for a test of its own."""

from collections.abc import Iterator

import pytest

from mlops_assets_tests.kubernetes.server import ApiServer, running_api_server
from mlops_assets_tests.kubernetes_runs.stand import Plan, Stand, running_stand
from mlops_assets_tests.postgres import running_postgres


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """PostgreSQL, a cluster, a code location and the daemon."""
    folder = tmp_path_factory.mktemp("stand")
    with running_postgres() as postgres, running_stand(folder, Plan(postgres)) as running:
        yield running


@pytest.fixture
def api() -> Iterator[ApiServer]:
    """An API server with no cluster behind it."""
    with running_api_server() as running:
        yield running

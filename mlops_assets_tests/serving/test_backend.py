"""The local gateway passes the contract suite of serving backends."""

from collections.abc import Iterator

import pytest

from mlops_assets.serving.backend import ServingBackend
from mlops_assets.serving.embedded import EmbeddedServing
from mlops_assets_tests.serving.backend_contract import *  # noqa: F403
from mlops_assets_tests.serving.running import find_free_port, running_gateway


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingBackend]:
    home = tmp_path_factory.mktemp("home")
    with running_gateway(home, find_free_port()):
        yield EmbeddedServing(home)


@pytest.fixture(scope="module")
def unreachable(tmp_path_factory: pytest.TempPathFactory) -> ServingBackend:
    return EmbeddedServing(tmp_path_factory.mktemp("nobody"), url="http://127.0.0.1:9")


@pytest.fixture(scope="module")
def cannot() -> frozenset[str]:
    return frozenset()

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.errors import PlatformError, ServingError
from mlops_assets.kserve.cluster import KServeCluster
from mlops_assets.kserve.pod_settings import PodSettings
from mlops_assets.resources.serving import (
    EmbeddedServingResource,
    KServeServingResource,
    serving_from,
)
from mlops_assets.serving.embedded import EmbeddedServing
from mlops_assets_tests.kubernetes.cluster import Cluster, running_cluster
from mlops_assets_tests.kubernetes.kubeconfig import write_kubeconfig


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as running:
        yield running


def test_this_machine_serves_unless_a_namespace_is_named(tmp_path: Path) -> None:
    made = serving_from({"MLOPS_GATEWAY_URL": "http://127.0.0.1:1"}, tmp_path)
    assert isinstance(made, EmbeddedServingResource)
    assert made.url == "http://127.0.0.1:1"
    with dg.build_init_resource_context() as context:
        assert isinstance(made.create_resource(context), EmbeddedServing)


def test_a_namespace_makes_a_cluster(tmp_path: Path) -> None:
    made = serving_from(
        {
            "MLOPS_KSERVE_NAMESPACE": "models",
            "MLOPS_KSERVE_MODE": "Knative",
            "MLOPS_KSERVE_INGRESS": "http://127.0.0.1:2",
            "MLOPS_KSERVE_ROOM_SECONDS": "300",
        },
        tmp_path,
    )
    assert isinstance(made, KServeServingResource)
    assert (made.namespace, made.mode, made.ingress) == ("models", "Knative", "http://127.0.0.1:2")
    assert made.room_seconds == 300


@pytest.mark.parametrize(
    ("name", "value"),
    [("MLOPS_KSERVE_MODE", "Serverless"), ("MLOPS_KSERVE_ROOM_SECONDS", "5m")],
)
def test_a_setting_that_is_none_is_refused_when_it_is_read(
    tmp_path: Path, name: str, value: str
) -> None:
    with pytest.raises(PlatformError, match=f"{name}: found '{value}', allowed"):
        serving_from({"MLOPS_KSERVE_NAMESPACE": "models", name: value}, tmp_path)


def test_a_kubeconfig_leads_to_its_cluster(cluster: Cluster, tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "config", cluster.api.url)
    made = KServeServingResource(namespace="default", kubeconfig=str(path))
    with dg.build_init_resource_context() as context:
        backend = made.create_resource(context)
    assert isinstance(backend, KServeCluster)
    assert backend.status("nobody") is None
    assert backend.capabilities.release == "KServe 0.21 or newer"


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    made = KServeServingResource(namespace="default", kubeconfig=str(tmp_path / "gone"))
    with (
        dg.build_init_resource_context() as context,
        pytest.raises(ServingError, match="gone cannot be used"),
    ):
        made.create_resource(context)


def test_an_account_brings_what_pods_are_besides(tmp_path: Path) -> None:
    made = serving_from(
        {
            "MLOPS_KSERVE_NAMESPACE": "models",
            "MLOPS_KSERVE_SERVICE_ACCOUNT": "predictor",
            "MLOPS_KSERVE_PRIORITY_CLASS": "serving",
        },
        tmp_path,
    )
    assert isinstance(made, KServeServingResource)
    assert made.pod_settings() == PodSettings(
        service_account="predictor", priority_class="serving", storage_container=None
    )


def test_a_priority_without_an_account_is_refused(tmp_path: Path) -> None:
    environment = {"MLOPS_KSERVE_NAMESPACE": "models", "MLOPS_KSERVE_PRIORITY_CLASS": "serving"}
    with pytest.raises(PlatformError, match="MLOPS_KSERVE_SERVICE_ACCOUNT: missing"):
        serving_from(environment, tmp_path)

"""The ways into a real cluster, tried on an emulated one whose port-forwards are a script."""

import base64
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_assets.modeling.signing import SIGNATURE_FILE, TRUSTED, read_trusted_keys
from mlops_assets_tests.kubernetes.real_cluster import (
    RealCluster,
    named_cluster,
    serving_settings,
    toy_packages,
)
from mlops_assets_tests.kubernetes.running import api_at
from mlops_assets_tests.kubernetes.server import ApiServer, running_api_server
from mlops_assets_tests.object_storage import BUCKET, ObjectStorage, running_object_storage
from mlops_assets_tests.serving.keys import signing_key

KUBECTL = """#!{python}
import sys, time
words = sys.argv[1:]
assert words[0] == "port-forward", words
asked = (words[1], words[3], words[4])  # beside the address to listen at
for way, port in {ways}.items():
    if way == asked:
        print("Forwarding from 127.0.0.1:%s -> 8333" % port, flush=True)
        time.sleep(600)
sys.exit("error: services not found: %s" % words)
"""


@pytest.fixture(scope="module")
def storage() -> Iterator[ObjectStorage]:
    with running_object_storage() as running:
        yield running


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with running_api_server() as running:
        yield running


@pytest.fixture
def cluster(server: ApiServer, storage: ObjectStorage, tmp_path: Path) -> RealCluster:
    """A cluster with the platform's settings, whose Services lead to this machine."""
    objects = server.objects
    told = {
        "MLOPS_BUCKET": BUCKET,
        "AWS_ENDPOINT_URL": "http://object-storage.mlops.svc:8333",
        "AWS_REGION": "us-east-1",
        "MLOPS_KSERVE_NAMESPACE": "mlops-models",
        "MLOPS_KSERVE_INGRESS": "http://model-gateway.envoy-gateway-system",
    }
    source = [{"configMapRef": {"name": "mlops-platform-2"}}, {"secretRef": {"name": "x"}}]
    template = {"spec": {"containers": [{"name": "dagster", "envFrom": source}]}}
    for namespace in ("mlops", "envoy-gateway-system"):
        objects.create(objects.kind("namespaces"), "", {"metadata": {"name": namespace}})
    for kind, namespace, name, more in (
        ("deployments", "mlops", "dagster-code-location", {"spec": {"template": template}}),
        ("configmaps", "mlops", "mlops-platform-1", {"data": {"MLOPS_BUCKET": "former"}}),
        ("configmaps", "mlops", "mlops-platform-2", {"data": told}),
        ("services", "mlops", "object-storage", {}),
        ("services", "envoy-gateway-system", "model-gateway", {}),
        ("secrets", "mlops", "mlops-signing-key", {"data": {
            "signing.pem": base64.b64encode(signing_key().read_bytes()).decode()
        }}),
        ("secrets", "mlops", "object-storage", {"data": {
            key: base64.b64encode(b"test").decode()
            for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        }}),
    ):  # fmt: skip
        objects.put(kind, namespace, {"metadata": {"name": name}, **more})
    ways = {
        ("--namespace=mlops", "service/object-storage", ":8333"): storage.url.rpartition(":")[2],
        ("--namespace=envoy-gateway-system", "service/model-gateway", ":80"): 40123,
    }
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(KUBECTL.format(python=sys.executable, ways=ways))
    kubectl.chmod(0o755)
    return RealCluster(replace(api_at(server.url), namespace="mlops"), kubectl)


def test_packages_are_where_predictors_may_read_signed_by_the_clusters_key_and_then_gone(
    cluster: RealCluster, storage: ObjectStorage, tmp_path: Path
) -> None:
    with toy_packages(cluster) as uri:
        assert uri.startswith(f"s3://{BUCKET}/mlflow/")
        prefix = uri.removeprefix(f"s3://{BUCKET}/")
        for name in ("positive", "negative"):
            (tmp_path / name).mkdir()
            for key in storage.keys(f"{prefix}/{name}/"):
                file = tmp_path / name / Path(key).name
                storage.client.download_file(BUCKET, key, str(file))
            keys = read_trusted_keys(signing_key().parent / TRUSTED)
            assert (tmp_path / name / SIGNATURE_FILE).exists()
            keys.require(tmp_path / name, (tmp_path / name / "mlops_manifest.json").read_bytes())
    assert storage.keys() == []


def test_services_are_reached_as_the_platform_is_told_unless_a_variable_says_otherwise(
    cluster: RealCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLOPS_KSERVE_INGRESS", raising=False)
    with serving_settings(cluster) as told:
        assert told["MLOPS_KSERVE_NAMESPACE"] == "mlops-models"
        assert told["MLOPS_KSERVE_INGRESS"] == "http://127.0.0.1:40123"
    monkeypatch.setenv("MLOPS_KSERVE_INGRESS", "http://models.example.com")
    with serving_settings(cluster) as told:
        assert told["MLOPS_KSERVE_INGRESS"] == "http://models.example.com"


@pytest.mark.parametrize("url", ["https://example.com", "http://10.0.0.1:8080"])
def test_what_is_no_service_of_the_cluster_is_reached_as_it_stands(
    cluster: RealCluster, url: str
) -> None:
    with cluster.reached(url) as found:
        assert found == url


def test_a_way_that_does_not_open_is_told_in_kubectls_words(cluster: RealCluster) -> None:
    words = "no way: error: services not found"
    with pytest.raises(pytest.fail.Exception, match=words), cluster.forwarded("mlops", "x", 1):
        pass


def test_without_a_platform_its_packages_are_asked_for(server: ApiServer) -> None:
    bare = RealCluster(api_at(server.url))
    with pytest.raises(pytest.fail.Exception, match="set MLOPS_TEST_MODELS"), toy_packages(bare):
        pass
    with serving_settings(bare) as told:
        assert told["MLOPS_KSERVE_NAMESPACE"] == "default"


def test_no_cluster_is_met_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(pytest.fail.Exception, match="needs KUBECONFIG"):
        named_cluster()

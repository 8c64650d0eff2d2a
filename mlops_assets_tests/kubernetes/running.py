"""Our client of an emulated cluster, as fast as a test wants it."""

from typing import Any

from mlops_assets.kserve.api import ClusterApi, build_api
from mlops_assets_tests.kubernetes.cluster import Cluster


def api_of(cluster: Cluster, timeout_seconds: float = 30.0, user: str = "") -> ClusterApi:
    """The namespace `default`, as a user; the first retry comes after 10 ms."""
    return api_at(cluster.api.url, timeout_seconds, user)


def api_of_nobody() -> ClusterApi:
    """An address at which no API server listens."""
    return api_at("http://127.0.0.1:9")


def api_at(url: str, timeout_seconds: float = 30.0, user: str = "") -> ClusterApi:
    """The namespace `default` of the API server at an address."""
    from kubernetes import client

    settings = client.Configuration(host=url)
    if user:
        settings.api_key = {"authorization": f"Bearer {user}"}
    api = build_api(settings, "default", timeout_seconds)
    api.first_pause_seconds = 0.01
    return api


def bare_service(name: str, **annotations: str) -> dict[str, Any]:
    """An InferenceService that is there and has nothing to serve yet."""
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "annotations": {"serving.kserve.io/deploymentMode": "Standard", **annotations},
        },
        "spec": {
            "predictor": {"name": "v1", "model": {"storageUri": "file:///nothing", "args": []}}
        },
    }

import json
from collections.abc import Iterator

import pytest

from mlops_assets.cluster_jobs.dashboard_links import CONFIG_MAP, NAMESPACE, add_links
from mlops_assets.errors import PlatformError
from mlops_assets.kserve.api import CONFIG_MAPS, ClusterApi, build_api
from mlops_assets_tests.kubernetes.server import ApiServer, running_api_server

LINKS = {"Dagster": "https://dagster.example.com", "MLflow": "https://mlflow.example.com"}
MENU: dict[str, object] = {
    "menuLinks": [{"text": "Notebooks"}],
    "externalLinks": [{"text": "Wiki", "url": "w"}],
}


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with running_api_server() as running:
        namespaces = running.objects.kind("namespaces")
        running.objects.create(namespaces, "", {"metadata": {"name": NAMESPACE}})
        yield running


def api_of(server: ApiServer, menu: dict[str, object] | None = MENU) -> ClusterApi:
    """The namespace of Kubeflow, with its dashboard's ConfigMap unless there is none."""
    from kubernetes import client

    api = build_api(client.Configuration(host=server.url), NAMESPACE, 30.0)
    if menu is not None:
        data = {"links": json.dumps(menu), "settings": "{}"}
        api.create(CONFIG_MAPS, {"metadata": {"name": CONFIG_MAP}, "data": data})
    return api


def links(api: ClusterApi) -> dict[str, str]:
    found = api.get(CONFIG_MAPS, CONFIG_MAP)
    assert found is not None
    assert found["data"]["settings"] == "{}"
    menu = json.loads(found["data"]["links"])
    assert menu["menuLinks"] == MENU["menuLinks"]
    return {link["text"]: link["url"] for link in menu["externalLinks"]}


def test_two_links_are_added_once_and_all_else_stays(server: ApiServer) -> None:
    api = api_of(server)
    assert add_links(api, LINKS)
    assert not add_links(api, LINKS)
    assert links(api) == {"Wiki": "w", **LINKS}


def test_a_new_address_replaces_the_former(server: ApiServer) -> None:
    api = api_of(server)
    add_links(api, {"Dagster": "https://former.example.com"})
    add_links(api, LINKS)
    assert links(api) == {"Wiki": "w", **LINKS}


def test_a_cluster_without_a_dashboard_is_named(server: ApiServer) -> None:
    with pytest.raises(PlatformError, match="kubeflow/centraldashboard-config: install Kubeflow"):
        add_links(api_of(server, None), LINKS)

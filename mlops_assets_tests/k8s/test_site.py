"""What is a site's own stands in its site/ once, and reaches every place that needs it."""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from mlops_assets_tests.k8s.edges import edges_of
from mlops_assets_tests.k8s.made_pods import predictor_pod, run_pod, settings_of
from mlops_assets_tests.k8s.rendering import (
    FOLDER,
    OVERLAYS,
    Object,
    Pod,
    label_of,
    pods_of,
    read_objects,
    render,
)

SITES = ("staging", "production")
_NEIGHBOURS = ("10.0.0.1", "100.64.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254")
"""Addresses of networks that a cluster stands in; the last one gives a node's keys away."""
_STRANGER = "203.0.113.1"
_URLS = ("MLOPS_DAGSTER_UI_URL", "MLOPS_MLFLOW_UI_URL", "MLOPS_GROUND_TRUTH_URL")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_listener_with_tls_has_a_host_name_and_a_certificate_of_its_own(overlay: str) -> None:
    """By the host name of a listener cert-manager makes its certificate; without one, none."""
    certificates = []
    for gateway in _of_kind(render(overlay), "Gateway"):
        secured = [one for one in gateway["spec"]["listeners"] if "tls" in one]
        issuer = "cert-manager.io/cluster-issuer"
        assert not secured or issuer in gateway["metadata"].get("annotations", {})
        for listener in secured:
            assert listener["hostname"], f"{label_of(gateway)}: {listener['name']}"
            certificates += [each["name"] for each in listener["tls"]["certificateRefs"]]
    assert len(certificates) == len(set(certificates))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_route_is_of_a_listener_with_its_host_name_and_each_listener_has_a_route(
    overlay: str,
) -> None:
    objects = render(overlay)
    listeners = dict(_listeners(objects))
    routed = set()
    for route in _of_kind(objects, "HTTPRoute"):
        for parent in route["spec"]["parentRefs"]:
            name = parent["name"], parent["sectionName"]
            routed.add(name)
            host = listeners[name].get("hostname")
            assert route["spec"].get("hostnames", []) == ([host] if host else []), label_of(route)
    assert routed == listeners.keys()


@pytest.mark.parametrize("site", SITES)
def test_hosts_are_those_of_the_addresses_that_people_are_told(site: str) -> None:
    settings = settings_of(site)
    told = {urlsplit(settings[name]).hostname for name in _URLS}
    assert told == {listener["hostname"] for _, listener in _listeners(render(site))}
    allowed = settings["MLFLOW_ALLOWED_HOSTS"].split(",")
    assert allowed == ["mlflow", "mlflow:5000", urlsplit(settings["MLOPS_MLFLOW_UI_URL"]).hostname]


@pytest.mark.parametrize("site", SITES)
def test_models_are_fetched_from_the_region_of_the_site_which_stands_in_no_component(
    site: str,
) -> None:
    settings = settings_of(site)
    assert settings["AWS_DEFAULT_REGION"] == settings["AWS_REGION"]
    (secret,) = (
        content
        for content in _of_kind(render(site), "ExternalSecret")
        if content["metadata"]["name"] == "object-storage-read"
    )
    annotations = secret["spec"]["target"]["template"]["metadata"]["annotations"]
    assert annotations["serving.kserve.io/s3-region"] == settings["AWS_REGION"]
    files = (path for path in (FOLDER / "components").rglob("*") if path.is_file())
    assert [path for path in files if settings["AWS_REGION"] in path.read_text()] == []


@pytest.mark.parametrize("site", SITES)
def test_a_site_narrows_who_is_reached_to_the_addresses_that_it_names(
    site: str, tmp_path: Path
) -> None:
    """Policies add up: one that is wide makes the others of the same pods void."""
    pods = [*pods_of(render(site)), run_pod(site, tmp_path), predictor_pod(site)]
    for pod in pods:
        found = [address for address in _NEIGHBOURS if _may_reach(render(site), pod, address)]
        assert found == [], pod.owner
    outside = {pod.owner for pod in pods if _may_reach(render(site), pod, _STRANGER)}
    assert outside == {p.owner for p in pods if "mlops-assets/uses-outside" in p.labels}


def test_without_a_sites_addresses_object_storage_is_any_public_one(tmp_path: Path) -> None:
    path = FOLDER / "components" / "external-object-storage" / "network.yaml"
    policies = read_objects(path.read_text())
    for pod in (run_pod("production", tmp_path), predictor_pod("production")):
        reached = [each for each in (*_NEIGHBOURS, _STRANGER) if _may_reach(policies, pod, each)]
        assert reached == [_STRANGER], pod.owner


def _may_reach(objects: Sequence[Object], pod: Pod, address: str) -> bool:
    """Whether any policy lets a pod reach an address outside of the cluster, on any port."""
    blocks = (
        edge.peer["ipBlock"]
        for edge in edges_of(objects)
        if edge.direction == "egress" and edge.fits(pod) and "ipBlock" in edge.peer
    )
    return any(
        ip_address(address) in ip_network(block["cidr"])
        and not any(ip_address(address) in ip_network(one) for one in block.get("except", ()))
        for block in blocks
    )


def _of_kind(objects: Sequence[Object], kind: str) -> Iterator[Object]:
    return (content for content in objects if content["kind"] == kind)


def _listeners(objects: Sequence[Object]) -> Iterator[tuple[tuple[str, str], Mapping[str, Any]]]:
    """The listeners of all Gateways, by the names of both."""
    for gateway in _of_kind(objects, "Gateway"):
        for listener in gateway["spec"]["listeners"]:
            yield (gateway["metadata"]["name"], listener["name"]), listener

"""What is a site's own stands in its site/ once, and reaches every place that needs it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest

from mlops_assets_tests.k8s.made_pods import settings_of
from mlops_assets_tests.k8s.rendering import OVERLAYS, Object, label_of, render

SITES = ("staging", "production")
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


def _of_kind(objects: Sequence[Object], kind: str) -> Iterator[Object]:
    return (content for content in objects if content["kind"] == kind)


def _listeners(objects: Sequence[Object]) -> Iterator[tuple[tuple[str, str], Mapping[str, Any]]]:
    """The listeners of all Gateways, by the names of both."""
    for gateway in _of_kind(objects, "Gateway"):
        for listener in gateway["spec"]["listeners"]:
            yield (gateway["metadata"]["name"], listener["name"]), listener

"""What a cluster can do is read from it, and what it cannot is refused with the reason."""

from pathlib import Path

import pytest

from mlops_assets.errors import ServingError
from mlops_assets.kserve.capabilities import (
    Capabilities,
    Mode,
    read_capabilities,
    require_mode,
    require_shares,
)
from mlops_assets_tests.kserve.site import running_site
from mlops_assets_tests.kubernetes.faults import Fault
from mlops_assets_tests.kubernetes.running import api_of
from mlops_assets_tests.kubernetes.server import running_api_server
from mlops_assets_tests.serving.running import toy_manifest, with_canary

NEW = frozenset({"predictor", "canary", "tracing"})
FIRST = frozenset({"predictor", "canary"})
OLD = frozenset({"predictor"})


@pytest.mark.parametrize(
    ("kserve", "with_schema", "release"),
    [
        ("0.21", True, "KServe 0.21 or newer"),
        ("0.20", True, "KServe 0.20"),
        ("0.18", True, "KServe older than 0.20"),
        ("0.21", False, "a KServe whose CRD has no schema"),
    ],
)
def test_the_release_is_read_from_the_schema(kserve: str, with_schema: bool, release: str) -> None:
    with running_site(kserve=kserve, with_schema=with_schema, gateway_api=False) as site:
        found = read_capabilities(site.api)
    assert (found.release, found.gateway_api, found.knative) == (release, False, True)


def test_a_cluster_without_kserve_is_told_apart_from_one_that_does_not_answer() -> None:
    with running_api_server() as server, running_site() as site:
        api = site.api
        api.client.configuration.host = server.url
        with pytest.raises(ServingError, match="this cluster has no KServe"):
            read_capabilities(api)
        path = "openapi/v3/apis/serving.kserve.io/v1beta1"
        site.cluster.api.faults.order(Fault("get", path, 503, times=4))
        with pytest.raises(ServingError, match="503"):
            read_capabilities(api_of(site.cluster))


@pytest.mark.parametrize(
    ("found", "mode", "missing"),
    [
        (Capabilities(NEW, True, False), "Standard", None),
        (Capabilities(FIRST, False, False), "Standard", None),
        (Capabilities(OLD, True, True), "Standard", "needs KServe 0.21.*older than 0.20"),
        (Capabilities(None, True, True), "Standard", "whose CRD has no schema.*full CRDs"),
        (Capabilities(OLD, False, True), "Knative", None),
        (Capabilities(NEW, True, False), "Knative", "needs Knative Serving.*use Standard"),
    ],
)
def test_a_mode_needs_what_replaces_one_version_by_the_next(
    found: Capabilities, mode: Mode, missing: str | None
) -> None:
    if missing is None:
        require_mode(found, mode)
        return
    with pytest.raises(ServingError, match=missing):
        require_mode(found, mode)


@pytest.mark.parametrize(
    ("found", "mode", "n_canaries", "missing"),
    [
        (Capabilities(NEW, True, False), "Standard", 3, None),
        (Capabilities(FIRST, False, False), "Standard", 0, None),
        (Capabilities(NEW, False, True), "Standard", 1, "plain Ingress sends all requests"),
        (Capabilities(FIRST, True, True), "Standard", 1, "no effect on the router.*KServe 0.20"),
        (Capabilities(OLD, False, True), "Knative", 1, None),
        (Capabilities(NEW, True, True), "Knative", 2, "between two revisions, found 3"),
    ],
)
def test_shares_need_a_router_that_follows_them(
    found: Capabilities, mode: Mode, n_canaries: int, missing: str | None
) -> None:
    if missing is None:
        require_shares(found, mode, n_canaries)
        return
    with pytest.raises(ServingError, match=missing):
        require_shares(found, mode, n_canaries)


def test_without_gateway_api_versions_still_follow_each_other(
    positive_model: Path, negative_model: Path
) -> None:
    with running_site(gateway_api=False) as site:
        first = site.live(positive_model)
        second = toy_manifest(negative_model, 2, digest="b" * 64)
        site.client().apply(second)
        assert site.client().wait_ready("toy", 2, 60.0).traffic == {"v2": 100}
        with pytest.raises(ServingError, match="plain Ingress"):
            site.client().apply(with_canary(second, first, 5))
        told = site.client().declaration("toy")
        assert told is not None
        assert told.manifest == second

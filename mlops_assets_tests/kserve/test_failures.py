"""A version that cannot start is told within a second, with its last words; what served goes on."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import ServingError
from mlops_assets.kserve.capabilities import Mode
from mlops_assets.kserve.cluster import KServeCluster
from mlops_assets_tests.kserve.site import Site, running_site
from mlops_assets_tests.kubernetes.faults import Fault
from mlops_assets_tests.kubernetes.workloads import Outcome
from mlops_assets_tests.serving.backend_contract import POSITIVE
from mlops_assets_tests.serving.running import toy_manifest, with_canary

MODES: tuple[Mode, ...] = ("Standard", "Knative")


@pytest.fixture(scope="module", params=MODES)
def module_site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with running_site(request.param) as made:
        yield made


@pytest.fixture
def site(module_site: Site) -> Iterator[Site]:
    yield module_site
    module_site.clean()


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("crash_loop", "keeps ending: kserve-container ended with code 2: .*the model is no model"),
        ("out_of_memory", "memory limit is too small for it .OOMKilled."),
        ("image_pull", "image cannot be pulled: Back-off pulling image"),
        ("storage_initializer", "the model was not fetched: .*No model found in s3://models/7"),
        ("no_room", "no node has room for it: 0/3 nodes are available: 3 Insufficient memory"),
        ("quota", "its pods are refused: .*exceeded quota: memory"),
    ],
)
def test_a_version_that_cannot_start_fails_at_once_and_the_old_one_serves(
    site: Site, positive_model: Path, negative_model: Path, outcome: Outcome, words: str
) -> None:
    site.live(positive_model)
    site.cluster.order("v2", outcome)
    backend = site.client()
    backend.apply(toy_manifest(negative_model, 2, digest="b" * 64))
    started = time.monotonic()
    with pytest.raises(ServingError, match=f"revision v2 failed: .*{words}.*v1 still serves"):
        backend.wait_ready("toy", 2, 20.0)
    assert time.monotonic() - started < 5
    assert {name: share for name, share in backend.traffic("toy").items() if share} == {"v1": 100}
    assert backend.predict("toy", [POSITIVE])["predictions"] == [1]


def test_one_that_recovers_takes_over_with_no_further_word(
    site: Site, positive_model: Path, negative_model: Path
) -> None:
    site.live(positive_model)
    site.cluster.order("v2", "image_pull")
    backend = site.client()
    backend.apply(toy_manifest(negative_model, 2, digest="b" * 64))
    with pytest.raises(ServingError, match="image cannot be pulled"):
        backend.wait_ready("toy", 2, 5.0)
    site.cluster.order("v2", "run")
    assert backend.wait_ready("toy", 2, 60.0).traffic == {"v2": 100}


def test_one_that_never_answers_is_waited_for_in_vain(
    site: Site, positive_model: Path, negative_model: Path
) -> None:
    site.live(positive_model)
    site.cluster.order("v2", "never_ready")
    backend = site.client()
    backend.apply(toy_manifest(negative_model, 2, digest="b" * 64))
    with pytest.raises(
        ServingError, match=r"not ready in 0.3 s: .*v2 is starting.*v1 still serves"
    ):
        backend.wait_ready("toy", 2, 0.3)
    assert backend.predict("toy", [POSITIVE])["predictions"] == [1]


def silent(manifest: dict[str, Any]) -> dict[str, Any]:
    """A version whose container leaves no message when it ends. A canary takes over what it does
    not say from the stable one, so both must be."""
    del manifest["spec"]["predictor"]["model"]["terminationMessagePolicy"]
    return manifest


def crash_silently(site: Site, positive: Path, negative: Path) -> KServeCluster:
    """A second version that crash-loops without a message, beside the first one."""
    backend = site.client()
    backend.apply(silent(toy_manifest(positive)))
    backend.wait_ready("toy", 1, 60.0)
    site.cluster.order("v2", "crash_loop")
    backend.apply(silent(toy_manifest(negative, 2, digest="b" * 64)))
    site.cluster.settle()
    site.cluster.api.calls.clear()
    return backend


def test_a_container_that_left_no_message_is_asked_for_its_log(
    site: Site, positive_model: Path, negative_model: Path
) -> None:
    backend = crash_silently(site, positive_model, negative_model)
    with pytest.raises(ServingError, match="ended with code 2: ValueError: the model is no model"):
        backend.wait_ready("toy", 2, 5.0)
    assert "pods/log" in {call.resource for call in site.cluster.api.calls}


@pytest.mark.parametrize("code", [400, 403, 404])
def test_a_log_that_is_gone_hides_nothing_of_the_service(
    site: Site, positive_model: Path, negative_model: Path, code: int
) -> None:
    """The kubelet forgets logs, and pods end between two calls."""
    backend = crash_silently(site, positive_model, negative_model)
    site.cluster.api.faults.order(Fault("get", "pods/log", code, times=99))
    status = backend.status("toy")
    assert status is not None
    assert (status.phase, status.traffic["v1"]) == ("failed", 100)
    assert "ended with code 2: (its log cannot be read: GET" in status.reason


def test_a_revision_that_flaps_is_told_as_it_is(site: Site, positive_model: Path) -> None:
    site.live(positive_model)
    backend = site.client()

    def phase() -> str:
        status = backend.status("toy")
        assert status is not None
        return status.revisions[0].phase

    seen = []
    for outcome in ("never_ready", "run", "crash_loop", "run"):
        site.cluster.order("v1", outcome)
        seen.append(phase())
    assert seen == ["starting", "ready", "failed", "ready"]


def test_a_controller_that_is_late_does_not_make_an_old_ready_count(
    site: Site, positive_model: Path, negative_model: Path
) -> None:
    site.live(positive_model)
    site.cluster.paused.set()
    backend = site.client()
    backend.apply(toy_manifest(negative_model, 2, digest="b" * 64))
    with pytest.raises(ServingError, match="KServe has not made its Deployment yet"):
        backend.wait_ready("toy", 2, 0.2)
    site.cluster.paused.clear()
    site.cluster.order("v2", "run")
    assert backend.wait_ready("toy", 2, 60.0).ready_revision == "v2"


def block(site: Site) -> None:
    """KServe says that it has no runtime for the service, and then nothing more."""
    site.cluster.settle()
    site.cluster.paused.set()
    failure = {"reason": "NoSupportingRuntime", "message": "No runtime found"}
    said = {"modelStatus": {"transitionStatus": "InvalidSpec", "lastFailureInfo": failure}}
    objects, status = site.cluster.objects, site.service()["status"]
    kind = objects.kind("inferenceservices")
    objects.set_status(kind, "default", "toy", {**status, **said})


def test_a_service_for_which_kserve_has_no_runtime_is_told_so(
    site: Site, positive_model: Path, negative_model: Path
) -> None:
    site.live(positive_model)
    block(site)
    backend = site.client(settle_seconds=0.0)
    backend.apply(toy_manifest(negative_model, 2, digest="b" * 64))
    with pytest.raises(ServingError, match="v2 failed: NoSupportingRuntime: No runtime found"):
        backend.wait_ready("toy", 2, 60.0)


def test_what_kserve_said_of_the_former_declaration_does_not_fail_the_new_one(
    site: Site, positive_model: Path, negative_model: Path
) -> None:
    site.live(positive_model)
    block(site)
    backend = site.client(settle_seconds=60.0)
    backend.apply(toy_manifest(negative_model, 2, digest="b" * 64))
    with pytest.raises(ServingError, match=r"not ready in 0.1 s: .*NoSupportingRuntime"):
        backend.wait_ready("toy", 2, 0.1)  # nobody has read it yet
    site.cluster.paused.clear()
    site.cluster.order("v2", "run")
    assert backend.wait_ready("toy", 2, 60.0).ready_revision == "v2"


def test_an_outage_of_the_api_server_does_not_fail_a_healthy_version(
    site: Site, positive_model: Path
) -> None:
    backend = site.client()
    backend.apply(toy_manifest(positive_model))
    site.cluster.api.faults.order(Fault("get", "inferenceservices", 503, times=9))
    site.cluster.api.faults.order(Fault("list", "pods", 0, times=2))
    assert backend.wait_ready("toy", 1, 60.0).phase == "ready"


def test_a_missing_right_is_no_outage(site: Site, positive_model: Path) -> None:
    backend = site.client()
    backend.apply(toy_manifest(positive_model))
    site.cluster.api.faults.denied.add(("list", "pods"))
    with pytest.raises(ServingError, match=r'403 .*cannot list resource "pods"'):
        backend.wait_ready("toy", 1, 60.0)


def test_what_the_webhook_refuses_changes_nothing(site: Site, positive_model: Path) -> None:
    before = site.live(positive_model)
    renamed = toy_manifest(positive_model, 2)
    renamed["spec"]["predictor"]["maxReplicas"] = 2
    site.cluster.objects.admission.append(_refuse_two)
    try:
        with pytest.raises(ServingError, match='webhook "two" denied the request'):
            site.client().apply(renamed)
    finally:
        site.cluster.objects.admission.remove(_refuse_two)
    told = site.client().declaration("toy")
    assert told is not None
    assert told.manifest == before


def _refuse_two(kind: Any, new: dict[str, Any], old: Any) -> None:
    from mlops_assets_tests.kubernetes.refusal import Refusal

    if kind.plural == "inferenceservices" and "v2" in str(new["spec"]):
        raise Refusal(403, 'admission webhook "two" denied the request: no second one')


def test_an_unready_canary_leaves_its_share_to_the_stable_revision(
    site: Site, positive_model: Path, negative_model: Path
) -> None:
    stable = site.live(positive_model)
    site.cluster.order("v2", "never_ready")
    backend = site.client()
    backend.apply(with_canary(stable, toy_manifest(negative_model, 2, digest="b" * 64), 50))
    site.cluster.settle()
    answers = {backend.predict("toy", [POSITIVE])["predictions"][0] for _ in range(20)}
    assert answers == {1}
    status = backend.status("toy")
    assert status is not None
    assert status.phase == "pending"

"""Steps on a cluster: nothing restarts, nothing is lost, others' edits are seen."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import FieldConflictError, ServingError
from mlops_assets.kserve.capabilities import Mode
from mlops_assets.kserve.manifest import ENTITY_KEY, LOG_RETENTION
from mlops_assets.serving.prediction_log.records import PROBE_PREFIX
from mlops_assets_tests.kserve.site import Site, running_site
from mlops_assets_tests.kubernetes.faults import Fault
from mlops_assets_tests.kubernetes.running import bare_service
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


@pytest.fixture
def second(negative_model: Path) -> dict[str, Any]:
    return toy_manifest(negative_model, 2, digest="b" * 64)


def shares(found: Any) -> dict[str, int]:
    return {name: share for name, share in found.items() if share}


def test_a_rollout_step_by_step_restarts_no_pod(
    site: Site, positive_model: Path, second: dict[str, Any]
) -> None:
    first = site.live(positive_model)
    backend = site.client()
    backend.apply(with_canary(first, second))
    backend.wait_ready("toy", 1, 60.0)
    before = (site.pods("v1"), site.pods("v2"))
    assert all(before)
    for share in (5, 25, 50, 100, 0, 100):
        backend.set_traffic("toy", {"v1": 100 - share, "v2": share})
        site.cluster.settle()
        assert shares(backend.traffic("toy")) == shares({"v1": 100 - share, "v2": share})
        assert (site.pods("v1"), site.pods("v2")) == before
    backend.apply(with_canary(second, first))  # promoted; the former one stays to go back to
    backend.set_traffic("toy", {"v2": 100})
    backend.wait_ready("toy", 2, 60.0)
    assert (site.pods("v1"), site.pods("v2")) == before
    backend.set_traffic("toy", {"v1": 100})
    site.cluster.settle()
    assert shares(backend.traffic("toy")) == {"v1": 100}
    assert backend.predict("toy", [POSITIVE])["predictions"] == [1]
    assert (site.pods("v1"), site.pods("v2")) == before


@pytest.mark.parametrize("annotation", [ENTITY_KEY, LOG_RETENTION])
def test_what_only_one_machine_reads_is_not_sent_to_the_pods(
    site: Site, positive_model: Path, annotation: str
) -> None:
    declared = site.live(positive_model)
    before = site.pods("v1")
    keyed = {**declared["metadata"]["annotations"], annotation: "86400"}
    again = {**declared, "metadata": {**declared["metadata"], "annotations": keyed}}
    site.client().apply(again)
    site.client().wait_ready("toy", 1, 60.0)
    site.cluster.settle()
    assert site.pods("v1") == before
    told = site.client().declaration("toy")
    assert told is not None
    assert told.manifest == again


def test_a_version_that_comes_in_the_middle_leaves_the_one_with_the_traffic_until_it_is_ready(
    site: Site, positive_model: Path, second: dict[str, Any], negative_model: Path
) -> None:
    first = site.live(positive_model)
    backend = site.client()
    backend.apply(with_canary(first, second))
    backend.wait_ready("toy", 1, 60.0)
    backend.set_traffic("toy", {"v2": 100})
    site.cluster.settle()
    site.cluster.order("v3", "never_ready")
    third = toy_manifest(negative_model, 3, digest="b" * 64)
    third["spec"]["predictor"]["model"]["storageUri"] = positive_model.as_uri()
    third["spec"]["predictor"]["model"]["args"] = ["--model-version=3"]
    backend.apply(third)
    site.cluster.settle()
    assert shares(backend.traffic("toy")) == {"v2": 100}
    site.cluster.order("v3", "run")
    backend.wait_ready("toy", 3, 60.0)
    assert backend.predict("toy", [POSITIVE])["model_version"] == "3"


def test_a_bad_canary_that_is_superseded_gets_no_more_than_it_had(
    site: Site, positive_model: Path, second: dict[str, Any]
) -> None:
    first = site.live(positive_model)
    backend = site.client()
    backend.apply(with_canary(first, second, 10))
    backend.wait_ready("toy", 1, 60.0)
    site.cluster.order("v3", "never_ready")
    third = toy_manifest(positive_model, 3)
    third["spec"]["predictor"]["model"]["storageUri"] += "/"
    backend.apply(third)
    site.cluster.settle()
    assert shares(backend.traffic("toy")) == {"v1": 100}
    site.cluster.order("v3", "run")
    assert backend.wait_ready("toy", 3, 60.0).traffic == {"v3": 100}


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("after_write", [False, True])
def test_a_process_that_is_killed_at_any_write_leaves_what_the_next_one_finishes(
    site: Site,
    positive_model: Path,
    second: dict[str, Any],
    nth: int,
    after_write: bool,
) -> None:
    site.live(positive_model)
    writes = [("patch", "inferenceservices"), ("update", "configmaps")]
    verb, resource = [writes[0], writes[1], writes[0]][nth - 1]
    if nth == 3:  # the second patch: the first one only tries
        site.cluster.api.faults.order(Fault(verb, resource, 200))
    site.cluster.api.faults.order(Fault(verb, resource, 418, after_write=after_write))
    with pytest.raises(ServingError, match="418"):
        site.client().apply(second)
    assert site.client().predict("toy", [POSITIVE])["predictions"] in ([0], [1])
    backend = site.client()
    backend.apply(second)
    assert backend.wait_ready("toy", 2, 60.0).traffic == {"v2": 100}


def test_a_first_declaration_that_was_cut_off_is_finished_by_the_next(
    site: Site, positive_model: Path
) -> None:
    site.cluster.api.faults.order(Fault("create", "configmaps", 418))
    with pytest.raises(ServingError, match="418"):
        site.client().apply(toy_manifest(positive_model))
    status = site.client().status("toy")
    assert status is not None
    assert (status.phase, status.manifest_digest) == ("pending", "")
    site.live(positive_model)


def test_an_answer_that_was_lost_is_no_failure(site: Site, positive_model: Path) -> None:
    for verb, resource in (("patch", "inferenceservices"), ("create", "configmaps")):
        site.cluster.api.faults.order(Fault(verb, resource, 504, after_write=True))
    site.live(positive_model)


def test_a_persons_edit_is_named_and_not_overwritten(site: Site, positive_model: Path) -> None:
    declared = site.live(positive_model)
    site.edit({"spec": {"predictor": {"minReplicas": 2}}})
    with pytest.raises(
        FieldConflictError, match=r"\.spec\.predictor\.minReplicas .*\"kubectl-edit\""
    ):
        site.client().apply(declared)
    assert site.service()["spec"]["predictor"]["minReplicas"] == 2
    site.client(take_over=True).apply(declared)
    assert site.service()["spec"]["predictor"]["minReplicas"] == 1
    site.client().apply(declared)


def test_an_edit_beside_ours_stays(site: Site, positive_model: Path) -> None:
    declared = site.live(positive_model)
    site.edit({"spec": {"predictor": {"timeout": 30}}})
    site.client().apply(declared)
    assert site.service()["spec"]["predictor"]["timeout"] == 30


def edit_share(site: Site, percent: int) -> None:
    if site.mode == "Standard":
        canary = site.service()["spec"]["canary"]
        canary[0]["trafficPercent"] = percent
        site.edit({"spec": {"canary": canary}})
    else:
        site.edit({"spec": {"predictor": {"canaryTrafficPercent": percent}}})


def test_that_a_step_is_due_can_be_seen_without_taking_it(
    site: Site, positive_model: Path, second: dict[str, Any]
) -> None:
    site.live(positive_model)
    backend = site.client()
    backend.apply(second)
    site.cluster.settle()
    before = site.service()
    is_due = backend.has_next_step("toy")
    assert is_due == (site.mode == "Standard")  # where KServe would stop the former one at once
    assert site.service() == before
    backend.converge("toy")
    site.cluster.settle()
    assert not backend.has_next_step("toy")
    assert backend.traffic("toy") == {"v2": 100}


def test_shares_that_a_person_set_are_told_kept_by_a_manifest_and_replaced_by_other_shares(
    site: Site, positive_model: Path, second: dict[str, Any]
) -> None:
    first = site.live(positive_model)
    backend = site.client()
    backend.apply(with_canary(first, second, 10))
    backend.wait_ready("toy", 1, 60.0)
    edit_share(site, 60)
    told = backend.declaration("toy")
    assert told is not None
    assert backend.traffic("toy") == told.percent == {"v1": 40, "v2": 60}
    assert not backend.has_next_step("toy")  # the shares are theirs
    backend.converge("toy")
    backend.apply(with_canary(first, second, 10))
    site.cluster.settle()
    assert backend.traffic("toy") == {"v1": 40, "v2": 60}
    edit_share(site, 70)
    backend.set_traffic("toy", {"v1": 80, "v2": 20})
    site.cluster.settle()
    told = backend.declaration("toy")
    assert told is not None
    assert backend.traffic("toy") == told.percent == {"v1": 80, "v2": 20}


def test_shares_are_not_replaced_together_with_another_edit(
    site: Site, positive_model: Path, second: dict[str, Any]
) -> None:
    first = site.live(positive_model)
    backend = site.client()
    backend.apply(with_canary(first, second, 10))
    backend.wait_ready("toy", 1, 60.0)
    edit_share(site, 60)
    site.edit({"spec": {"predictor": {"minReplicas": 2}}})
    with pytest.raises(FieldConflictError, match=r"minReplicas .*\"kubectl-edit\""):
        backend.set_traffic("toy", {"v1": 80, "v2": 20})
    assert backend.traffic("toy") == {"v1": 40, "v2": 60}


def test_a_canary_that_a_person_took_out_is_told_as_no_share(
    site: Site, positive_model: Path, second: dict[str, Any]
) -> None:
    first = site.live(positive_model)
    backend = site.client()
    backend.apply(with_canary(first, second, 10))
    backend.wait_ready("toy", 1, 60.0)
    if site.mode == "Knative":
        site.edit({"spec": {"predictor": {"canaryTrafficPercent": None}}})
        all_to = {"v2": 100}  # the latest revision has all requests without the field
    else:
        site.edit({"spec": {"canary": None}})
        all_to = {"v1": 100}
    told = backend.declaration("toy")
    assert told is not None
    assert shares(told.percent) == shares(backend.traffic("toy")) == all_to
    backend.set_traffic("toy", {"v1": 90, "v2": 10})
    backend.wait_ready("toy", 1, 60.0)
    assert shares(backend.traffic("toy")) == {"v1": 90, "v2": 10}


def test_writers_who_come_at_once_leave_one_whole_declaration(
    site: Site, positive_model: Path, second: dict[str, Any]
) -> None:
    first = site.live(positive_model)
    site.client().apply(with_canary(first, second))
    site.client().wait_ready("toy", 1, 60.0)
    asked = [{"v1": 100 - share, "v2": share} for share in (10, 20, 30, 40)]

    def write(percent: dict[str, int]) -> None:
        site.client().set_traffic("toy", percent)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, asked))
    site.cluster.settle()
    told = site.client().declaration("toy")
    assert told is not None
    assert told.percent in asked
    assert site.client().traffic("toy") == told.percent


@pytest.mark.parametrize("revision", [None, "v1"], ids=["by_the_gateway", "by_the_api_server"])
def test_what_the_platform_asks_is_known_as_its_own(
    site: Site, positive_model: Path, revision: str | None
) -> None:
    """By the request's id, or monitoring would take examples for callers' rows."""
    site.live(positive_model)
    answer = site.client().predict("toy", [POSITIVE], revision=revision)
    assert answer["id"].startswith(PROBE_PREFIX)


def test_a_service_of_somebody_else_is_told_and_not_judged(site: Site) -> None:
    from mlops_assets.kserve.api import INFERENCE_SERVICES

    site.api.apply(INFERENCE_SERVICES, bare_service("toy"))
    status = site.client().status("toy")
    assert status is not None
    assert "not declared by mlops-assets" in status.reason
    assert site.client().declaration("toy") is None
    with pytest.raises(ServingError, match="there is no service toy"):
        site.client().set_traffic("toy", {"v1": 100})


def test_a_service_does_not_change_its_mode(site: Site, positive_model: Path) -> None:
    declared = site.live(positive_model)
    site.cluster.settle()
    other = next(mode for mode in MODES if mode != site.mode)
    with pytest.raises(ServingError, match=f"runs in mode {site.mode}.*delete it"):
        site.client(mode=other).apply(declared)


def test_a_name_that_could_lead_elsewhere_is_refused(site: Site) -> None:
    for name, call in itertools.product(("../x", "", "a b"), ("status", "delete", "traffic")):
        with pytest.raises(ServingError, match="expected letters"):
            getattr(site.client(), call)(name)

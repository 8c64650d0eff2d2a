"""The contract suite of serving backends: what each must do, whatever runs behind it.

A backend's own test module imports the names below and defines the fixture `backend`, of module
scope, which yields it ready for use:

    from mlops_assets_tests.serving.backend_contract import *  # noqa: F403

What a backend cannot do by its nature stands in `cannot`, a fixture too: `mirror` (copies of
requests for a shadow), `begin_with_two` (a first declaration with a canary). There it must refuse
with the reason and change nothing.

`unreachable` is a backend of the same kind whose gateway or API server is not there.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import AnsweredError, ServingError
from mlops_assets.kserve.manifest import manifest_digest
from mlops_assets.serving.backend import ServingBackend
from mlops_assets_tests.serving.running import toy_manifest, with_canary

__all__ = [
    "manifest",
    "test_a_declaration_again_keeps_the_shares_asked_for_since",
    "test_a_declaration_tells_what_was_asked_for",
    "test_a_declared_version_gets_ready_and_answers",
    "test_a_deleted_service_is_gone",
    "test_a_new_version_takes_the_traffic_once_it_is_ready",
    "test_a_shadow_gets_copies_or_is_refused_with_the_reason",
    "test_a_split_that_nothing_could_follow_changes_nothing",
    "test_a_version_that_fails_says_why_and_the_old_one_serves",
    "test_declaring_twice_changes_nothing",
    "test_each_revision_has_a_status_of_its_own",
    "test_nobody_there_is_no_answer_of_a_version",
    "test_one_revision_answers_whatever_the_shares",
    "test_traffic_moves_without_a_new_manifest_and_back_with_one",
    "test_what_was_never_declared_has_no_status",
    "test_wrong_rows_are_refused_with_the_reason",
]

READY_SECONDS = float(os.environ.get("MLOPS_TEST_READY_SECONDS", "20"))
"""Longest wait for a revision; a real cluster may need minutes to pull an image."""

ROUTING_SECONDS = float(os.environ.get("MLOPS_TEST_ROUTING_SECONDS", "0"))
"""How long answers may follow the routes; a real gateway takes a second or two."""

POSITIVE = {"x0": 3.0, "x1": -1.0, "hours per day": 0.5}


@pytest.fixture
def manifest(backend: ServingBackend, positive_model: Path) -> Iterator[dict[str, Any]]:
    declared = toy_manifest(positive_model)
    yield declared
    backend.delete("toy")
    wait_gone(backend, "toy")


def wait_gone(backend: ServingBackend, service: str) -> None:
    deadline = time.monotonic() + 30 + ROUTING_SECONDS
    while backend.status(service) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_was_never_declared_has_no_status(backend: ServingBackend) -> None:
    assert backend.status("nobody") is None
    with pytest.raises(ServingError, match="nobody"):
        backend.traffic("nobody")
    with pytest.raises(ServingError, match="nobody"):
        backend.predict("nobody", [POSITIVE])
    with pytest.raises(ServingError, match="nobody"):
        backend.wait_ready("nobody", 1, 1.0)
    backend.delete("nobody")


def test_a_declared_version_gets_ready_and_answers(
    backend: ServingBackend, manifest: dict[str, Any]
) -> None:
    backend.apply(manifest)
    status = backend.wait_ready("toy", 1, READY_SECONDS)
    assert (status.phase, status.ready_revision, status.traffic) == ("ready", "v1", {"v1": 100})
    assert status.manifest_digest == manifest_digest(manifest)
    wait_traffic(backend, {"v1": 100})
    assert backend.traffic("toy") == {"v1": 100}
    wait_answer(backend, 1)
    answer = backend.predict("toy", [POSITIVE, {**POSITIVE, "x0": -9.0}])
    assert answer["predictions"] == [1, 0]
    assert answer["classes"] == [0, 1]
    assert (answer["model_name"], answer["model_version"]) == ("toy", "1")
    assert answer["id"]


def test_declaring_twice_changes_nothing(backend: ServingBackend, manifest: dict[str, Any]) -> None:
    backend.apply(manifest)
    before = backend.wait_ready("toy", 1, READY_SECONDS)
    backend.apply(manifest)
    again = backend.wait_ready("toy", 1, READY_SECONDS)
    assert again.model_copy(update={"conditions": before.conditions}) == before


def test_a_new_version_takes_the_traffic_once_it_is_ready(
    backend: ServingBackend, manifest: dict[str, Any], negative_model: Path
) -> None:
    backend.apply(manifest)
    backend.wait_ready("toy", 1, READY_SECONDS)
    backend.apply(toy_manifest(negative_model, 2, digest="b" * 64))
    status = backend.wait_ready("toy", 2, READY_SECONDS)
    assert (status.ready_revision, status.traffic) == ("v2", {"v2": 100})
    wait_answer(backend, 0)
    with pytest.raises(ServingError, match="declares revision v2, not v1"):
        backend.wait_ready("toy", 1, 1.0)


def test_a_version_that_fails_says_why_and_the_old_one_serves(
    backend: ServingBackend, manifest: dict[str, Any], negative_model: Path
) -> None:
    backend.apply(manifest)
    backend.wait_ready("toy", 1, READY_SECONDS)
    backend.apply(toy_manifest(negative_model, 2, digest="c" * 64))
    with pytest.raises(ServingError, match=f"v2 failed.*expected {'c' * 64}.*v1 still serves"):
        backend.wait_ready("toy", 2, READY_SECONDS)
    wait_traffic(backend, {"v1": 100})
    wait_answer(backend, 1)
    status = backend.status("toy")
    assert status is not None
    assert (status.phase, status.ready_revision, status.declared_revision) == ("failed", "v1", "v2")


def wait_traffic(backend: ServingBackend, wanted: dict[str, int]) -> None:
    """Wait for these shares; revisions without one may be there too."""
    deadline = time.monotonic() + 10 + ROUTING_SECONDS
    while {name: share for name, share in backend.traffic("toy").items() if share} != wanted:
        assert time.monotonic() < deadline, backend.traffic("toy")
        time.sleep(0.05)


def wait_answer(backend: ServingBackend, prediction: int) -> None:
    """Wait until this is what callers get."""
    deadline = time.monotonic() + ROUTING_SECONDS
    while True:
        try:
            found = backend.predict("toy", [POSITIVE])["predictions"]
        except ServingError:  # the gateway has no route yet
            if time.monotonic() >= deadline:
                raise
        else:
            if found == [prediction]:
                return
            assert time.monotonic() < deadline, found
        time.sleep(0.1)


def declare_both(
    backend: ServingBackend, cannot: frozenset[str], manifest: dict[str, Any], both: dict[str, Any]
) -> None:
    if "begin_with_two" in cannot:
        with pytest.raises(ServingError, match="needs its stable revision v1 live first"):
            backend.apply(both)
        backend.apply(manifest)
        backend.wait_ready("toy", 1, READY_SECONDS)
    backend.apply(both)


def test_traffic_moves_without_a_new_manifest_and_back_with_one(
    backend: ServingBackend,
    cannot: frozenset[str],
    manifest: dict[str, Any],
    negative_model: Path,
) -> None:
    both = with_canary(manifest, toy_manifest(negative_model, 2, digest="b" * 64))
    declare_both(backend, cannot, manifest, both)
    before = backend.wait_ready("toy", 1, READY_SECONDS)
    wait_answer(backend, 1)
    backend.set_traffic("toy", {"v1": 0, "v2": 100})
    wait_traffic(backend, {"v2": 100})
    wait_answer(backend, 0)
    status = backend.status("toy")
    assert status is not None
    assert status.manifest_digest == before.manifest_digest
    backend.set_traffic("toy", {"v1": 100})
    wait_traffic(backend, {"v1": 100})
    wait_answer(backend, 1)
    backend.apply(manifest)  # declares v2 no more, so the split speaks of nothing
    backend.wait_ready("toy", 1, READY_SECONDS)
    wait_traffic(backend, {"v1": 100})
    assert set(backend.traffic("toy")) == {"v1"}


def test_a_declaration_again_keeps_the_shares_asked_for_since(
    backend: ServingBackend,
    cannot: frozenset[str],
    manifest: dict[str, Any],
    negative_model: Path,
) -> None:
    both = with_canary(manifest, toy_manifest(negative_model, 2, digest="b" * 64))
    declare_both(backend, cannot, manifest, both)
    backend.wait_ready("toy", 1, READY_SECONDS)
    backend.set_traffic("toy", {"v1": 70, "v2": 30})
    backend.apply(both)
    wait_traffic(backend, {"v1": 70, "v2": 30})
    if ROUTING_SECONDS:
        wait_answer(backend, 0)  # the gateway knows of the new shares
    answers = [backend.predict("toy", [POSITIVE])["predictions"][0] for _ in range(60)]
    assert 20 < sum(answers) < 57  # of 42 expected; each bound 4 standard deviations away or more


def test_a_shadow_gets_copies_or_is_refused_with_the_reason(
    backend: ServingBackend,
    cannot: frozenset[str],
    manifest: dict[str, Any],
    negative_model: Path,
) -> None:
    both = with_canary(manifest, toy_manifest(negative_model, 2, digest="b" * 64))
    declare_both(backend, cannot, manifest, both)
    backend.wait_ready("toy", 1, READY_SECONDS)
    if "mirror" in cannot:
        with pytest.raises(ServingError, match="shadow v2: KServe mirrors no requests"):
            backend.set_traffic("toy", {"v1": 100}, shadow="v2")
        return
    backend.set_traffic("toy", {"v1": 100}, shadow="v2")
    told = backend.declaration("toy")
    assert told is not None
    assert told.shadow == "v2"
    deadline = time.monotonic() + 10
    while (status := backend.status("toy")) is None or status.shadow != "v2":
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("percent", [{"v1": 99}, {"v1": 50, "v7": 50}])
def test_a_split_that_nothing_could_follow_changes_nothing(
    backend: ServingBackend, manifest: dict[str, Any], percent: dict[str, int]
) -> None:
    with pytest.raises(ServingError, match="no service toy"):
        backend.set_traffic("toy", {"v1": 100})
    backend.apply(manifest)
    backend.wait_ready("toy", 1, READY_SECONDS)
    with pytest.raises(ServingError, match="expected"):
        backend.set_traffic("toy", percent)
    wait_traffic(backend, {"v1": 100})


def test_a_declaration_tells_what_was_asked_for(
    backend: ServingBackend,
    cannot: frozenset[str],
    manifest: dict[str, Any],
    negative_model: Path,
) -> None:
    assert backend.declaration("nobody") is None
    both = with_canary(manifest, toy_manifest(negative_model, 2, digest="c" * 64), 10)
    declare_both(backend, cannot, manifest, both)
    told = backend.declaration("toy")
    assert told is not None
    assert (told.revisions, told.percent, told.shadow) == (("v1", "v2"), {"v1": 90, "v2": 10}, None)
    backend.set_traffic("toy", {"v1": 100})
    told = backend.declaration("toy")
    assert told is not None
    assert {name: share for name, share in told.percent.items() if share} == {"v1": 100}


def test_each_revision_has_a_status_of_its_own(
    backend: ServingBackend, manifest: dict[str, Any], negative_model: Path
) -> None:
    backend.apply(manifest)
    backend.wait_ready("toy", 1, READY_SECONDS)
    backend.apply(with_canary(manifest, toy_manifest(negative_model, 2, digest="c" * 64)))
    deadline = time.monotonic() + READY_SECONDS
    while True:
        status = backend.status("toy")
        assert status is not None
        found = {revision.name: revision for revision in status.revisions}
        if "v2" in found and found["v2"].phase == "failed":
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert f"expected {'c' * 64}" in found["v2"].reason
    assert (found["v1"].phase, found["v1"].n_crashes) == ("ready", 0)
    assert backend.traffic("toy")["v1"] == 100


def test_one_revision_answers_whatever_the_shares(
    backend: ServingBackend,
    cannot: frozenset[str],
    manifest: dict[str, Any],
    negative_model: Path,
) -> None:
    both = with_canary(manifest, toy_manifest(negative_model, 2, digest="b" * 64))
    declare_both(backend, cannot, manifest, both)
    backend.wait_ready("toy", 1, READY_SECONDS)
    for revision, answer in (("v1", 1), ("v2", 0)):
        found = backend.predict("toy", [POSITIVE], revision=revision)
        assert found["predictions"] == [answer]
    with pytest.raises(ServingError, match="v7") as caught:
        backend.predict("toy", [POSITIVE], revision="v7")
    assert not isinstance(caught.value, AnsweredError)


@pytest.mark.parametrize("revision", [None, "v1"], ids=["whichever", "this_one"])
def test_wrong_rows_are_refused_with_the_reason(
    backend: ServingBackend, manifest: dict[str, Any], revision: str | None
) -> None:
    backend.apply(manifest)
    backend.wait_ready("toy", 1, READY_SECONDS)
    wait_answer(backend, 1)
    with pytest.raises(AnsweredError, match=r"400.*'hours per day' is missing") as caught:
        backend.predict("toy", [{"x0": 1.0, "x1": 1.0}], revision=revision)
    assert caught.value.status == 400


@pytest.mark.parametrize("revision", [None, "v1"], ids=["whichever", "this_one"])
def test_nobody_there_is_no_answer_of_a_version(
    unreachable: ServingBackend, revision: str | None
) -> None:
    with pytest.raises(ServingError) as caught:
        unreachable.predict("toy", [POSITIVE], revision=revision)
    assert not isinstance(caught.value, AnsweredError)


def test_a_deleted_service_is_gone(backend: ServingBackend, manifest: dict[str, Any]) -> None:
    backend.apply(manifest)
    backend.wait_ready("toy", 1, READY_SECONDS)
    backend.delete("toy")
    wait_gone(backend, "toy")
    with pytest.raises(ServingError, match="toy"):
        backend.predict("toy", [POSITIVE])
    backend.delete("toy")

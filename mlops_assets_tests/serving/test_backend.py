"""The contract suite of serving backends: what each must do, whatever runs behind it.

A backend joins by a function that yields it ready for use, in `BACKENDS`.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import ServingError
from mlops_assets.kserve.manifest import manifest_digest
from mlops_assets.serving.backend import ServingBackend
from mlops_assets.serving.embedded import EmbeddedServing
from mlops_assets_tests.serving.running import (
    find_free_port,
    running_gateway,
    toy_manifest,
    with_canary,
)

POSITIVE = {"x0": 3.0, "x1": -1.0, "hours per day": 0.5}


@contextlib.contextmanager
def embedded(home: Path) -> Iterator[ServingBackend]:
    with running_gateway(home, find_free_port()):
        yield EmbeddedServing(home)


BACKENDS: dict[str, Callable[[Path], AbstractContextManager[ServingBackend]]] = {
    "embedded": embedded
}


@pytest.fixture(scope="module", params=BACKENDS)
def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServingBackend]:
    with BACKENDS[request.param](tmp_path_factory.mktemp("home")) as made:
        yield made


@pytest.fixture
def manifest(backend: ServingBackend, positive_model: Path) -> Iterator[dict[str, Any]]:
    declared = toy_manifest(positive_model)
    yield declared
    backend.delete("toy")
    wait_gone(backend, "toy")


def wait_gone(backend: ServingBackend, service: str) -> None:
    deadline = time.monotonic() + 30
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
    status = backend.wait_ready("toy", 1, 20.0)
    assert (status.phase, status.ready_revision, status.traffic) == ("ready", "v1", {"v1": 100})
    assert status.manifest_digest == manifest_digest(manifest)
    assert backend.traffic("toy") == {"v1": 100}
    answer = backend.predict("toy", [POSITIVE, {**POSITIVE, "x0": -9.0}])
    assert answer["predictions"] == [1, 0]
    assert answer["classes"] == [0, 1]
    assert (answer["model_name"], answer["model_version"]) == ("toy", "1")
    assert answer["id"]


def test_declaring_twice_changes_nothing(backend: ServingBackend, manifest: dict[str, Any]) -> None:
    backend.apply(manifest)
    before = backend.wait_ready("toy", 1, 20.0)
    backend.apply(manifest)
    assert backend.wait_ready("toy", 1, 20.0) == before


def test_a_new_version_takes_the_traffic_once_it_is_ready(
    backend: ServingBackend, manifest: dict[str, Any], negative_model: Path
) -> None:
    backend.apply(manifest)
    backend.wait_ready("toy", 1, 20.0)
    backend.apply(toy_manifest(negative_model, 2, digest="b" * 64))
    status = backend.wait_ready("toy", 2, 20.0)
    assert (status.ready_revision, status.traffic) == ("v2", {"v2": 100})
    assert backend.predict("toy", [POSITIVE])["predictions"] == [0]
    with pytest.raises(ServingError, match="declares revision v2, not v1"):
        backend.wait_ready("toy", 1, 1.0)


def test_a_version_that_fails_says_why_and_the_old_one_serves(
    backend: ServingBackend, manifest: dict[str, Any], negative_model: Path
) -> None:
    backend.apply(manifest)
    backend.wait_ready("toy", 1, 20.0)
    backend.apply(toy_manifest(negative_model, 2, digest="c" * 64))
    with pytest.raises(ServingError, match=f"v2 failed.*expected {'c' * 64}.*v1 still serves"):
        backend.wait_ready("toy", 2, 20.0)
    assert backend.traffic("toy") == {"v1": 100}
    assert backend.predict("toy", [POSITIVE])["predictions"] == [1]
    status = backend.status("toy")
    assert status is not None
    assert (status.phase, status.ready_revision, status.declared_revision) == ("failed", "v1", "v2")


def wait_traffic(backend: ServingBackend, wanted: dict[str, int]) -> None:
    deadline = time.monotonic() + 10
    while {name: share for name, share in backend.traffic("toy").items() if share} != wanted:
        assert time.monotonic() < deadline, backend.traffic("toy")
        time.sleep(0.05)


def test_traffic_moves_without_a_new_manifest_and_back_with_one(
    backend: ServingBackend, manifest: dict[str, Any], negative_model: Path
) -> None:
    both = with_canary(manifest, toy_manifest(negative_model, 2, digest="b" * 64))
    backend.apply(both)
    before = backend.wait_ready("toy", 1, 20.0)
    assert backend.predict("toy", [POSITIVE])["predictions"] == [1]
    backend.set_traffic("toy", {"v1": 0, "v2": 100})
    wait_traffic(backend, {"v2": 100})
    assert backend.predict("toy", [POSITIVE])["predictions"] == [0]
    status = backend.status("toy")
    assert status is not None
    assert status.manifest_digest == before.manifest_digest
    backend.set_traffic("toy", {"v1": 100}, shadow="v2")
    wait_traffic(backend, {"v1": 100})
    status = backend.status("toy")
    assert status is not None
    assert status.shadow == "v2"
    backend.apply(manifest)  # declares v2 no more, so the split speaks of nothing
    backend.wait_ready("toy", 1, 20.0)
    assert backend.traffic("toy") == {"v1": 100}


@pytest.mark.parametrize("percent", [{"v1": 99}, {"v1": 50, "v7": 50}])
def test_a_split_that_nothing_could_follow_changes_nothing(
    backend: ServingBackend, manifest: dict[str, Any], percent: dict[str, int]
) -> None:
    with pytest.raises(ServingError, match="no service toy"):
        backend.set_traffic("toy", {"v1": 100})
    backend.apply(manifest)
    backend.wait_ready("toy", 1, 20.0)
    with pytest.raises(ServingError, match="expected"):
        backend.set_traffic("toy", percent)
    assert backend.traffic("toy") == {"v1": 100}


def test_a_declaration_tells_what_was_asked_for(
    backend: ServingBackend, manifest: dict[str, Any], negative_model: Path
) -> None:
    assert backend.declaration("nobody") is None
    both = with_canary(manifest, toy_manifest(negative_model, 2, digest="c" * 64), 10)
    backend.apply(both)
    told = backend.declaration("toy")
    assert told is not None
    assert (told.revisions, told.percent, told.shadow) == (("v1", "v2"), {"v1": 90, "v2": 10}, None)
    backend.set_traffic("toy", {"v1": 100}, shadow="v2")
    told = backend.declaration("toy")
    assert told is not None
    assert ({k: v for k, v in told.percent.items() if v}, told.shadow) == ({"v1": 100}, "v2")


def test_each_revision_has_a_status_of_its_own(
    backend: ServingBackend, manifest: dict[str, Any], negative_model: Path
) -> None:
    backend.apply(manifest)
    backend.wait_ready("toy", 1, 20.0)
    backend.apply(with_canary(manifest, toy_manifest(negative_model, 2, digest="c" * 64)))
    deadline = time.monotonic() + 20
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


def test_wrong_rows_are_refused_with_the_reason(
    backend: ServingBackend, manifest: dict[str, Any]
) -> None:
    backend.apply(manifest)
    backend.wait_ready("toy", 1, 20.0)
    with pytest.raises(ServingError, match=r"400.*'hours per day' is missing"):
        backend.predict("toy", [{"x0": 1.0, "x1": 1.0}])


def test_a_deleted_service_is_gone(backend: ServingBackend, manifest: dict[str, Any]) -> None:
    backend.apply(manifest)
    backend.wait_ready("toy", 1, 20.0)
    backend.delete("toy")
    wait_gone(backend, "toy")
    with pytest.raises(ServingError, match="toy"):
        backend.predict("toy", [POSITIVE])
    backend.delete("toy")

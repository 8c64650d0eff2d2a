"""The state of a rollout in a ConfigMap, on an API server that honours versions and owners."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from mlops_assets.errors import RolloutError, StateConflictError
from mlops_assets.kserve.api import CONFIG_MAPS, DEPLOYMENTS, INFERENCE_SERVICES
from mlops_assets.kserve.state_store import ConfigMapStore
from mlops_assets.rollout.store import RolloutStore
from mlops_assets_tests.kubernetes.cluster import Cluster, running_cluster
from mlops_assets_tests.kubernetes.faults import Fault
from mlops_assets_tests.kubernetes.running import api_of, bare_service
from mlops_assets_tests.rollout.store_contract import *  # noqa: F403


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as running:
        yield running


@pytest.fixture
def store(cluster: Cluster) -> Iterator[RolloutStore]:
    api = api_of(cluster)
    for name in ("toy", "toy-a", "toy-b"):
        api.apply(INFERENCE_SERVICES, bare_service(name))
    yield ConfigMapStore(api)
    for name in ("toy", "toy-a", "toy-b"):
        api.delete(INFERENCE_SERVICES, name)


def pods(cluster: Cluster) -> set[str]:
    kind = cluster.objects.kind("pods")
    return {pod["metadata"]["uid"] for pod in cluster.objects.list(kind)}


def template(cluster: Cluster) -> Any:
    cluster.settle()
    found = api_of(cluster).get(DEPLOYMENTS, "toy-v1-predictor")
    assert found is not None
    return copy.deepcopy(found["spec"]["template"])


def test_a_state_write_leaves_the_pods_alone_and_an_annotation_would_restart_them(
    cluster: Cluster, store: RolloutStore
) -> None:
    before, running = template(cluster), pods(cluster)
    assert running
    token = ""
    for step in range(5):
        token = store.write("toy", f"step {step}", token)
    assert template(cluster) == before
    assert pods(cluster) == running
    api_of(cluster).apply(INFERENCE_SERVICES, bare_service("toy", step="5"))
    assert template(cluster) != before
    assert pods(cluster) - running


def test_a_document_goes_with_its_service(cluster: Cluster, store: RolloutStore) -> None:
    store.write("toy", "one", "")
    api_of(cluster).delete(INFERENCE_SERVICES, "toy")
    assert store.read("toy") == (None, "")
    with pytest.raises(StateConflictError, match="no InferenceService toy"):
        store.write("toy", "two", "")


@pytest.mark.parametrize("verb", ["create", "update"])
def test_a_write_whose_answer_was_lost_counts_once(
    cluster: Cluster, store: RolloutStore, verb: str
) -> None:
    seen = store.write("toy", "one", "") if verb == "update" else ""
    cluster.api.faults.order(Fault(verb, "configmaps", 504, after_write=True))
    token = store.write("toy", "two", seen)
    assert store.read("toy") == ("two", token)
    with pytest.raises(StateConflictError):
        store.write("toy", "three", seen)


def test_an_outage_is_told_apart_from_a_conflict(cluster: Cluster, store: RolloutStore) -> None:
    cluster.api.faults.order(Fault("get", "configmaps", 503, times=4))
    with pytest.raises(RolloutError, match="503") as caught:
        store.read("toy")
    assert not isinstance(caught.value, StateConflictError)
    assert store.read("toy") == (None, "")


def test_a_missing_right_is_named(cluster: Cluster, store: RolloutStore) -> None:
    cluster.api.faults.denied.add(("create", "configmaps"))
    try:
        with pytest.raises(RolloutError, match='cannot create resource "configmaps"'):
            store.write("toy", "one", "")
    finally:
        cluster.api.faults.denied.clear()


def test_people_find_it_by_its_labels(cluster: Cluster, store: RolloutStore) -> None:
    store.write("toy", "one", "")
    found = api_of(cluster).list(CONFIG_MAPS, "mlops-assets/service=toy")
    assert [item["metadata"]["name"] for item in found] == ["toy-rollout"]

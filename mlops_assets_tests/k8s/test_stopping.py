"""Pods can be taken off their nodes: budgets let some go, and whoever goes has time for it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.serving.sink.settings import SinkSettings
from mlops_assets_tests.k8s.made_pods import all_pods, predictor_service
from mlops_assets_tests.k8s.rendering import OVERLAYS, Object, Pod, label_of, render, selects

_DEFAULT_GRACE_SECONDS = 30.0  # Kubernetes' own
_OTHERS_SECONDS = 5.0  # for whoever has nothing to save
_SINK = SinkSettings(home=Path("/nowhere"))


def budgets(overlay: str) -> list[Object]:
    found = [content for content in render(overlay) if content["kind"] == "PodDisruptionBudget"]
    assert len(found) >= 4
    return found


def fewest(overlay: str, pod: Pod) -> int:
    """How many of a pod there are at the least."""
    if pod.owner == "pod of a predictor":
        return int(predictor_service(overlay)["spec"]["predictor"]["minReplicas"])
    kind, _, name = pod.owner.partition(" ")
    name = name.rpartition("/")[2]
    for content in render(overlay):
        target = content.get("spec", {}).get("scaleTargetRef", {})
        if (target.get("kind"), target.get("name")) == (kind, name):
            spec = content["spec"]
            return int(spec["minReplicas"] if "minReplicas" in spec else spec["minReplicaCount"])
    (owner,) = (content for content in render(overlay) if label_of(content) == pod.owner)
    return int(owner["spec"]["replicas"])


def evictable(budget: Mapping[str, Any], n_pods: int, n_ready: int) -> int:
    """How many ready pods may be evicted; the disruption controller rounds shares up."""

    def amount(value: object) -> int:
        text = str(value)
        return math.ceil(int(text[:-1]) * n_pods / 100) if text.endswith("%") else int(text)

    if "minAvailable" in budget:
        return n_ready - amount(budget["minAvailable"])
    return n_ready - (n_pods - amount(budget["maxUnavailable"]))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_node_can_be_drained_where_there_are_as_few_pods_as_may_be(overlay: str) -> None:
    for budget in budgets(overlay):
        spec = budget["spec"]
        pods = [p for p in all_pods(overlay) if selects(spec["selector"], p.labels)]
        assert pods, label_of(budget)
        for pod in pods:
            n_pods = fewest(overlay, pod)
            assert evictable(spec, n_pods, n_pods) >= 1, f"{label_of(budget)}: {pod.owner}"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_broken_pod_may_always_go(overlay: str) -> None:
    kept = [
        label_of(budget)
        for budget in budgets(overlay)
        if budget["spec"].get("unhealthyPodEvictionPolicy") != "AlwaysAllow"
    ]
    assert kept == []


def test_a_challenger_that_never_starts_holds_no_other_predictor_on_its_node() -> None:
    (budget,) = (b["spec"] for b in budgets("production") if b["metadata"]["name"] == "predictors")
    for n_pods in range(3, 50):
        assert evictable(budget, n_pods, n_pods - 1) >= 1, n_pods
    assert evictable(budget, 30, 30) <= 11


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_has_time_for_what_it_does_before_its_end(overlay: str) -> None:
    """A predictor's own time is told in `kserve/test_manifest.py`."""
    for pod in all_pods(overlay):
        grace = float(pod.spec.get("terminationGracePeriodSeconds", _DEFAULT_GRACE_SECONDS))
        for container in pod.containers:
            sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {})
            waits = float(sleep.get("seconds", 0.0))
            assert waits + _drain_seconds(container) < grace, pod.owner


def _drain_seconds(container: Mapping[str, Any]) -> float:
    """How long a server goes on after SIGTERM: the sink answers, and then moves what it has."""
    arguments = container.get("args", ())
    if "mlops_assets.serving.sink" not in arguments:
        return _OTHERS_SECONDS
    given = [a.partition("=")[2] for a in arguments if a.startswith("--drain-seconds=")]
    return 2 * float(given[0] if given else _SINK.drain_seconds)

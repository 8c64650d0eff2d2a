"""Components that no overlay has: mixed into one, they give what they promise."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from mlops_assets_tests.k8s.addresses import Address, Cluster
from mlops_assets_tests.k8s.rendering import (
    FOLDER,
    OVERLAYS,
    Object,
    pods_of,
    read_objects,
    render,
    render_text,
)
from mlops_assets_tests.k8s.test_schemas import problems

FOREIGN = {"Profile", "AuthorizationPolicy"}
"""Kinds of Kubeflow and Istio, of which no schema is at hand."""


def mixed_in(component: str, folder: Path) -> Sequence[Object]:
    """The overlay production with a component, in a folder of its own as a site would have it."""
    content = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(FOLDER / "overlays" / "production", folder)],
        "components": [os.path.relpath(FOLDER / "components" / component, folder)],
        "images": [{"name": "mlops-platform", "newName": "r/platform", "newTag": "1"}],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return read_objects(render_text(folder))


@pytest.fixture
def kubeflow(tmp_path: Path) -> Sequence[Object]:
    return mixed_in("kubeflow", tmp_path)


def test_kubeflow_makes_the_namespace_of_models_and_its_owner_is_named(
    kubeflow: Sequence[Object],
) -> None:
    namespaces = {c["metadata"]["name"]: c for c in kubeflow if c["kind"] == "Namespace"}
    assert namespaces.keys() == {"mlops"}
    assert namespaces["mlops"]["metadata"]["labels"]["istio-injection"] == "disabled"
    (profile,) = (c for c in kubeflow if c["kind"] == "Profile")
    assert profile["metadata"]["name"] == "mlops-models"


def test_the_rest_stays_as_it_was(kubeflow: Sequence[Object]) -> None:
    before = {(c["kind"], c["metadata"]["name"]) for c in render("production")}
    after = {(c["kind"], c["metadata"]["name"]) for c in kubeflow}
    assert before - after == {("Namespace", "mlops-models")}
    assert {kind for kind, _ in after - before} == {
        "Profile", "AuthorizationPolicy", "ServiceAccount", "Role", "RoleBinding", "Job",
    }  # fmt: skip


def test_what_kubeflow_adds_is_what_a_cluster_takes(kubeflow: Sequence[Object]) -> None:
    told = [problem for c in kubeflow if c["kind"] not in FOREIGN for problem in problems(c)]
    assert told == []


def test_whoever_judges_rollouts_reaches_the_prometheus_that_it_is_told(tmp_path: Path) -> None:
    objects = mixed_in("prometheus-counters", tmp_path)
    cluster = Cluster(objects, list(pods_of(objects)))
    (judge,) = (p for p in cluster.pods if p.owner == "Deployment mlops/dagster-code-location")
    prometheus = Address("prometheus-operated.monitoring", 9090)
    assert prometheus in cluster.asked_by(judge)
    assert cluster.problem(judge, prometheus) is None


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_namespace_has_a_quota_and_defaults_for_containers_that_say_nothing(
    overlay: str,
) -> None:
    for kind in ("ResourceQuota", "LimitRange"):
        found = {c["metadata"]["namespace"] for c in render(overlay) if c["kind"] == kind}
        assert found == {"mlops", "mlops-models"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_namespaces_enforce_restricted_pods(overlay: str) -> None:
    for content in render(overlay):
        if content["kind"] == "Namespace":
            labels = content["metadata"]["labels"]
            assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_predictors_go_first_and_trainings_last() -> None:
    values = {c["metadata"]["name"]: c for c in render("kind") if c["kind"] == "PriorityClass"}
    order = ["mlops-serving", "mlops-platform", "mlops-training"]
    assert sorted(values, key=lambda name: -values[name]["value"]) == order
    assert values["mlops-training"]["preemptionPolicy"] == "Never"

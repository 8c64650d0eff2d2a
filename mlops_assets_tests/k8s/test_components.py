"""Components that no overlay has: mixed into one, they give what they promise."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from mlops_assets.spec.quantity import cpu_cores, memory_bytes
from mlops_assets_tests.k8s.addresses import Address, Cluster
from mlops_assets_tests.k8s.made_pods import predictor_pod, run_pod, settings_of
from mlops_assets_tests.k8s.rendering import OVERLAYS, Object, label_of, pods_of, render, selects
from mlops_assets_tests.k8s.test_schemas import problems

FOREIGN = {"Profile", "AuthorizationPolicy"}
"""Kinds of Kubeflow and Istio, of which no schema is at hand."""


KUBEFLOW = "production+kubeflow"
MODELS_QUOTA = "ResourceQuota mlops-models/models"


@pytest.fixture
def kubeflow() -> Sequence[Object]:
    return render(KUBEFLOW)


def test_kubeflow_takes_over_the_namespace_of_models_by_its_owner(
    kubeflow: Sequence[Object],
) -> None:
    """Its controller does so if the annotation names the profile's owner, and keeps our labels."""
    (profile,) = (c for c in kubeflow if c["kind"] == "Profile")
    namespaces = {
        c["metadata"]["name"]: c["metadata"] for c in kubeflow if c["kind"] == "Namespace"
    }
    models = namespaces[profile["metadata"]["name"]]
    owner = settings_of(KUBEFLOW)["MLOPS_KUBEFLOW_OWNER"]
    assert models["annotations"]["owner"] == profile["spec"]["owner"]["name"] == owner
    assert models["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_no_pod_of_ours_is_in_the_mesh(kubeflow: Sequence[Object], tmp_path: Path) -> None:
    (mlops,) = (
        c for c in kubeflow if c["kind"] == "Namespace" and c["metadata"]["name"] == "mlops"
    )
    assert mlops["metadata"]["labels"]["istio-injection"] == "disabled"
    for pod in (predictor_pod(KUBEFLOW), run_pod(KUBEFLOW, tmp_path)):
        assert pod.labels["sidecar.istio.io/inject"] == "false", pod.owner
    assert predictor_pod(KUBEFLOW).labels["istio.io/dataplane-mode"] == "none"


def test_a_mesh_would_let_in_whoever_asks_a_predictor_for_what_it_serves(
    kubeflow: Sequence[Object],
) -> None:
    (policy,) = (c for c in kubeflow if c["kind"] == "AuthorizationPolicy")
    selector = policy["spec"]["selector"]
    assert selects(selector, predictor_pod(KUBEFLOW).labels)
    (rule,) = policy["spec"]["rules"]
    assert "from" not in rule
    (to,) = rule["to"]
    paths = to["operation"]["paths"]
    for asked in ("/v1/models/churn:predict", "/v2/models/churn/infer", "/v2", "/metrics"):
        assert any(fnmatchcase(asked, path) for path in paths), asked


def test_the_rest_stays_as_it_was(kubeflow: Sequence[Object]) -> None:
    before = {(c["kind"], c["metadata"]["name"]) for c in render("production")}
    after = {(c["kind"], c["metadata"]["name"]) for c in kubeflow}
    assert before - after == set()
    assert {kind for kind, _ in after - before} == {
        "Profile", "AuthorizationPolicy", "ServiceAccount", "Role", "RoleBinding", "Job",
    }  # fmt: skip


def test_what_kubeflow_adds_is_what_a_cluster_takes(kubeflow: Sequence[Object]) -> None:
    told = [problem for c in kubeflow if c["kind"] not in FOREIGN for problem in problems(c)]
    assert told == []


def test_whoever_judges_rollouts_reaches_the_prometheus_that_it_is_told() -> None:
    objects = render("production+prometheus-counters")
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
def test_as_many_predictors_as_the_quota_counts_have_the_cpu_and_memory_that_they_ask_for(
    overlay: str,
) -> None:
    """A pod counts with what its containers need together, or one before them if that is more."""
    objects = render(overlay)
    (quota,) = (c["spec"]["hard"] for c in objects if label_of(c) == MODELS_QUOTA)
    pod = predictor_pod(overlay)
    for kind, resource in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
        amount = cpu_cores if resource == "cpu" else memory_bytes
        at_once, before = (
            [amount(str(c["resources"][kind][resource])) for c in pod.spec[containers]]
            for containers in ("containers", "initContainers")
        )
        needed = int(quota["pods"]) * max(sum(at_once), *before)
        assert needed <= amount(quota[f"{kind}.{resource}"]), f"{kind}.{resource}"


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

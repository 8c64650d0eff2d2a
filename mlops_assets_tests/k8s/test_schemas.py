"""Each object is one that a cluster takes: unknown fields and wrong types are found here."""

from typing import Any

import kubernetes_validate
import pytest

from mlops_assets.kserve.validation import check_fields
from mlops_assets_tests.k8s.rendering import MIXED, OVERLAYS, Object, label_of, render

VERSION = "1.36"

KSERVE = {
    "ServingRuntime": "V1alpha1ServingRuntime",
    "ClusterStorageContainer": "V1alpha1ClusterStorageContainer",
}
"""Kinds whose fields are those of the classes of KServe's SDK."""

WITHOUT_SCHEMA = {
    "external-secrets.io/v1/ExternalSecret": "test_references and test_holding follow store, keys",
    "gateway.networking.k8s.io/v1/Gateway": "test_references follows its certificates",
    "gateway.networking.k8s.io/v1/HTTPRoute": "test_references follows its gateway and Services",
    "keda.sh/v1alpha1/ScaledObject": "test_references follows its target",
    "monitoring.coreos.com/v1/PodMonitor": "test_references follows its pods and port",
    "monitoring.coreos.com/v1/PrometheusRule": "observability/test_manifests.py parses expressions",
}
"""Kinds of other projects, of which no package holds a schema; and what is read of them instead."""


CLUSTER_SCOPED = {"ClusterStorageContainer", "Namespace", "PriorityClass", "Profile"}
"""Kinds that are in no namespace: with one, some tools look for them there and find nothing."""


def problems(content: Object) -> list[str]:
    kind = content["kind"]
    if content["apiVersion"].startswith("serving.kserve.io/"):
        return list(check_fields(content, KSERVE[kind], ""))
    if f"{content['apiVersion']}/{kind}" in WITHOUT_SCHEMA:
        return []
    try:
        kubernetes_validate.validate(content, VERSION, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        return [f"Kubernetes {VERSION} has no kind {content['apiVersion']}/{kind}"]
    except kubernetes_validate.ValidationError as error:
        return [str(error)]
    return []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_cluster_takes_every_object(overlay: str) -> None:
    found = {label_of(content): problems(content) for content in render(overlay)}
    assert {label: told for label, told in found.items() if told} == {}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_object_stands_twice(overlay: str) -> None:
    labels = [f"{c['apiVersion']} {label_of(c)}" for c in render(overlay)]
    assert sorted(labels) == sorted(set(labels))


@pytest.mark.parametrize("overlay", [*OVERLAYS, *MIXED])
def test_each_object_has_a_namespace_unless_it_is_the_whole_clusters(overlay: str) -> None:
    wrong = [
        label_of(content)
        for content in render(overlay)
        if ("namespace" in content["metadata"]) == (content["kind"] in CLUSTER_SCOPED)
    ]
    assert wrong == []


def test_kinds_without_a_schema_are_those_that_are_used() -> None:
    used = {f"{c['apiVersion']}/{c['kind']}" for name in OVERLAYS for c in render(name)}
    assert used >= WITHOUT_SCHEMA.keys()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"spec": {"replica": 2}}, "replica"),
        ({"spec": {"replicas": "two"}}, "two"),
        ({"kind": "Deplyoment"}, "Deplyoment"),
    ],
)
def test_a_mistake_is_told(change: dict[str, Any], told: str) -> None:
    (mlflow,) = (c for c in render("kind") if label_of(c) == "Deployment mlops/mlflow")
    spec = {**mlflow["spec"], **change.get("spec", {})}
    assert told in str(problems({**mlflow, **change, "spec": spec}))


def test_a_mistake_in_an_object_of_kserve_is_told() -> None:
    (runtime,) = (c for c in render("kind") if c["kind"] == "ServingRuntime")
    spec = {**runtime["spec"], "protocolVersion": ["v2"]}
    assert "did you mean protocolVersions?" in str(problems({**runtime, "spec": spec}))

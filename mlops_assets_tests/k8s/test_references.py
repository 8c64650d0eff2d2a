"""Whatever an object names is there: no pod waits for a Secret, no right hangs in the air."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.cluster_jobs.generated_secrets import SECRETS
from mlops_assets_tests.k8s.made_pods import predictor_pod, run_pod
from mlops_assets_tests.k8s.rendering import (
    OVERLAYS,
    Object,
    Pod,
    label_of,
    pods_of,
    render,
    selects,
)

GIVEN = {
    ("ConfigMap", "mlops-models", "mlops-trusted-keys"),  # made with the key that signs models
    ("ClusterSecretStore", "", "mlops"),
}
"""What stands in no manifest of ours, and who makes it."""

Name = tuple[str, str, str]  # kind, namespace, name


def names_in(objects: list[Object]) -> set[Name]:
    """What is there once an overlay was applied."""
    found = {
        (content["kind"], content["metadata"].get("namespace", ""), content["metadata"]["name"])
        for content in objects
    }
    found |= {
        ("Secret", namespace, name) for kind, namespace, name in found if kind == "ExternalSecret"
    }
    if ("Job", "mlops", "generated-secrets") in found:
        found |= {(s.kind.kind, s.namespace, s.name) for s in SECRETS}
    return found | GIVEN


def all_pods(overlay: str, folder: Path) -> list[Pod]:
    return [*pods_of(render(overlay)), run_pod(overlay, folder), predictor_pod(overlay)]


def named_by(pod: Pod) -> Iterator[Name]:
    """Everything that a pod names."""

    def here(kind: str, name: str) -> Name:
        return kind, pod.namespace, name

    yield here("ServiceAccount", pod.spec["serviceAccountName"])
    yield "PriorityClass", "", pod.spec["priorityClassName"]
    for volume in pod.spec.get("volumes", ()):
        if "configMap" in volume:
            yield here("ConfigMap", volume["configMap"]["name"])
        if "secret" in volume:
            yield here("Secret", volume["secret"]["secretName"])
        if "persistentVolumeClaim" in volume:
            yield here("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
    for container in pod.containers:
        for source in container.get("envFrom", ()):
            for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if field in source:
                    yield here(kind, source[field]["name"])
        for variable in container.get("env", ()):
            source = variable.get("valueFrom", {})
            for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                if field in source:
                    yield here(kind, source[field]["name"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_all_that_pods_name_is_there(overlay: str, tmp_path: Path) -> None:
    there = names_in(list(render(overlay)))
    missing = {
        f"{pod.owner}: {kind} {namespace}/{name}"
        for pod in all_pods(overlay, tmp_path)
        for kind, namespace, name in named_by(pod)
        if (kind, namespace, name) not in there
    }
    assert missing == set()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_volume_that_is_mounted_is_there_and_the_other_way_round(
    overlay: str, tmp_path: Path
) -> None:
    claims = {
        content["metadata"]["name"]: {
            claim["metadata"]["name"] for claim in content["spec"]["volumeClaimTemplates"]
        }
        for content in render(overlay)
        if content["kind"] == "StatefulSet"
    }
    for pod in all_pods(overlay, tmp_path):
        mounted = {m["name"] for c in pod.containers for m in c.get("volumeMounts", ())}
        volumes = {volume["name"] for volume in pod.spec.get("volumes", ())}
        volumes |= claims.get(pod.labels.get("app.kubernetes.io/name", ""), set())
        assert mounted == volumes, pod.owner


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_account_and_role_is_used(overlay: str, tmp_path: Path) -> None:
    objects = list(render(overlay))
    there = names_in(objects)
    used = {(p.namespace, p.spec["serviceAccountName"]) for p in all_pods(overlay, tmp_path)}
    assert {(ns, name) for kind, ns, name in there - GIVEN if kind == "ServiceAccount"} == used
    bindings = [content for content in objects if content["kind"] == "RoleBinding"]
    bound = {(b["metadata"]["namespace"], b["roleRef"]["name"]) for b in bindings}
    assert {(ns, name) for kind, ns, name in there if kind == "Role"} == bound
    subjects = {(s["namespace"], s["name"]) for b in bindings for s in b["subjects"]}
    assert subjects <= used


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_rights_are_namespaced_and_never_all(overlay: str) -> None:
    objects = render(overlay)
    kinds = {content["kind"] for content in objects}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding"}
    rules = [r for c in objects if c["kind"] == "Role" for r in c["rules"]]
    assert all("*" not in rule[field] for rule in rules for field in rule)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_selectors_fit_the_pods_that_they_mean(overlay: str) -> None:
    objects = list(render(overlay))
    pods = [*pods_of(objects), predictor_pod(overlay)]
    for content in objects:
        spec, namespace = content.get("spec", {}), content["metadata"].get("namespace", "")
        labels = [pod.labels for pod in pods if pod.namespace == namespace]
        if content["kind"] in ("Deployment", "StatefulSet", "PodDisruptionBudget"):
            assert any(selects(spec["selector"], each) for each in labels), content
        if content["kind"] == "Service" and namespace in ("mlops", "mlops-models"):
            selector = {"matchLabels": spec["selector"]}
            assert any(selects(selector, each) for each in labels), content
        if content["kind"] in ("Deployment", "StatefulSet"):
            (own,) = (pod for pod in pods_of([content]))
            (fits,) = [each for each in labels if selects(spec["selector"], each)]
            assert fits == own.labels, f"two workloads share the pods of {own.owner}"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_scales_is_there(overlay: str) -> None:
    objects = render(overlay)
    there = names_in(list(objects))
    scalers = [c for c in objects if c["kind"] in ("HorizontalPodAutoscaler", "ScaledObject")]
    assert scalers
    for scaler in scalers:
        target, namespace = scaler["spec"]["scaleTargetRef"], scaler["metadata"]["namespace"]
        assert (target["kind"], namespace, target["name"]) in there
    targets = [str(scaler["spec"]["scaleTargetRef"]) for scaler in scalers]
    assert len(targets) == len(set(targets)), "two that scale one workload work against each other"
    for content in objects:  # a number of replicas beside a scaler would reset it at each apply
        own = {"kind": content["kind"], "name": content["metadata"]["name"]}
        if any(own.items() <= s["spec"]["scaleTargetRef"].items() for s in scalers):
            assert "replicas" not in content["spec"], own


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_ports_of_services_and_routes_lead_to_a_container(overlay: str) -> None:
    objects = list(render(overlay))
    services: dict[str, Mapping[str, Any]] = {
        content["metadata"]["name"]: content["spec"]
        for content in objects
        if content["kind"] == "Service" and content["metadata"].get("namespace") == "mlops"
    }
    pods = list(pods_of(objects))
    for spec in services.values():
        (pod,) = (p for p in pods if selects({"matchLabels": spec["selector"]}, p.labels))
        open_ports = {port["name"] for c in pod.containers for port in c.get("ports", ())}
        assert {port["targetPort"] for port in spec["ports"]} <= open_ports
    for content in objects:
        if content["kind"] == "HTTPRoute":
            for rule in content["spec"]["rules"]:
                for backend in rule["backendRefs"]:
                    ports = {port["port"] for port in services[backend["name"]]["ports"]}
                    assert backend["port"] in ports


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_doctor_sees_every_workload_of_the_platform(overlay: str) -> None:
    for content in render(overlay):
        if content["kind"] in ("Deployment", "StatefulSet"):
            labels = content["metadata"].get("labels", {})
            assert labels.get("app.kubernetes.io/part-of") == "mlops-assets", label_of(content)

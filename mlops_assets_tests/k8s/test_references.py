"""Whatever an object names is there: no pod waits for a Secret, no right hangs in the air."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from mlops_assets_tests.k8s.holding import Name, held_by
from mlops_assets_tests.k8s.made_pods import all_pods, predictor_pod, predictor_service
from mlops_assets_tests.k8s.rendering import (
    OVERLAYS,
    Object,
    Pod,
    label_of,
    pods_of,
    render,
    selects,
)

GIVEN: Mapping[Name, str] = {
    ("ConfigMap", "mlops-models", "mlops-trusted-keys"): "its private half never is in a cluster",
    ("ClusterSecretStore", "", "mlops"): "the site's own, of whichever kind",
}
"""What neither manifests nor what they start make, and why; in `kind` there is nothing of it."""

_ISSUER = "cert-manager.io/cluster-issuer"


def names_in(objects: Sequence[Object]) -> set[Name]:
    """What is there once an overlay was applied."""
    found = {
        (content["kind"], content["metadata"].get("namespace", ""), content["metadata"]["name"])
        for content in objects
    }
    for gateway in (c for c in objects if c["kind"] == "Gateway"):
        if _ISSUER in gateway["metadata"].get("annotations", {}):
            found |= set(certificates_of(gateway))  # which cert-manager makes
    return found | held_by(objects).keys()


def certificates_of(gateway: Object) -> Iterator[Name]:
    """The Secrets with which a Gateway shows who it is."""
    for listener in gateway["spec"]["listeners"]:
        for reference in listener.get("tls", {}).get("certificateRefs", ()):
            yield "Secret", gateway["metadata"]["namespace"], reference["name"]


def named_in(content: Object) -> Iterator[Name]:
    """What an object that makes no pod names."""
    namespace, spec = content["metadata"].get("namespace", ""), content.get("spec", {})
    match content["kind"]:
        case "ServiceAccount":
            for secret in content.get("secrets", ()):
                yield "Secret", namespace, secret["name"]
        case "ExternalSecret":
            store = spec["secretStoreRef"]
            yield store["kind"], "", store["name"]
        case "HTTPRoute":
            for parent in spec["parentRefs"]:
                yield "Gateway", namespace, parent["name"]
        case "Gateway":
            yield from certificates_of(content)
        case "RoleBinding":
            yield content["roleRef"]["kind"], namespace, content["roleRef"]["name"]
            for subject in content["subjects"]:
                yield subject["kind"], subject["namespace"], subject["name"]


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
def test_all_that_is_named_is_there_but_what_a_site_gives(overlay: str) -> None:
    objects = render(overlay)
    there = names_in(objects)
    named = {name for pod in all_pods(overlay) for name in named_by(pod)}
    named |= {name for content in objects for name in named_in(content)}
    service = predictor_service(overlay)["spec"]["predictor"]
    named.add(("ServingRuntime", "mlops-models", service["model"]["runtime"]))
    named.add(("ClusterStorageContainer", "", service["storageContainerName"]))
    is_site = any(content["kind"] == "ExternalSecret" for content in objects)
    assert named - there == (GIVEN.keys() if is_site else set())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_volume_that_is_mounted_is_there_and_the_other_way_round(overlay: str) -> None:
    claims = {
        content["metadata"]["name"]: {
            claim["metadata"]["name"] for claim in content["spec"]["volumeClaimTemplates"]
        }
        for content in render(overlay)
        if content["kind"] == "StatefulSet"
    }
    for pod in all_pods(overlay):
        mounted = {m["name"] for c in pod.containers for m in c.get("volumeMounts", ())}
        volumes = {volume["name"] for volume in pod.spec.get("volumes", ())}
        volumes |= claims.get(pod.labels.get("app.kubernetes.io/name", ""), set())
        assert mounted == volumes, pod.owner


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_account_and_role_is_used(overlay: str) -> None:
    objects = list(render(overlay))
    there = names_in(objects)
    used = {(p.namespace, p.spec["serviceAccountName"]) for p in all_pods(overlay)}
    assert {(ns, name) for kind, ns, name in there if kind == "ServiceAccount"} == used
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
        opened = [port for c in pod.containers for port in c.get("ports", ())]
        names = {port["name"] for port in opened} | {port["containerPort"] for port in opened}
        assert {port["targetPort"] for port in spec["ports"]} <= names
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


@pytest.mark.parametrize("overlay", ["staging", "production"])
def test_monitors_read_a_port_of_pods_that_there_are(overlay: str) -> None:
    monitors = [content for content in render(overlay) if content["kind"] == "PodMonitor"]
    assert monitors
    for monitor in monitors:
        spec, namespace = monitor["spec"], monitor["metadata"]["namespace"]
        (pod,) = (
            pod
            for pod in all_pods(overlay)
            if pod.namespace == namespace and selects(spec["selector"], pod.labels)
        )
        names = {port["name"] for c in pod.containers for port in c.get("ports", ())}
        assert {endpoint["port"] for endpoint in spec["podMetricsEndpoints"]} & names

"""KServe's controller in Standard mode, as of 0.21, for one InferenceService.

Kept from it, since clients must live with it: an orphaned Deployment goes at once; annotations of
the service reach the pods; `Ready` stays true while old pods serve; `observedGeneration` is the
Deployment's; only ready canaries get a share; the stable one has what is left.
"""

import math
from typing import Any

from mlops_assets_tests.kubernetes.containers import MODEL_DIR
from mlops_assets_tests.kubernetes.kinds import Object
from mlops_assets_tests.kubernetes.objects import Objects
from mlops_assets_tests.kubernetes.workloads import MAIN, condition

MANAGED_BY = "serving.kserve.io/inferenceservice"
_NOT_TO_PODS = ("kubectl.kubernetes.io/last-applied-configuration",)


def reconcile_standard(objects: Objects, service: Object, domain: str) -> None:
    """Make Deployments and the route match a service; write its status."""
    namespace = service["metadata"]["namespace"]
    stable = service["spec"]["predictor"]
    canaries = service["spec"].get("canary") or []
    blocks = [stable, *(_overlay(stable, entry["predictor"]) for entry in canaries)]
    wanted = [workload_name(service, block) for block in blocks]
    for found in objects.list(objects.kind("deployments"), namespace):
        metadata = found["metadata"]
        ours = metadata["labels"].get(MANAGED_BY) == service["metadata"]["name"]
        if ours and metadata["name"] not in wanted:
            objects.delete(objects.kind("deployments"), namespace, metadata["name"])
    ready = [_available(objects, namespace, name) for name in wanted[1:]]
    least = stable.get("minReplicas", 1)
    replicas = [max(1, least - sum(ready))]
    for entry in canaries:
        share = math.ceil(least * entry["trafficPercent"] / 100)
        replicas.append(entry["predictor"].get("minReplicas", max(1, share)))
    for name, block, number in zip(wanted, blocks, replicas, strict=True):
        body = build_deployment(service, block, name, number)
        objects.put("deployments", namespace, body)
    if _available(objects, namespace, wanted[0]):
        _route(objects, service, wanted, [entry["trafficPercent"] for entry in canaries])
    kind = objects.kind("inferenceservices")
    status = _status(objects, service, wanted, domain)
    objects.set_status(kind, namespace, service["metadata"]["name"], status)


def workload_name(service: Object, block: Object) -> str:
    """Name of the Deployment and of the Service of one predictor."""
    parts = (service["metadata"]["name"], block.get("name"), "predictor")
    return "-".join(part for part in parts if part)


def _overlay(stable: Object, canary: Object) -> Object:
    model = {name: value for name, value in canary["model"].items() if value not in ("", None)}
    return {**stable, **canary, "model": {**stable["model"], **model}}


def build_deployment(service: Object, block: Object, name: str, replicas: int) -> Object:
    """The Deployment of one predictor; the service's own annotations go to its pods."""
    metadata = service["metadata"]
    inherited = {
        key: value
        for key, value in metadata.get("annotations", {}).items()
        if key not in _NOT_TO_PODS
    }
    labels = {
        **metadata.get("labels", {}),
        **block.get("labels", {}),
        MANAGED_BY: metadata["name"],
        "component": "predictor",
        "app": f"isvc.{name}",
    }
    model = block["model"]
    own = ("args", "resources", "startupProbe", "readinessProbe", "terminationMessagePolicy")
    container: dict[str, Any] = {key: model[key] for key in own if key in model}
    container.update(name=MAIN, image=model.get("image") or "predictor:1")
    runtime = [f"--model-name={metadata['name']}", f"--model-dir={MODEL_DIR}"]
    container["args"] = [*runtime, *model.get("args", [])]
    initializer = {
        "name": "storage-initializer",
        "image": "storage:1",
        "args": [model["storageUri"], MODEL_DIR],
    }
    return {
        "metadata": {
            "name": name,
            "labels": {MANAGED_BY: metadata["name"]},
            "ownerReferences": [owner_of(service)],
        },
        "spec": {
            "replicas": replicas,
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {**inherited, **block.get("annotations", {})},
                },
                "spec": {"initContainers": [initializer], "containers": [container]},
            },
        },
    }


def owner_of(service: Object) -> Object:
    """The reference by which an object belongs to a service."""
    return {
        "apiVersion": service["apiVersion"],
        "kind": service["kind"],
        "name": service["metadata"]["name"],
        "uid": service["metadata"]["uid"],
    }


def _available(objects: Objects, namespace: str, name: str) -> int:
    found = objects.find("deployments", namespace, name)
    count: int = (found or {}).get("status", {}).get("availableReplicas", 0)
    return count


def _route(objects: Objects, service: Object, names: list[str], percents: list[int]) -> None:
    """The weighted HTTPRoute, where the cluster has Gateway API."""
    if not any(kind.plural == "httproutes" for kind in objects.kinds.values()):
        return
    namespace = service["metadata"]["namespace"]
    shares = {
        name: percent
        for name, percent in zip(names[1:], percents, strict=True)
        if _available(objects, namespace, name)
    }
    shares = {names[0]: 100 - sum(shares.values()), **shares}
    backends = [
        {"kind": "Service", "name": name, "port": 80, "weight": share}
        for name, share in shares.items()
    ]
    body = {
        "metadata": {
            "name": service["metadata"]["name"],
            "ownerReferences": [owner_of(service)],
        },
        "spec": {"rules": [{"backendRefs": backends}]},
    }
    objects.put("httproutes", namespace, body)


def _status(objects: Objects, service: Object, names: list[str], domain: str) -> Object:
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    deployment = objects.find("deployments", namespace, names[0]) or {}
    seen = deployment.get("status", {})
    available = bool(seen.get("availableReplicas"))
    ready = "True" if available else "False"
    status = {
        "deploymentMode": "Standard",
        "observedGeneration": seen.get("observedGeneration", 1),
        "conditions": [
            condition("PredictorReady", ready),
            condition("IngressReady", ready),
            condition("Ready", ready),
        ],
        "modelStatus": {"transitionStatus": "UpToDate" if available else "InProgress"},
        "canaryStatuses": [
            {
                "name": entry["predictor"]["name"],
                "ready": bool(_available(objects, namespace, canary)),
                "trafficPercent": entry["trafficPercent"],
            }
            for entry, canary in zip(service["spec"].get("canary") or [], names[1:], strict=True)
        ],
    }
    if available:
        status["url"] = f"http://{name}-{namespace}.{domain}"
    return status

"""What KServe's CRD and webhook refuse, and the one default that clients see.

Rules of KServe 0.21: `validateCanarySpecs`, `validateDeploymentMode`, `component.go`.
"""

import re
from typing import Any

from mlops_assets_tests.kubernetes.kinds import Kind, Object
from mlops_assets_tests.kubernetes.refusal import Refusal

_MODE = "serving.kserve.io/deploymentMode"
_NOT_IN_CANARIES = ("maxReplicas", "scaleTarget", "scaleMetric", "autoScaling", "workerSpec")
_AUTOSCALERS = ("hpa", "keda", "external", "none")


def admit_inference_service(kind: Kind, new: Object, old: Object | None) -> None:
    """Refuse what the validating webhook does; add what the defaulter adds."""
    if kind.plural != "inferenceservices":
        return
    name, spec = new["metadata"]["name"], new["spec"]
    canaries = spec.get("canary") or []
    for index, canary in enumerate(canaries):
        if "name" not in canary["predictor"].get("model", {}):
            field = f"spec.canary[{index}].predictor.model.name"
            raise Refusal(422, f'InferenceService "{name}" is invalid: {field}: Required value')
    spec["predictor"].setdefault("model", {}).setdefault("name", "")
    problem = (
        _check_service(name, new)
        or _check_canaries(new, canaries)
        or (_check_change(new, old) if old is not None else None)
    )
    if problem:
        hook = "inferenceservice.kserve-webhook-server.validator"
        raise Refusal(403, f'admission webhook "{hook}" denied the request: {problem}')


def _check_service(name: str, new: Object) -> str | None:
    predictor = new["spec"]["predictor"]
    annotations = new["metadata"].get("annotations", {})
    if not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name):
        return f'the InferenceService "{name}" is invalid'
    least, most = predictor.get("minReplicas", 1), predictor.get("maxReplicas", 0)
    if most and least > most:
        return "MinReplicas cannot be greater than MaxReplicas"
    autoscaler = annotations.get("serving.kserve.io/autoscalerClass", "hpa")
    if autoscaler not in _AUTOSCALERS:
        return f"[{autoscaler}] is not a supported autoscaler class type"
    if annotations.get(_MODE) == "Knative" and "deploymentStrategy" in predictor:
        return "deploymentStrategy is only allowed in Standard mode"
    return None


def _check_canaries(new: Object, canaries: list[Any]) -> str | None:
    if not canaries:
        return None
    stable = new["spec"]["predictor"]
    if new["metadata"].get("annotations", {}).get(_MODE) != "Standard":
        return f"canary requires the annotation {_MODE}: Standard"
    if sum(canary["trafficPercent"] for canary in canaries) > 100:
        return "the sum of canary trafficPercent must not exceed 100"
    names = [stable.get("name", ""), *(canary["predictor"].get("name") for canary in canaries)]
    if not all(names[1:]) or len(set(names)) < len(names):
        return f"canary predictor names must be set and unique, found {names}"
    for canary in canaries:
        for field in _NOT_IN_CANARIES:
            if field in canary["predictor"]:
                return f"canary {canary['predictor']['name']}: {field} is not allowed"
        if canary["predictor"].get("minReplicas", 0) > stable.get("minReplicas", 1):
            return "canary minReplicas must not be greater than the stable predictor's"
    return None


def _check_change(new: Object, old: Object) -> str | None:
    mode = new["metadata"].get("annotations", {}).get(_MODE, "Knative")
    recorded = old.get("status", {}).get("deploymentMode", mode)
    if mode != recorded:
        return f"update rejected: deploymentMode cannot be changed from {recorded} to {mode}"
    was, now = old["spec"]["predictor"], new["spec"]["predictor"]
    same_model = was["model"].get("storageUri") == now["model"].get("storageUri")
    if was.get("name") != now.get("name") and same_model:
        return "predictor.name can only change together with storageUri"
    return None

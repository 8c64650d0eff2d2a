"""What is wrong with an InferenceService, found before a cluster is asked.

Fields and their types are those of the SDK's own classes; the rules are those of KServe's webhook.
An API server drops unknown fields silently, or says so in words that name no remedy.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from mlops_assets.errors import ServingError
from mlops_assets.kserve.sdk import model_fields

_PLAIN: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
    "object": object,
}
_ALIASES = {"K8sIoApiAppsV1DeploymentStrategy": "V1DeploymentStrategy"}
_AUTOSCALERS = ("hpa", "keda", "external", "none")
_SCHEMES = (
    "s3", "gs", "hf", "pvc", "file", "http", "https", "oci", "oci+native", "oci+fetch", "hdfs",
    "webhdfs",
)  # fmt: skip
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LONGEST_NAME = 63


def require_valid(manifest: Mapping[str, Any]) -> None:
    """Refuse a manifest that no cluster could serve.

    Raises:
        ServingError: names every problem and its field.
    """
    problems = check_manifest(manifest)
    if problems:
        name = (manifest.get("metadata") or {}).get("name")
        raise ServingError(f"InferenceService {name}: " + "; ".join(problems))


def check_manifest(manifest: Mapping[str, Any]) -> list[str]:
    """Every problem with a manifest, each with the path of its field."""
    problems = list(check_fields(manifest, "V1beta1InferenceService", ""))
    return problems or list(_check_rules(manifest))


def check_fields(value: Any, kind: str, path: str) -> Iterator[str]:
    """Fields that the SDK's class does not have, with the nearest that it has; wrong types.

    Args:
        value: What stands there.
        kind: Type in the SDK's words: `str`, `list[V1Container]`, `V1beta1PredictorSpec`.
        path: Where it stands.
    """
    if value is None:
        return
    if "Quantity" in kind or "IntOrString" in kind:
        if not isinstance(value, (str, int, float)):
            yield f"{path}: expected a number or a text, found {value!r}"
    elif found := re.fullmatch(r"dict[\[(]str, (.*)[\])]", kind):
        if isinstance(value, Mapping):
            for name, item in value.items():
                yield from check_fields(item, found[1], f"{path}.{name}")
        else:
            yield f"{path}: expected fields, found {value!r}"
    elif found := re.fullmatch(r"list\[(.+)\]", kind):
        if isinstance(value, Sequence) and not isinstance(value, str):
            for index, item in enumerate(value):
                yield from check_fields(item, found[1], f"{path}[{index}]")
        else:
            yield f"{path}: expected a list, found {value!r}"
    elif kind in _PLAIN:
        is_flag = isinstance(value, bool) and kind in ("int", "float")
        if is_flag or not isinstance(value, _PLAIN[kind]):
            yield f"{path}: expected {kind}, found {value!r}"
    else:
        yield from _check_object(value, kind, path)


def _check_object(value: Any, kind: str, path: str) -> Iterator[str]:
    fields = _fields(_ALIASES.get(kind, kind))
    if fields is None:
        return  # a type that the SDK names and does not have
    if not isinstance(value, Mapping):
        yield f"{path}: expected fields, found {value!r}"
        return
    for name, item in value.items():
        where = f"{path}.{name}".lstrip(".")
        if name not in fields:
            near = difflib.get_close_matches(str(name), fields, 1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(fields))}"
            yield f"{where}: no such field; {hint}"
        else:
            # A port may be a name, and a rolling update's numbers percents.
            loose = name in ("port", "targetPort", "maxSurge", "maxUnavailable")
            yield from check_fields(item, "IntOrString" if loose else fields[name], where)


@cache
def _fields(kind: str) -> Mapping[str, str] | None:
    """Types by field of a class of KServe's or of Kubernetes' SDK; None when there is none."""
    fields = model_fields(kind)
    if fields is not None:
        return fields
    from kubernetes.client import models

    found = getattr(models, kind, None)
    if found is None or not hasattr(found, "openapi_types"):
        return None
    types = found.openapi_types
    return {field: types[name] for name, field in found.attribute_map.items()}


def _check_rules(manifest: Mapping[str, Any]) -> Iterator[str]:
    metadata, spec = manifest.get("metadata") or {}, manifest.get("spec") or {}
    name = metadata.get("name") or ""
    if not _NAME.fullmatch(name):
        yield f"metadata.name: expected small letters, digits and dashes, found {name!r}"
    stable = spec.get("predictor")
    if not stable:
        yield "spec.predictor: missing"
        return
    annotations = metadata.get("annotations") or {}
    autoscaler = annotations.get("serving.kserve.io/autoscalerClass", "hpa")
    if autoscaler not in _AUTOSCALERS:
        yield f"serving.kserve.io/autoscalerClass: expected {_AUTOSCALERS}, found {autoscaler!r}"
    yield from _check_predictor(name, stable, "spec.predictor")
    canaries = spec.get("canary") or []
    for index, entry in enumerate(canaries):
        where = f"spec.canary[{index}]"
        yield from _check_predictor(name, entry["predictor"], f"{where}.predictor")
        if not 0 <= entry.get("trafficPercent", -1) <= 100:
            yield f"{where}.trafficPercent: expected 0 to 100"
    if sum(entry.get("trafficPercent", 0) for entry in canaries) > 100:
        yield "spec.canary: the percents sum to more than 100"
    if canaries and (spec.get("transformer") or spec.get("explainer")):
        yield "spec.canary: its requests pass by a transformer or an explainer; leave those out"
    names = [stable.get("name"), *(entry["predictor"].get("name") for entry in canaries)]
    if len(set(names)) < len(names):
        yield f"spec.canary: each predictor needs a name of its own, found {names}"


def _check_predictor(service: str, block: Mapping[str, Any], path: str) -> Iterator[str]:
    name = block.get("name") or ""
    if not _NAME.fullmatch(name):
        yield f"{path}.name: expected small letters, digits and dashes, found {name!r}"
    if len(f"{service}-{name}-predictor") > _LONGEST_NAME:
        yield f"{path}.name: {service}-{name}-predictor has more than {_LONGEST_NAME} letters"
    least, most = block.get("minReplicas", 1), block.get("maxReplicas", 0)
    if least < 0 or (most and least > most):
        yield f"{path}.minReplicas: expected 0 to maxReplicas ({most}), found {least}"
    model = block.get("model")
    if not model:
        yield f"{path}.model: missing"
        return
    uri = model.get("storageUri") or ""
    if uri and block.get("storageUris"):
        yield f"{path}: storageUri and storageUris exclude each other"
    scheme = uri.partition("://")[0] if "://" in uri else ""
    if uri and scheme not in _SCHEMES and not block.get("storageContainerName"):
        yield (
            f"{path}.model.storageUri: KServe fetches from {', '.join(_SCHEMES)}, found {uri!r}; "
            "name a storageContainerName that takes it"
        )
    if any(item.get("name") == "PYTHONPATH" for item in model.get("env") or []):
        yield f"{path}.model.env: KServe refuses PYTHONPATH"

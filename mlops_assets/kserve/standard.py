"""The InferenceService to apply in Standard mode, from what is declared and what serves. Pure.

KServe deletes the former predictor's Deployment the moment that `predictor.name` changes. So while
a declared stable revision is not ready, the one that serves stays `spec.predictor`, and the new one
starts beside it as a canary without a share. Once it is ready it becomes `spec.predictor`: the
same Deployment, the same pods, no restart.
"""

import copy
import math
from collections.abc import Mapping
from typing import Any

from mlops_assets.kserve.blocks import Block, Declared

_NOT_IN_CANARIES = (
    "maxReplicas", "scaleTarget", "scaleMetric", "autoScaling", "deploymentStrategy",
)  # fmt: skip


def render_standard(declared: Declared, serving: Block | None) -> dict[str, Any]:
    """The object to apply.

    Args:
        declared: What should be.
        serving: The predictor that serves now as it stands on the cluster, while the declared
            stable one is not ready to replace it; None: the declared one goes first.
    """
    blocks, percent = declared.blocks, declared.percent
    stable = blocks[declared.stable] if serving is None else serving
    canaries = [
        _canary(block, stable, percent[name] if serving is None else 0)
        for name, block in blocks.items()
        if block is not stable and name != stable.get("name")
    ]
    spec = {**declared.manifest["spec"], "predictor": stable}
    spec.pop("canary", None)
    if canaries:
        spec["canary"] = canaries
    return declared.to_service("Standard", spec)


def _canary(block: Block, stable: Block, percent: int) -> dict[str, Any]:
    """An entry of `spec.canary` that KServe's webhook and CRD take.

    It needs a number of pods of its own (0 % would have none) and never more than the stable one;
    and `model.name`, which the CRD demands by mistake.
    """
    least = stable.get("minReplicas", 1)
    predictor = {key: value for key, value in block.items() if key not in _NOT_IN_CANARIES}
    predictor["minReplicas"] = max(1, math.ceil(least * percent / 100))
    predictor["model"] = {**block["model"], "name": ""}
    return {"trafficPercent": percent, "predictor": copy.deepcopy(predictor)}


def workload_name(service: str, revision: str) -> str:
    """Name of the Deployment and of the Service of a revision.

    >>> workload_name("toy", "v7")
    'toy-v7-predictor'
    """
    return f"{service}-{revision}-predictor" if revision else f"{service}-predictor"


def route_shares(service: str, route: Mapping[str, Any]) -> dict[str, int]:
    """Percent by revision of an HTTPRoute; empty when it leads to no predictor.

    >>> backends = [{"name": "toy-v1-predictor", "weight": 3}, {"name": "toy-v2-predictor"}]
    >>> route_shares("toy", {"spec": {"rules": [{"backendRefs": backends}]}})
    {'v1': 75, 'v2': 25}
    """
    for rule in route["spec"].get("rules") or []:
        weights = {
            revision: backend.get("weight", 1)
            for backend in rule.get("backendRefs") or []
            if (revision := _revision_of(service, backend["name"])) is not None
        }
        total = sum(weights.values())
        if total:
            return _whole_percents(weights, total)
    return {}


def _revision_of(service: str, backend: str) -> str | None:
    if not backend.startswith(f"{service}-") or not backend.endswith("-predictor"):
        return None
    return backend[len(service) + 1 : -len("-predictor")]


def _whole_percents(weights: Mapping[str, int], total: int) -> dict[str, int]:
    """Percents that sum to 100; what rounding leaves goes to the first."""
    percents = {name: 100 * weight // total for name, weight in weights.items()}
    first = next(iter(percents))
    percents[first] += 100 - sum(percents.values())
    return percents

"""Shares that a person set on an InferenceService by hand, as its managed fields tell. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from mlops_assets.kserve.api import FIELD_MANAGER
from mlops_assets.kserve.blocks import Declared, mark_of
from mlops_assets.kserve.capabilities import Mode

SHARE_FIELDS = (".spec.canary", ".spec.predictor.canaryTrafficPercent")
"""The fields that say shares, as the API server names them in a conflict."""

Object = Mapping[str, Any]


def read_edited_shares(service: Object, declared: Declared, mode: Mode) -> dict[str, int] | None:
    """Percent by revision as the object says it, if somebody else than we set it.

    Args:
        service: The InferenceService.
        declared: What we declared last.
        mode: How KServe runs it.

    Returns:
        None when the shares are ours, or the same as ours.
    """
    spec = service["spec"]
    is_said = "canary" in spec or "canaryTrafficPercent" in spec["predictor"]
    is_gone = len(declared.blocks) > 1 and not is_said
    if not is_gone and not any(_set_by_others(service)):
        return None
    if mode == "Standard":
        said = _said_in_standard(spec)
    else:
        said = _said_in_knative(spec["predictor"], declared)
    return None if said == declared.percent else said


def _set_by_others(service: Object) -> Iterator[bool]:
    for entry in service["metadata"].get("managedFields") or []:
        if entry.get("manager") == FIELD_MANAGER or entry.get("subresource"):
            continue
        spec = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        yield "f:canary" in spec or "f:canaryTrafficPercent" in (spec.get("f:predictor") or {})


def _said_in_standard(spec: Object) -> dict[str, int]:
    canaries = {
        entry["predictor"]["name"]: int(entry.get("trafficPercent") or 0)
        for entry in spec.get("canary") or []
    }
    return {spec["predictor"]["name"]: 100 - sum(canaries.values()), **canaries}


def _said_in_knative(predictor: Object, declared: Declared) -> dict[str, int]:
    """The latest revision has the percent, the one other that is declared the rest."""
    names = {mark_of(block): name for name, block in declared.blocks.items()}
    latest = names.get(mark_of(predictor), "")
    share = int(predictor.get("canaryTrafficPercent", 100))
    others = [name for name in declared.blocks if name != latest]
    return {latest: share, **dict.fromkeys(others[:1], 100 - share)}

"""The InferenceService to apply in Knative mode, from what is declared and what serves. Pure.

There is one predictor: the latest revision, with `canaryTrafficPercent` of the requests; the rest
goes to the one former revision that KServe remembers. Without that field all requests go to the
latest revision that is ready. So when another latest revision is in flight, the field pins all
requests to the former one until the new one is ready, or a bad canary would get them meanwhile.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_assets.errors import ServingError
from mlops_assets.kserve.blocks import Block, Declared, mark_of

# Knative refuses these, or has its own way for them.
_NOT_IN_PREDICTOR = (
    "name", "deploymentStrategy", "scaleMetric", "scaleTarget", "autoScaling",
    "terminationGracePeriodSeconds",
)  # fmt: skip
_NOT_IN_MODEL = ("lifecycle", "startupProbe")
_NOT_ON_SERVICE = ("serving.kserve.io/autoscalerClass",)


@dataclass(frozen=True, slots=True)
class KnativeTraffic:
    """What KServe reports of the revisions of a service, by the digests of their declarations.

    Attributes:
        latest_created: The newest revision.
        latest_ready: The newest that is ready; "" when none is.
        rolled_out: The one that had all requests last; "" when none ever had.
        previous: The one that had them before that; "" when there was none.
        percent: Share by Knative's own name of the revision.
        names: Our names by Knative's own.
        ready: Those that are ready, also with no pod at all: a request would start one.
    """

    latest_created: str = ""
    latest_ready: str = ""
    rolled_out: str = ""
    previous: str = ""
    percent: Mapping[str, int] | None = None
    names: Mapping[str, str] | None = None
    ready: frozenset[str] = frozenset()

    @property
    def shares(self) -> dict[str, int]:
        """Percent by our name of the revision."""
        found: dict[str, int] = {}
        for name, share in (self.percent or {}).items():
            ours = (self.names or {}).get(name, name)
            found[ours] = found.get(ours, 0) + share
        return found


def read_traffic(service: Mapping[str, Any], revisions: Mapping[str, Any]) -> KnativeTraffic:
    """What is, from the status of an InferenceService and its Revisions by name."""
    predictor = service.get("status", {}).get("components", {}).get("predictor", {})

    def digest(field: str) -> str:
        found = revisions.get(predictor.get(field) or "")
        return mark_of(found["metadata"]) if found is not None else ""

    percent: dict[str, int] = {}
    for target in predictor.get("traffic") or []:
        name = target.get("revisionName", "")
        percent[name] = percent.get(name, 0) + int(target.get("percent") or 0)
    names = {
        name: (found["metadata"].get("labels") or {}).get("endpoint", name)
        for name, found in revisions.items()
    }
    return KnativeTraffic(
        latest_created=digest("latestCreatedRevision"),
        latest_ready=digest("latestReadyRevision"),
        rolled_out=digest("latestRolledoutRevision"),
        previous=digest("previousRolledoutRevision"),
        percent=percent,
        names=names,
        ready=frozenset(mark_of(r["metadata"]) for r in revisions.values() if _is_ready(r)),
    )


def _is_ready(revision: Mapping[str, Any]) -> bool:
    conditions = revision.get("status", {}).get("conditions") or []
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def render_knative(declared: Declared, found: KnativeTraffic) -> dict[str, Any]:
    """The object to apply.

    Args:
        declared: What should be; at most one canary.
        found: What is.

    Raises:
        ServingError: there is a canary, and its stable revision is none that KServe remembers.
    """
    blocks, percent = declared.blocks, declared.percent
    if len(blocks) == 1:
        latest = blocks[declared.stable]
        pinned = _must_pin(mark_of(latest), found)
        return _service(declared, latest, 0 if pinned else None)
    stable, canary = blocks.values()
    if _remembers_canary(mark_of(stable), mark_of(canary), found):
        return _service(declared, stable, percent[declared.stable])
    if not _shares_with(mark_of(canary), mark_of(stable), found):
        raise ServingError(
            f"mode Knative: a canary needs its stable revision {declared.stable} live first, with "
            "all requests; declare it alone and wait until it is ready"
        )
    return _service(declared, canary, percent[canary["name"]])


def _service(declared: Declared, latest: Block, percent: int | None) -> dict[str, Any]:
    service = declared.to_service("Knative", {"predictor": _predictor(latest, percent)})
    for name in _NOT_ON_SERVICE:
        service["metadata"]["annotations"].pop(name, None)
    return service


def _remembers_canary(stable: str, canary: str, found: KnativeTraffic) -> bool:
    """Whether the stable revision is the latest and the canary the former one: as after a
    promotion, when the version before it is kept to go back to. No pod needs to start then."""
    is_latest = found.latest_created == found.latest_ready == stable
    return is_latest and _shares_with(stable, canary, found)


def _shares_with(latest: str, former: str, found: KnativeTraffic) -> bool:
    """Whether KServe gives to this former revision what the latest one leaves.

    It is the one that had all requests last. When that is the latest itself, a percent below 100
    brings back the one before it.
    """
    had_all = found.rolled_out == latest == found.latest_created
    return found.rolled_out == former or (had_all and found.previous == former)


def _must_pin(wanted: str, found: KnativeTraffic) -> bool:
    """Whether all requests must stay with the former revision until the wanted one is ready."""
    in_flight = bool(found.rolled_out) and found.latest_ready != found.rolled_out
    is_live = found.latest_ready == found.latest_created == wanted
    return in_flight and not is_live


def _predictor(block: Block, percent: int | None) -> dict[str, Any]:
    """A block that Knative takes: the probe that waits for the start becomes patience."""
    predictor = {key: value for key, value in block.items() if key not in _NOT_IN_PREDICTOR}
    model = {key: value for key, value in block["model"].items() if key not in _NOT_IN_MODEL}
    startup = block["model"].get("startupProbe") or {}
    seconds = startup.get("periodSeconds", 0) * startup.get("failureThreshold", 0)
    if seconds and "livenessProbe" in model:
        model["livenessProbe"] = {**model["livenessProbe"], "initialDelaySeconds": seconds}
    predictor["model"] = model
    if percent is not None:
        predictor["canaryTrafficPercent"] = percent
    return copy.deepcopy(predictor)

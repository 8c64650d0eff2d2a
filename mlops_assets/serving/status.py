"""The status of a service in the form that KServe writes it, to and fro. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mlops_assets.serving.backend import Condition, Phase, RevisionStatus, ServiceStatus


def build_status(
    *,
    phase: Phase,
    reason: str,
    failed_revision: str | None,
    declared_revision: str,
    ready_revision: str | None,
    traffic: Mapping[str, int],
    url: str,
    manifest_digest: str,
    shadow: str | None = None,
    revisions: Sequence[RevisionStatus] = (),
    now: datetime,
) -> dict[str, Any]:
    """KServe's `status` of a service, with the manifest that it speaks of beside it.

    `Ready` is what users ask first: the declared revision answers. `PredictorReady` is whether any
    revision does, so that an old one that serves while the new one fails is seen as such.
    """
    states = {"pending": ("Unknown", "InProgress", "Loading"), "ready": ("True", "UpToDate", "")}
    ready, transition, target = states.get(phase, ("False", "BlockedByFailedLoad", "FailedToLoad"))
    status: dict[str, Any] = {
        "conditions": [
            _condition("Ready", ready, transition, reason, now),
            _condition("PredictorReady", str(bool(traffic)), transition, "", now),
        ],
        "url": url,
        "components": {
            "predictor": {
                "latestReadyRevision": ready_revision,
                "latestCreatedRevision": declared_revision,
                "traffic": [
                    {
                        "revisionName": name,
                        "percent": percent,
                        "latestRevision": name == declared_revision,
                    }
                    for name, percent in traffic.items()
                ],
            }
        },
        "modelStatus": {
            "transitionStatus": transition,
            "states": {
                "activeModelState": "Loaded" if traffic else "Pending",
                "targetModelState": target or "Loaded",
            },
        },
        "manifestDigest": manifest_digest,
        "shadowRevision": shadow,
        "revisions": [revision.model_dump() for revision in revisions],
    }
    if failed_revision is not None:
        status["modelStatus"]["lastFailureInfo"] = {
            "reason": "ModelLoadFailed",
            "message": reason,
            "modelRevisionName": failed_revision,
            "time": now.isoformat(),
        }
    return status


def _condition(kind: str, status: str, reason: str, message: str, now: datetime) -> dict[str, str]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": now.isoformat(),
    }


def read_status(service: str, status: Mapping[str, Any]) -> ServiceStatus:
    """A service's status from KServe's form."""
    conditions = tuple(Condition.model_validate(item) for item in status["conditions"])
    predictor = status["components"]["predictor"]
    phases: dict[str, Phase] = {"UpToDate": "ready", "InProgress": "pending"}
    return ServiceStatus(
        service=service,
        phase=phases.get(status["modelStatus"]["transitionStatus"], "failed"),
        reason=next(item.message for item in conditions if item.type == "Ready"),
        conditions=conditions,
        ready_revision=predictor.get("latestReadyRevision"),
        declared_revision=predictor["latestCreatedRevision"],
        traffic={item["revisionName"]: item["percent"] for item in predictor["traffic"]},
        url=status["url"],
        manifest_digest=status["manifestDigest"],
        shadow=status.get("shadowRevision"),
        revisions=tuple(
            RevisionStatus.model_validate(item) for item in status.get("revisions", ())
        ),
    )


def same_but_for_times(one: Mapping[str, Any] | None, other: Mapping[str, Any]) -> bool:
    """Whether two statuses say the same, whenever they were written."""
    return one is not None and _without_times(one) == _without_times(other)


def _without_times(value: Any) -> Any:
    if isinstance(value, Mapping):
        times = ("lastTransitionTime", "time")
        return {key: _without_times(item) for key, item in value.items() if key not in times}
    return [_without_times(item) for item in value] if isinstance(value, list) else value

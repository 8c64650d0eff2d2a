"""What is read of a service, told as a `ServiceStatus`. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlops_assets.kserve.blocks import Declared, mark_of
from mlops_assets.kserve.manifest import manifest_digest
from mlops_assets.kserve.observation import Observed
from mlops_assets.kserve.pods import Patience, judge_revision
from mlops_assets.serving.backend import Condition, Phase, RevisionStatus, ServiceStatus

Object = Mapping[str, Any]


def judge_revisions(observed: Observed, patience: Patience) -> tuple[RevisionStatus, ...]:
    """Each declared revision, and the one that serves when it is another."""
    if observed.declared is None:
        return ()
    marks = {name: mark_of(block) for name, block in observed.declared.blocks.items()}
    if observed.mode == "Standard" and observed.serving_name not in marks:
        marks[observed.serving_name] = observed.serving_mark
    return tuple(_judge_one(observed, name, mark, patience) for name, mark in marks.items())


def _judge_one(observed: Observed, name: str, mark: str, patience: Patience) -> RevisionStatus:
    pods = observed.pods_of(mark)
    if not pods and mark in observed.knative.ready:
        return RevisionStatus(name=name, phase="ready", reason="no pod; a request starts one")
    deployment = observed.deployment_of(mark)
    return judge_revision(name, deployment, pods, observed.logs or {}, patience)


def build_status(observed: Observed, patience: Patience) -> ServiceStatus | None:
    """The status of a service; None when there is none."""
    if observed.service is None:
        return None
    declared, traffic = observed.declared, observed.traffic
    if declared is None:
        return _status_of_foreign(observed)
    revisions = judge_revisions(observed, patience)
    phase, reason = _judge(observed, declared, revisions)
    serving = [name for name, share in traffic.items() if share]
    if phase != "ready" and serving and declared.stable not in serving:
        reason = f"{reason}; {' and '.join(serving)} still serves"
    ready = {revision.name for revision in revisions if revision.phase == "ready"}
    stable = declared.stable if declared.stable in ready and declared.stable in traffic else None
    status = observed.service.get("status") or {}
    return ServiceStatus(
        service=observed.name,
        phase=phase,
        reason=reason,
        conditions=_conditions(status),
        ready_revision=stable or next(iter(serving), None),
        declared_revision=declared.stable,
        traffic=traffic,
        url=_url_of(observed),
        manifest_digest=manifest_digest(dict(declared.manifest)),
        revisions=revisions,
    )


def _judge(
    observed: Observed, declared: Declared, revisions: Sequence[RevisionStatus]
) -> tuple[Phase, str]:
    reason = blocked_by(observed)
    if reason:
        return "failed", f"revision {declared.stable} failed: {reason}"
    wanted = [revision for revision in revisions if revision.name in declared.blocks]
    for revision in wanted:
        if revision.phase == "failed":
            return "failed", f"revision {revision.name} failed: {revision.reason}"
    for revision in wanted:
        if revision.phase == "starting":
            return "pending", f"revision {revision.name} is starting: {revision.reason}"
    asked = {name: share for name, share in declared.percent.items() if share}
    routed = {name: share for name, share in observed.traffic.items() if share}
    if asked != routed:
        return "pending", f"the router has {routed or 'no shares'}, and should have {asked}"
    if not _url_of(observed):
        return "pending", "KServe has not told its address yet"
    names = ", ".join(revision.name for revision in wanted)
    return "ready", f"{names} answered the probe"


def _url_of(observed: Observed) -> str:
    status = (observed.service or {}).get("status") or {}
    return status.get("url") or ""


def blocked_by(observed: Observed) -> str | None:
    """Why KServe does not even make pods: no runtime fits, or the object contradicts itself.

    Its words do not tell of which declaration they are: just after a new one they may be about the
    former.
    """
    status = (observed.service or {}).get("status", {}).get("modelStatus") or {}
    if status.get("transitionStatus") != "InvalidSpec":
        return None
    failure = status.get("lastFailureInfo") or {}
    return f"{failure.get('reason', 'InvalidSpec')}: {failure.get('message', '')}"


def _status_of_foreign(observed: Observed) -> ServiceStatus:
    """An InferenceService that we did not declare: told, and not judged."""
    status = (observed.service or {}).get("status") or {}
    return ServiceStatus(
        service=observed.name,
        phase="pending",
        reason="this InferenceService was not declared by mlops-assets, or not wholly: apply it",
        conditions=_conditions(status),
        ready_revision=None,
        declared_revision=observed.serving_name,
        traffic=observed.traffic,
        url=_url_of(observed),
        manifest_digest="",
    )


def _conditions(status: Object) -> tuple[Condition, ...]:
    return tuple(
        Condition.model_validate({key: value for key, value in item.items() if value is not None})
        for item in status.get("conditions") or []
    )

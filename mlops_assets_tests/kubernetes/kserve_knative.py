"""KServe's controller in Knative mode, and Knative behind it, for one InferenceService.

Kept from them: each change of the template, annotations of the service included, is a new
Revision; `latestRevision` means the latest that is ready; one former revision is remembered, and
forgotten or brought back as `PropagateStatus` does.
"""

import hashlib
import json
from typing import Any

from mlops_assets_tests.kubernetes.kinds import Object
from mlops_assets_tests.kubernetes.kserve_standard import build_deployment, owner_of
from mlops_assets_tests.kubernetes.objects import Objects
from mlops_assets_tests.kubernetes.workloads import condition

SERVICE = "serving.knative.dev/service"
REVISION = "serving.knative.dev/revision"
_TEMPLATE = "template-digest"


def reconcile_knative(objects: Objects, service: Object, domain: str) -> None:
    """Make Revisions match a service; write its status."""
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    _create_revision(objects, service)
    revisions = _revisions(objects, service)
    for revision in revisions:
        _judge(objects, revision)
    revisions = _revisions(objects, service)
    created = revisions[-1]["metadata"]["name"]
    ready = [r["metadata"]["name"] for r in revisions if _is_ready(r)]
    predictor = dict(service.get("status", {}).get("components", {}).get("predictor", {}))
    predictor["latestCreatedRevision"] = created
    if ready:
        latest = ready[-1]
        traffic = _traffic(service, predictor.get("latestRolledoutRevision", ""), latest)
        predictor.update(traffic=traffic, latestReadyRevision=latest)
        _remember(predictor, created)
    used = {created, *(t["revisionName"] for t in predictor.get("traffic", []))}
    used |= {predictor.get("previousRolledoutRevision", "")}
    _scale_down(objects, namespace, [r for r in revisions if r["metadata"]["name"] not in used])
    status = _status(predictor, bool(ready) and ready[-1] == created)
    if ready:
        status["url"] = f"http://{name}-{namespace}.{domain}"
    objects.set_status(objects.kind("inferenceservices"), namespace, name, status)


def _revisions(objects: Objects, service: Object) -> list[Object]:
    metadata = service["metadata"]
    label = f"{SERVICE}={metadata['name']}-predictor"
    return objects.list(objects.kind("revisions"), metadata["namespace"], label)


def _create_revision(objects: Objects, service: Object) -> None:
    """A new Revision with its Deployment when the template is another than the last one's."""
    block, found = service["spec"]["predictor"], _revisions(objects, service)
    name = f"{service['metadata']['name']}-predictor"
    template = build_deployment(service, block, name, 1)["spec"]["template"]
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:16]
    if found and found[-1]["metadata"]["labels"][_TEMPLATE] == digest:
        return
    revision = f"{name}-{len(found) + 1:05d}"
    metadata = template["metadata"]
    owned = {"ownerReferences": [owner_of(service)]}
    body = {
        "metadata": {
            "name": revision,
            "labels": {**metadata["labels"], SERVICE: name, _TEMPLATE: digest},
            "annotations": metadata["annotations"],
            **owned,
        },
        "spec": template["spec"],
    }
    namespace = service["metadata"]["namespace"]
    objects.put("revisions", namespace, body)
    deployment = build_deployment(
        service, block, f"{revision}-deployment", block.get("minReplicas", 1)
    )
    deployment["spec"]["template"]["metadata"]["labels"][REVISION] = revision
    objects.put("deployments", namespace, deployment)


def _judge(objects: Objects, revision: Object) -> None:
    metadata = revision["metadata"]
    name = f"{metadata['name']}-deployment"
    deployment = objects.find("deployments", metadata["namespace"], name)
    if deployment is None or deployment["spec"]["replicas"] == 0:
        return  # scaled to zero: as ready as it was
    available = deployment.get("status", {}).get("availableReplicas", 0)
    state = "True" if available else "Unknown"
    status = {"conditions": [condition("Ready", state, "" if available else "Deploying")]}
    kind = objects.kind("revisions")
    objects.set_status(kind, metadata["namespace"], metadata["name"], status)


def _is_ready(revision: Object) -> bool:
    conditions = revision.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _traffic(service: Object, rolled_out: str, latest: str) -> list[dict[str, Any]]:
    percent = service["spec"]["predictor"].get("canaryTrafficPercent")
    if percent is None or not rolled_out:
        percent = 100
    targets = [{"latestRevision": True, "percent": percent, "revisionName": latest}]
    if percent < 100:
        former = {"percent": 100 - percent, "revisionName": rolled_out, "tag": "prev"}
        targets.append({"latestRevision": False, **former})
    return targets


def _remember(predictor: dict[str, Any], created: str) -> None:
    latest, percent = predictor["latestReadyRevision"], predictor["traffic"][0]["percent"]
    rolled_out = predictor.get("latestRolledoutRevision")
    previous = predictor.get("previousRolledoutRevision")
    together = sum(t["percent"] for t in predictor["traffic"] if t["revisionName"] == latest)
    if rolled_out != latest:
        if percent == 100:
            predictor["latestRolledoutRevision"] = latest
            predictor["previousRolledoutRevision"] = rolled_out or ""
    elif latest == created and percent < 100 and together == 100 and previous:
        predictor["latestRolledoutRevision"] = previous


def _scale_down(objects: Objects, namespace: str, revisions: list[Object]) -> None:
    for revision in revisions:
        name = f"{revision['metadata']['name']}-deployment"
        deployment = objects.find("deployments", namespace, name)
        if deployment is not None and deployment["spec"]["replicas"]:
            deployment["spec"]["replicas"] = 0
            objects.put("deployments", namespace, deployment)


def _status(predictor: dict[str, Any], is_ready: bool) -> Object:
    state = "True" if is_ready else "Unknown"
    return {
        "deploymentMode": "Knative",
        "observedGeneration": 1,
        "conditions": [condition("PredictorReady", state), condition("Ready", state)],
        "modelStatus": {"transitionStatus": "UpToDate" if is_ready else "InProgress"},
        "components": {"predictor": predictor},
    }

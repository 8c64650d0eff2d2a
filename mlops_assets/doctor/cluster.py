"""Examines a cluster: asks, and has `cluster_judgement.py` judge.

Changes nothing: the one write to the API server is a dry run, and the object that is put into the
storage is removed again. What a right is missing for is unknown, not fine. From a laptop it sees
what the API server shows; in a pod of the platform also storage, databases and names, since its
environment says where they are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from mlops_assets.doctor import cluster_judgement as judgement
from mlops_assets.doctor import reaching
from mlops_assets.doctor.finding import Finding, Unanswered
from mlops_assets.doctor.rights import Account, Right, rights_of
from mlops_assets.errors import ClusterApiError, MlopsError, ServingError
from mlops_assets.kserve.api import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    INFERENCE_SERVICES,
    STATEFUL_SETS,
    ClusterApi,
    Collection,
    is_retryable,
)
from mlops_assets.kserve.capabilities import Capabilities, Mode, read_capabilities
from mlops_assets.kserve.manifest import API_VERSION, RUNTIME

SERVING_RUNTIMES = Collection("servingruntimes", "ServingRuntime", "serving.kserve.io", "v1alpha1")
TRUSTED_KEYS = "mlops-trusted-keys"
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_PART_OF = "app.kubernetes.io/part-of=mlops-assets"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Examined:
    """What is examined.

    Attributes:
        api: The namespace of the platform.
        models: Namespace of the InferenceServices.
        account: Whose rights are asked for; the API server answers for whoever asks.
        mode: How KServe runs services.
        environment: Names storage, databases and servers, as for the platform's pods.
    """

    api: ClusterApi
    models: str
    account: Account = "run"
    mode: Mode = "Standard"
    environment: Mapping[str, str] | None = None

    @property
    def models_api(self) -> ClusterApi:
        """The namespace of the InferenceServices."""
        return replace(self.api, namespace=self.models)


def examine_cluster(examined: Examined, now: datetime | None = None) -> list[Finding]:
    """All findings of a cluster, in the order in which they matter."""
    version = _try(lambda: str(examined.api.read_json("/version")["gitVersion"]))
    first = judgement.judge_api_server(version)
    if first.verdict == "broken" and isinstance(version, Unanswered):
        return [first]  # everything else would only repeat it
    environment = examined.environment or {}
    mode = examined.mode
    groups = [*judgement.NEEDED_KINDS[mode], *judgement.WANTED_KINDS]
    return [
        first,
        judgement.judge_clock(_server_time(examined.api), now or datetime.now(UTC)),
        *judgement.judge_kinds({group: _is_served(examined.api, group) for group in groups}, mode),
        judgement.judge_capabilities(_read_capabilities(examined.api), mode),
        judgement.judge_rights(examined.account, _ask_rights(examined)),
        judgement.judge_webhook(_try_service(examined.models_api)),
        judgement.judge_there(
            "serving runtime",
            _is_there(examined.models_api, SERVING_RUNTIMES, RUNTIME),
            f"ServingRuntime {examined.models}/{RUNTIME}",
            "kubectl apply -k k8s/overlays/<overlay>",
        ),
        judgement.judge_there(
            "trusted keys",
            _is_there(examined.models_api, CONFIG_MAPS, TRUSTED_KEYS),
            f"ConfigMap {examined.models}/{TRUSTED_KEYS}",
            "docs/operations.md, Keys: no predictor starts without the public keys",
        ),
        judgement.judge_workloads(_try(lambda: _workloads(examined.api))),
        *reaching.examine(environment),
    ]


def _try(ask: Callable[[], T]) -> T | Unanswered:
    try:
        return ask()
    except MlopsError as error:
        return Unanswered(str(error))


def _read_capabilities(api: ClusterApi) -> Capabilities | str | Unanswered:
    """What KServe can do; why there is none, in words; or why nobody knows."""
    try:
        return read_capabilities(api)
    except ClusterApiError as error:
        return Unanswered(str(error))
    except ServingError as error:
        return str(error)


def _is_served(api: ClusterApi, group: str) -> bool | Unanswered:
    try:
        api.read_json(f"/apis/{group}")
    except ClusterApiError as error:
        return False if error.status == 404 else Unanswered(str(error))
    return True


def _is_there(api: ClusterApi, kind: Collection, name: str) -> bool | Unanswered:
    return _try(lambda: api.get(kind, name) is not None)


def _server_time(api: ClusterApi) -> datetime | Unanswered:
    headers = _try(lambda: api.read_headers("/version"))
    if isinstance(headers, Unanswered):
        return headers
    try:
        return parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError):
        return Unanswered("the API server tells no time")


def _ask_rights(examined: Examined) -> dict[Right, bool | Unanswered]:
    return {right: _may(examined, right) for right in rights_of(examined.account, examined.mode)}


def _may(examined: Examined, right: Right) -> bool | Unanswered:
    """Whether whoever asks has a right: a SelfSubjectAccessReview, which everybody may send."""
    resource, _, subresource = right.resource.partition("/")
    asked = {
        "namespace": examined.models if right.where == "models" else examined.api.namespace,
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    answer = _try(lambda: examined.api.send_json("POST", _REVIEWS, body))
    return answer if isinstance(answer, Unanswered) else bool(answer["status"]["allowed"])


def _try_service(api: ClusterApi) -> str | Unanswered:
    """What the webhook says to a service, which is not kept; "" when it is content."""
    service = {
        "apiVersion": API_VERSION,
        "kind": "InferenceService",
        "metadata": {
            "name": "mlops-assets-doctor",
            "annotations": {"serving.kserve.io/deploymentMode": "Standard"},
        },
        "spec": {
            "predictor": {
                "name": "v1",
                "model": {
                    "modelFormat": {"name": "mlflow", "version": "3"},
                    "runtime": RUNTIME,
                    "storageUri": "s3://nowhere/1",
                },
            }
        },
    }
    try:
        api.apply(INFERENCE_SERVICES, service, dry_run=True)
    except ClusterApiError as error:
        says_nothing = error.status in (403, 404) or is_retryable(error)
        of_webhook = "webhook" in str(error)
        return Unanswered(str(error)) if says_nothing and not of_webhook else str(error)
    return ""


def _workloads(api: ClusterApi) -> list[judgement.Workload]:
    return [
        _read_workload(kind, each)
        for kind in (DEPLOYMENTS, STATEFUL_SETS)
        for each in api.list(kind, _PART_OF)
    ]


def _read_workload(kind: Collection, workload: Mapping[str, Any]) -> judgement.Workload:
    status = workload.get("status") or {}
    conditions = status.get("conditions") or []
    bad = [c for c in conditions if (c["type"] == "ReplicaFailure") == (c["status"] == "True")]
    bad.sort(key=lambda c: c["type"] != "ReplicaFailure")  # a quota, say, before what it leads to
    reasons = [str(c.get("message") or c.get("reason", "")) for c in bad]
    return judgement.Workload(
        f"{kind.kind.lower()}/{workload['metadata']['name']}",
        workload["spec"].get("replicas", 1),
        status.get("availableReplicas", 0),
        f"({reasons[0]})" if reasons else "",
    )

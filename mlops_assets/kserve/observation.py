"""What a service is on the cluster, read in a few calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlops_assets.errors import ClusterApiError
from mlops_assets.kserve.api import (
    DEPLOYMENTS,
    HTTP_ROUTES,
    INFERENCE_SERVICES,
    KNATIVE_REVISIONS,
    PODS,
    ClusterApi,
)
from mlops_assets.kserve.blocks import Declared, mark_of, read_declared
from mlops_assets.kserve.capabilities import Mode
from mlops_assets.kserve.edits import read_edited_shares
from mlops_assets.kserve.knative import KnativeTraffic, read_traffic
from mlops_assets.kserve.owned import OwnedText
from mlops_assets.kserve.pods import is_ready, silent_containers
from mlops_assets.kserve.standard import route_shares

_SERVICE_LABEL = "serving.kserve.io/inferenceservice"
_KNATIVE_SERVICE_LABEL = "serving.knative.dev/service"
_LOG_LINES = "20"

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Observed:
    """All that is read of one service.

    Attributes:
        name: Name of the InferenceService.
        mode: How KServe runs it.
        service: The object itself; None when there is none.
        declared: What we declared last; None when we did not.
        token: Version of that declaration, to replace it.
        deployments: Its Deployments.
        pods: Its pods.
        route: Its HTTPRoute, in Standard mode with Gateway API.
        knative: What Knative says of its revisions.
        logs: Ends of logs of containers that ended without a message.
    """

    name: str
    mode: Mode
    service: Object | None
    declared: Declared | None
    token: str
    deployments: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    route: Object | None = None
    knative: KnativeTraffic = field(default_factory=KnativeTraffic)
    logs: Mapping[tuple[str, str], str] | None = None

    @property
    def traffic(self) -> dict[str, int]:
        """Percent by revision as the router has it; empty when nothing serves."""
        if self.service is None:
            return {}
        if self.mode == "Knative":
            return self.knative.shares
        if self.route is not None:
            return route_shares(self.name, self.route)
        return {self.serving_name: 100} if self.pods_of(self.serving_mark, ready=True) else {}

    @property
    def edited_shares(self) -> dict[str, int] | None:
        """Percent by revision as a person set it on the object; None when nobody did."""
        if self.service is None or self.declared is None:
            return None
        return read_edited_shares(self.service, self.declared, self.mode)

    @property
    def serving_block(self) -> Any:
        """The predictor as it stands on the cluster; empty without a service."""
        return {} if self.service is None else self.service["spec"]["predictor"]

    @property
    def serving_name(self) -> str:
        """Name of that predictor (Standard mode)."""
        name: str = self.serving_block.get("name", "")
        return name

    @property
    def serving_mark(self) -> str:
        """Which declaration that predictor is; "" when it is none of ours."""
        return mark_of(self.serving_block)

    def still_serving(self, declared: Declared) -> Any:
        """The predictor that must stay until the declared stable one is ready; None: none must.

        It is the one with the largest share, which need not be the stable one.
        """
        wanted = mark_of(declared.blocks[declared.stable])
        if self.service is None or self.pods_of(wanted, ready=True):
            return None
        known = {} if self.declared is None else self.declared.blocks
        known = {**known, self.serving_name: self.serving_block}
        for name in sorted(self.traffic, key=self.traffic.__getitem__, reverse=True):
            block = known.get(name)
            if not self.traffic[name] or block is None or name == declared.stable:
                continue
            if self.pods_of(mark_of(block), ready=True):
                return block
        return None

    def pods_of(self, mark: str, *, ready: bool = False) -> list[Object]:
        """Pods that run a declaration."""
        found = [pod for pod in self.pods if mark_of(pod["metadata"]) == mark]
        return [pod for pod in found if is_ready(pod)] if ready else found

    def deployment_of(self, mark: str) -> Object | None:
        """The Deployment whose pods run a declaration."""
        for deployment in self.deployments:
            template = deployment["spec"]["template"].get("metadata") or {}
            if mark_of(template) == mark:
                return deployment
        return None


def observe(api: ClusterApi, declarations: OwnedText, name: str, mode: Mode) -> Observed:
    """Read a service."""
    service = api.get(INFERENCE_SERVICES, name)
    text, token = declarations.read(name)
    declared = None if text is None else read_declared(text)
    if service is None:
        return Observed(name, mode, None, None, token)
    selector = f"{_SERVICE_LABEL}={name}"
    pods = api.list(PODS, selector)
    route, knative = None, KnativeTraffic()
    if mode == "Standard":
        route = api.get(HTTP_ROUTES, name)
    else:
        revisions = api.list(KNATIVE_REVISIONS, f"{_KNATIVE_SERVICE_LABEL}={name}-predictor")
        knative = read_traffic(service, {r["metadata"]["name"]: r for r in revisions})
    return Observed(
        name=name,
        mode=mode,
        service=service,
        declared=declared,
        token=token,
        deployments=api.list(DEPLOYMENTS, selector),
        pods=pods,
        route=route,
        knative=knative,
        logs={place: _read_log(api, *place) for place in silent_containers(pods)},
    )


def _read_log(api: ClusterApi, pod: str, container: str) -> str:
    """The end of a log; why there is none, when the pod or the log is gone by now: what is known of
    the service does not depend on it."""
    path = f"{PODS.path(api.namespace, pod)}/log"
    query = {"container": container, "previous": "true", "tailLines": _LOG_LINES}
    try:
        return api.read_text(path, query)
    except ClusterApiError as error:
        return f"(its log cannot be read: {error})"

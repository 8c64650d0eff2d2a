"""Serving on a cluster: InferenceServices of one namespace.

`apply` and `set_traffic` write down what should be (a ConfigMap of the service) and then have the
InferenceService say the next step towards it; `wait_ready` takes the further steps as revisions get
ready. Each is safe to call twice, and to be killed at any line: what is written down holds, and the
next call goes on from what is. Two writers never mix: each replaces the declaration that it read.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import httpx

from mlops_assets.errors import AnsweredError, ClusterApiError, ServingError
from mlops_assets.kserve.api import (
    INFERENCE_SERVICES,
    PODS,
    ClusterApi,
    is_retryable,
)
from mlops_assets.kserve.blocks import Declared, mark_of
from mlops_assets.kserve.capabilities import (
    Capabilities,
    Mode,
    read_capabilities,
    refuse_shadow,
    require_mode,
    require_shares,
)
from mlops_assets.kserve.judgement import blocked_by, build_status
from mlops_assets.kserve.manifest import PORT, revision_name
from mlops_assets.kserve.observation import Observed, observe
from mlops_assets.kserve.owned import ChangedMeanwhileError, OwnedText
from mlops_assets.kserve.pod_settings import PodSettings
from mlops_assets.kserve.pods import Patience
from mlops_assets.kserve.predicting import PredictCall
from mlops_assets.kserve.validation import require_valid
from mlops_assets.kserve.writing import ServiceWriter
from mlops_assets.serving.backend import Declaration, ServiceStatus
from mlops_assets.serving.prediction_log.records import probe_id
from mlops_assets.serving.split import Split, require_split

_ROUNDS = 10
_ROUND_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """How a cluster is used.

    Attributes:
        mode: How KServe runs services.
        ingress: Address of the gateway, where the services' host names do not lead there by
            themselves; the host then goes along as a header.
        take_over: Overwrite fields that somebody else set; else they are refused and named.
        room_seconds: How long a pod may wait for a node with room.
        settle_seconds: How long an awaited service may still be told in KServe's words about its
            former declaration.
        poll_seconds: Pause between two looks at a service that is awaited.
        pods: What pods are besides; None: as KServe makes them.
    """

    mode: Mode = "Standard"
    ingress: str | None = None
    take_over: bool = False
    room_seconds: float = 10.0
    settle_seconds: float = 10.0
    poll_seconds: float = 1.0
    pods: PodSettings | None = None


class KServeCluster:
    """`ServingBackend` of a namespace with KServe.

    Args:
        api: The namespace.
        settings: How it is used.
    """

    def __init__(self, api: ClusterApi, settings: ClusterSettings | None = None) -> None:
        self._api = api
        self._settings = settings or ClusterSettings()
        self._declarations = OwnedText(api, "manifest")
        self._writer = ServiceWriter(
            api, self._declarations, self._settings.take_over, self._settings.pods
        )
        self._capabilities: Capabilities | None = None
        self._http = httpx.Client(timeout=api.timeout_seconds, trust_env=False)

    @property
    def capabilities(self) -> Capabilities:
        """What the cluster can do; asked once."""
        if self._capabilities is None:
            self._capabilities = read_capabilities(self._api)
        return self._capabilities

    @property
    def keeps_callers(self) -> bool:
        """KServe's routers draw lots for each request."""
        return False

    def require_rollout(self, *, n_challengers: int, mirrors: bool) -> None:
        """Refuse what this mode of KServe cannot do."""
        require_mode(self.capabilities, self._settings.mode)
        require_shares(self.capabilities, self._settings.mode, n_challengers)
        if mirrors:
            raise refuse_shadow(self._settings.mode, "of the challenger")

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Declare a service; what serves goes on until the declared revision is ready.

        Shares that were asked for by `set_traffic`, or set by a person, hold while all that they
        name is declared.
        """
        require_valid(manifest)
        require_mode(self.capabilities, self._settings.mode)
        n_canaries = len(manifest["spec"].get("canary") or [])
        require_shares(self.capabilities, self._settings.mode, n_canaries)

        def declare(observed: Observed) -> Declared:
            edited = observed.edited_shares
            split = None if observed.declared is None else observed.declared.split
            split = split if edited is None else Split(edited)
            declared = Declared(manifest)
            fits = split is not None and split.fits(declared.blocks)
            return replace(declared, split=split) if fits else declared

        self._declare(manifest["metadata"]["name"], declare)

    def declaration(self, service: str) -> Declaration | None:
        """What a service is told to be; of shares that a person set, those."""
        observed = self._observe(service)
        declared = observed.declared
        if declared is None:
            return None
        percent = observed.edited_shares or declared.percent
        return Declaration(manifest=declared.manifest, percent=percent)

    def has_next_step(self, service: str) -> bool:
        """Whether `converge` has something to do. Changes nothing, and takes no right to."""
        observed = self._observe(service)
        return observed.edited_shares is None and self._writer.next_step(observed) is not None

    def converge(self, service: str) -> None:
        """Take the next step towards what is declared, unless a person set the shares."""
        observed = self._observe(service)
        if observed.edited_shares is None:
            self._writer.converge(observed)

    def wait_ready(self, service: str, version: int, timeout_seconds: float) -> ServiceStatus:
        """The status once the revision of this version is ready and has the traffic.

        An API server that does not answer for a while is waited for too.
        """
        began = time.monotonic()
        deadline = began + timeout_seconds
        reason = "not looked at yet"
        while True:
            try:
                observed = self._observe(service)
                _require_declared(observed, revision_name(version))
                status = build_status(observed, self._patience())
                if status is not None and status.phase == "ready":
                    return status
                is_old_news = (
                    blocked_by(observed) is not None
                    and time.monotonic() < began + self._settings.settle_seconds
                )
                if status is not None and status.phase == "failed" and not is_old_news:
                    raise ServingError(f"service {service}: {status.reason}")
                reason = reason if status is None else status.reason
                if observed.edited_shares is None:
                    self._writer.converge(observed)
            except ClusterApiError as error:
                if not is_retryable(error):
                    raise
                reason = str(error)
            left = deadline - time.monotonic()
            if left <= 0:
                raise ServingError(
                    f"service {service} was not ready in {timeout_seconds:g} s: {reason}"
                )
            time.sleep(min(self._settings.poll_seconds, left))

    def status(self, service: str) -> ServiceStatus | None:
        """The status of a service; None when it was never declared."""
        return build_status(self._observe(service), self._patience())

    def traffic(self, service: str) -> Mapping[str, int]:
        """Percent by revision: of the HTTPRoute in Standard mode, of Knative's route else."""
        observed = self._observe(service)
        if observed.service is None:
            raise ServingError(f"there is no service {service}")
        return observed.traffic

    def set_traffic(
        self, service: str, percent: Mapping[str, int], *, shadow: str | None = None
    ) -> None:
        """Share requests anew. No pod is started or stopped by it, but for a canary whose share
        asks for more of them."""
        split = Split(dict(percent), shadow)

        def declare(observed: Observed) -> Declared:
            if observed.declared is None:
                raise ServingError(f"there is no service {service}")
            require_split(split, list(observed.declared.blocks))
            if shadow is not None:
                raise refuse_shadow(self._settings.mode, shadow)
            return replace(observed.declared, split=split)

        self._declare(service, declare)

    def predict(
        self, service: str, rows: Sequence[Mapping[str, Any]], *, revision: str | None = None
    ) -> dict[str, Any]:
        """The service's answer, through its gateway; that of one revision through the API server,
        from one of its pods."""
        if revision is not None:
            return self._predict_of(service, rows, revision)
        found = self._api.get(INFERENCE_SERVICES, _checked(service))
        if found is None:
            raise ServingError(f"there is no service {service}")
        url = (found.get("status") or {}).get("url")
        if not url:
            raise ServingError(f"service {service}: nothing is ready, it has no address yet")
        ask = PredictCall(service, url, self._settings.ingress, self._http)
        return ask.send(rows)

    def _predict_of(
        self, service: str, rows: Sequence[Mapping[str, Any]], revision: str
    ) -> dict[str, Any]:
        observed = self._observe(service)
        blocks = {} if observed.declared is None else observed.declared.blocks
        if revision not in blocks:
            raise ServingError(f"service {service} has no revision {revision}")
        pods = observed.pods_of(mark_of(blocks[revision]), ready=True)
        if not pods:
            raise ServingError(f"service {service}: no pod of revision {revision} is ready")
        pod = PODS.path(self._api.namespace, pods[0]["metadata"]["name"])
        path = f"{pod}:{PORT}/proxy/v1/models/{service}:predict"
        asked, headers = {"instances": list(rows)}, {"x-request-id": probe_id()}
        content = self._api.call("POST", path, None, asked, headers)
        try:
            answer: dict[str, Any] = json.loads(content)
        except ValueError as error:
            raise AnsweredError(f"{path} answered with no JSON: {content[:100]!r}", 200) from error
        return answer

    def delete(self, service: str) -> None:
        """Remove a service, and all that belongs to it."""
        self._api.delete(INFERENCE_SERVICES, _checked(service))

    def _observe(self, service: str) -> Observed:
        return observe(self._api, self._declarations, _checked(service), self._settings.mode)

    def _patience(self) -> Patience:
        return Patience(datetime.now(UTC), self._settings.room_seconds)

    def _declare(self, service: str, declare: Callable[[Observed], Declared]) -> None:
        """Write down what should be, from what is, and take the first step; again after others."""
        last: ServingError | None = None
        for _ in range(_ROUNDS):
            observed = self._observe(service)
            declared = declare(observed)
            shares = [name for name, share in declared.percent.items() if share]
            n_shared = len(set(shares) - {declared.stable})
            require_shares(self.capabilities, self._settings.mode, n_shared)
            try:
                self._writer.store(observed, declared)
            except ChangedMeanwhileError as error:
                last = error
                time.sleep(_ROUND_SECONDS)
            else:
                return
        raise ServingError(
            f"service {service}: somebody else changed it {_ROUNDS} times while we wanted to: "
            f"{last}"
        ) from last


def _require_declared(observed: Observed, revision: str) -> None:
    if observed.service is None or observed.declared is None:
        raise ServingError(f"service {observed.name} is not declared")
    if observed.declared.stable != revision:
        raise ServingError(
            f"service {observed.name} declares revision {observed.declared.stable}, not {revision}"
        )


def _checked(service: str) -> str:
    """The name, if it can be an InferenceService's; raises ServingError else."""
    if not service or not all(c.isascii() and (c.isalnum() or c == "-") for c in service):
        raise ServingError(f"service {service!r}: expected letters, digits and dashes")
    return service

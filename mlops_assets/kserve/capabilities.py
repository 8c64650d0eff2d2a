"""What a cluster can do for a rollout, read from the cluster, and the refusal of what it cannot.

Needs no right but discovery, which every account has. KServe itself ignores silently what it does
not know: `canaryTrafficPercent` in Standard mode, or shares without Gateway API.
"""

from dataclasses import dataclass
from typing import Any, Literal

from mlops_assets.errors import ClusterApiError, ServingError
from mlops_assets.kserve.api import HTTP_ROUTES, INFERENCE_SERVICES, KNATIVE_REVISIONS, ClusterApi

Mode = Literal["Standard", "Knative"]
_KSERVE = f"/openapi/v3/apis/{INFERENCE_SERVICES.group}/{INFERENCE_SERVICES.version}"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What is there.

    Attributes:
        fields: Fields of an InferenceService's `spec`; None where its CRD has no schema.
        gateway_api: Whether HTTPRoutes exist.
        knative: Whether Knative's Revisions exist.
    """

    fields: frozenset[str] | None
    gateway_api: bool
    knative: bool

    @property
    def release(self) -> str:
        """KServe's release as its schema shows it: `canary` came with 0.20, `tracing` with 0.21."""
        if self.fields is None:
            return "a KServe whose CRD has no schema"
        if "tracing" in self.fields and "canary" in self.fields:
            return "KServe 0.21 or newer"
        return "KServe 0.20" if "canary" in self.fields else "KServe older than 0.20"


def read_capabilities(api: ClusterApi) -> Capabilities:
    """What the cluster says of itself.

    Raises:
        ServingError: it has no KServe.
        ClusterApiError: it did not answer.
    """
    try:
        document = api.read_json(_KSERVE)
    except ClusterApiError as error:
        if error.status == 404:
            raise ServingError(
                "this cluster has no KServe: it does not know serving.kserve.io/v1beta1"
            ) from error
        raise
    return Capabilities(
        fields=_spec_fields(document),
        gateway_api=_is_served(api, f"/apis/{HTTP_ROUTES.group}/{HTTP_ROUTES.version}"),
        knative=_is_served(api, f"/apis/{KNATIVE_REVISIONS.group}/{KNATIVE_REVISIONS.version}"),
    )


def _spec_fields(document: dict[str, Any]) -> frozenset[str] | None:
    for schema in document.get("components", {}).get("schemas", {}).values():
        kinds = schema.get("x-kubernetes-group-version-kind") or []
        if any(kind.get("kind") == INFERENCE_SERVICES.kind for kind in kinds):
            spec = schema.get("properties", {}).get("spec", {})
            return frozenset(spec["properties"]) if "properties" in spec else None
    return None


def _is_served(api: ClusterApi, path: str) -> bool:
    try:
        api.read_json(path)
    except ClusterApiError as error:
        if error.status == 404:
            return False
        raise
    return True


def require_mode(found: Capabilities, mode: Mode) -> None:
    """Refuse a mode in which the cluster could not even replace one version by the next.

    Raises:
        ServingError: says what is missing and what to do.
    """
    if mode == "Knative" and not found.knative:
        raise ServingError(
            "mode Knative needs Knative Serving, which this cluster does not have; use Standard"
        )
    if mode == "Standard" and (found.fields is None or "canary" not in found.fields):
        raise ServingError(
            "mode Standard needs KServe 0.21 or newer, whose spec.canary keeps the version that "
            f"serves until the next one is ready; this cluster has {found.release}. Upgrade "
            "KServe, install its full CRDs, or use mode Knative"
        )


def require_shares(found: Capabilities, mode: Mode, n_canaries: int) -> None:
    """Refuse shares of requests that the cluster could not follow.

    Raises:
        ServingError: says what is missing and what to do.
    """
    if mode == "Knative" and n_canaries > 1:
        raise ServingError(
            f"mode Knative shares requests between two revisions, found {n_canaries + 1}; KServe "
            "remembers one former revision there. Use mode Standard for more"
        )
    if mode == "Standard" and n_canaries and not found.gateway_api:
        raise ServingError(
            "sharing requests in mode Standard needs Gateway API (HTTPRoute) with "
            "ingress.enableGatewayApi in KServe's configuration; a plain Ingress sends all "
            "requests to the stable revision. This cluster has no Gateway API"
        )
    if mode == "Standard" and n_canaries and "tracing" not in (found.fields or ()):
        raise ServingError(
            "sharing requests in mode Standard needs KServe 0.21 or newer: before it, "
            f"spec.canary has no effect on the router. This cluster has {found.release}"
        )


def refuse_shadow(mode: Mode, revision: str) -> ServingError:
    """Why no revision can get copies of requests."""
    return ServingError(
        f"shadow {revision}: KServe mirrors no requests in mode {mode}, and would overwrite a "
        "mirror added to its route; a shadow needs the local gateway"
    )

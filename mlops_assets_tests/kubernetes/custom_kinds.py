"""The CustomResourceDefinitions of KServe, Gateway API and Knative, as far as clients look at them.

The fields below `spec` follow the releases: `canary` came with KServe 0.20, `tracing` with 0.21.
"""

from collections.abc import Sequence
from typing import Any

_ANY = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_SERVICE_FIELDS = ("predictor", "transformer", "explainer")
SERVICE_FIELDS = {
    "0.18": _SERVICE_FIELDS,
    "0.20": (*_SERVICE_FIELDS, "canary"),
    "0.21": (*_SERVICE_FIELDS, "canary", "tracing"),
}


def inference_service(release: str = "0.21", *, with_schema: bool = True) -> dict[str, Any]:
    """The definition of InferenceService in a release; without schema as in the minimal CRDs."""
    fields = SERVICE_FIELDS[release] if with_schema else None
    return _definition("serving.kserve.io", "v1beta1", "InferenceService", fields)


def http_route() -> dict[str, Any]:
    """The definition of Gateway API's HTTPRoute."""
    return _definition("gateway.networking.k8s.io", "v1", "HTTPRoute", None)


def knative_revision() -> dict[str, Any]:
    """The definition of Knative's Revision."""
    return _definition("serving.knative.dev", "v1", "Revision", None)


def serving_runtime() -> dict[str, Any]:
    """The definition of KServe's ServingRuntime."""
    return _definition("serving.kserve.io", "v1alpha1", "ServingRuntime", None)


def certificate() -> dict[str, Any]:
    """The definition of cert-manager's Certificate."""
    return _definition("cert-manager.io", "v1", "Certificate", None)


def service_monitor() -> dict[str, Any]:
    """The definition of the Prometheus operator's ServiceMonitor."""
    return _definition("monitoring.coreos.com", "v1", "ServiceMonitor", None)


def _definition(
    group: str, version: str, kind: str, fields: Sequence[str] | None
) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    schema: dict[str, Any] = _ANY
    if fields is not None:
        spec = {"type": "object", "properties": dict.fromkeys(fields, _ANY)}
        schema = {"type": "object", "properties": {"spec": spec, "status": _ANY}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }

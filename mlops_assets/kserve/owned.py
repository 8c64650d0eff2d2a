"""ConfigMaps that belong to an InferenceService and go with it.

Nothing that changes while a rollout goes on is an annotation or a label of the InferenceService:
KServe copies those to the pod template, so that each write would restart the pods. A ConfigMap
beside it changes nothing of it.
"""

import uuid
from typing import Any

from mlops_assets.errors import ClusterApiError, ServingError
from mlops_assets.kserve.api import CONFIG_MAPS, INFERENCE_SERVICES, ClusterApi

SERVICE = "mlops-assets/service"
"""Label: the InferenceService that it belongs to."""
SUBJECT = "mlops-assets/subject"
"""Label: what it tells of its service."""
_WRITE = "mlops-assets/write-id"
_KEY = "content"


class ChangedMeanwhileError(ServingError):
    """It is another one than the writer has read; nothing was written."""


class OwnedText:
    """One text for each service, on one subject, in the ConfigMap `<service>-<subject>`.

    Only who has read the last text may replace it.

    Args:
        api: The namespace.
        subject: What the texts tell: `rollout`, `manifest`.
    """

    def __init__(self, api: ClusterApi, subject: str) -> None:
        self._api = api
        self._subject = subject

    def read(self, service: str) -> tuple[str | None, str]:
        """The text and its resourceVersion; `(None, "")` when there is none."""
        found = self._api.get(CONFIG_MAPS, self._name(service))
        if found is None:
            return None, ""
        return found.get("data", {}).get(_KEY, ""), found["metadata"]["resourceVersion"]

    def write(self, service: str, content: str, expected: str) -> str:
        """Replace the text; returns its resourceVersion.

        Args:
            service: Which one.
            content: The text.
            expected: The resourceVersion that was read; "" when there was none.

        Raises:
            ChangedMeanwhileError: there is another by now, or the service is gone.
        """
        if expected and not expected.isdigit():
            raise self._changed(service, expected)
        body = self._build(service, content, expected)
        write = self._api.replace if expected else self._api.create
        try:
            made = write(CONFIG_MAPS, body)
        except ClusterApiError as error:
            if error.status not in (404, 409):
                raise
            # An attempt without an answer may have written; the one after it then conflicts.
            made = self._api.get(CONFIG_MAPS, self._name(service)) or {"metadata": {}}
            marks = made["metadata"].get("annotations") or {}
            if marks.get(_WRITE) != body["metadata"]["annotations"][_WRITE]:
                raise self._changed(service, expected) from error
        version: str = made["metadata"]["resourceVersion"]
        return version

    def delete(self, service: str) -> None:
        """Remove the text; one that is not there is fine."""
        self._api.delete(CONFIG_MAPS, self._name(service))

    def services(self) -> list[str]:
        """Services that have one, sorted."""
        found = self._api.list(CONFIG_MAPS, f"{SUBJECT}={self._subject}")
        return sorted(item["metadata"]["labels"][SERVICE] for item in found)

    def _name(self, service: str) -> str:
        return f"{service}-{self._subject}"

    def _build(self, service: str, content: str, expected: str) -> dict[str, Any]:
        owner = self._api.get(INFERENCE_SERVICES, service)
        if owner is None:
            raise ChangedMeanwhileError(
                f"there is no InferenceService {service} in namespace {self._api.namespace}, to "
                f"which its {self._subject} would belong"
            )
        metadata: dict[str, Any] = {
            "name": self._name(service),
            "labels": {
                "app.kubernetes.io/managed-by": "mlops-assets",
                SERVICE: service,
                SUBJECT: self._subject,
            },
            "annotations": {_WRITE: uuid.uuid4().hex},
            "ownerReferences": [
                {
                    "apiVersion": owner["apiVersion"],
                    "kind": owner["kind"],
                    "name": service,
                    "uid": owner["metadata"]["uid"],
                }
            ],
        }
        if expected:
            metadata["resourceVersion"] = expected
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {_KEY: content},
        }

    def _changed(self, service: str, expected: str) -> ChangedMeanwhileError:
        seen = f"version {expected}" if expected else "that there is none"
        return ChangedMeanwhileError(
            f"ConfigMap {self._api.namespace}/{self._name(service)} is another one than was read "
            f"({seen}); nothing was written"
        )

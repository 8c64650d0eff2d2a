"""Calls of a cluster's API server: the one place where the `kubernetes` library is used.

Here: one method for all calls, with a timeout, retries, and `ClusterApiError` for what fails
(`AnsweredError` where a pod behind the server has answered).
Objects are plain dictionaries as the server sends them: its own client reads and writes nothing
for us but the way there (kubeconfig, service account, certificates, tokens).
Not here: what is called for what (`cluster.py`, `observation.py`, `state_store.py`).
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_assets.errors import AnsweredError, ClusterApiError
from mlops_assets.serving.protocol.http import VERSION_HEADER

FIELD_MANAGER = "mlops-assets"
_APPLY = {"Content-Type": "application/apply-patch+yaml"}
_ATTEMPTS = 4
_FIRST_PAUSE_SECONDS = 0.25

Object = dict[str, Any]

_RETRYABLE = {
    0: "no answer: a restart of the API server or of the network's way to it",
    401: "a token that is being renewed",
    429: "the server asks to wait",
    500: "the server's store is choosing a leader, or a webhook did not answer",
    502: "a load balancer in front of it has lost its server",
    503: "the server, or what answers behind it, is starting",
    504: "the server waited for its store in vain; the write may have happened",
}
_PERMANENT_500 = ("field not declared in schema", "failed to create typed patch object")


def is_retryable(error: ClusterApiError) -> bool:
    """Whether the same call may succeed a moment later.

    Everything that we write is safe to send twice: server-side apply states what should be, and a
    replacement names the version that it replaces. Refusals are not asked again: 400 and 422 (a
    wrong object), 403 (a missing right, or a webhook's no), 404, 405, 409 (another writer: read
    again first), 410 and 415. A field that the schema does not know is a 500, and permanent.
    """
    if error.status == 500 and any(words in str(error) for words in _PERMANENT_500):
        return False
    return error.status in _RETRYABLE


@dataclass(frozen=True, slots=True)
class Collection:
    """Where the objects of one kind live.

    Attributes:
        plural: Name in paths.
        kind: Name in objects.
        group: API group; empty for the core.
        version: Version of the API.
    """

    plural: str
    kind: str
    group: str = ""
    version: str = "v1"

    def path(self, namespace: str, name: str = "") -> str:
        """Path of the collection in a namespace, or of one of its objects."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return f"{root}/namespaces/{namespace}/{self.plural}" + (f"/{name}" if name else "")


INFERENCE_SERVICES = Collection(
    "inferenceservices", "InferenceService", "serving.kserve.io", "v1beta1"
)
HTTP_ROUTES = Collection("httproutes", "HTTPRoute", "gateway.networking.k8s.io")
KNATIVE_REVISIONS = Collection("revisions", "Revision", "serving.knative.dev")
DEPLOYMENTS = Collection("deployments", "Deployment", "apps")
STATEFUL_SETS = Collection("statefulsets", "StatefulSet", "apps")
CONFIG_MAPS = Collection("configmaps", "ConfigMap")
PODS = Collection("pods", "Pod")


@dataclass(slots=True)
class ClusterApi:
    """One namespace of a cluster.

    Attributes:
        client: The library's `ApiClient`, which knows the way.
        namespace: Where all calls go.
        timeout_seconds: Longest wait for one answer.
        first_pause_seconds: Wait before the first retry; each further one waits twice as long.
    """

    client: Any
    namespace: str
    timeout_seconds: float = 30.0
    first_pause_seconds: float = field(default=_FIRST_PAUSE_SECONDS)

    def get(self, kind: Collection, name: str) -> Object | None:
        """An object; None when there is none."""
        try:
            return self.read_json(kind.path(self.namespace, name))
        except ClusterApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, kind: Collection, labels: str) -> list[Object]:
        """Objects that fit a label selector; none where the cluster does not know the kind."""
        try:
            found = self.read_json(kind.path(self.namespace), {"labelSelector": labels})
        except ClusterApiError as error:
            if error.status == 404:
                return []
            raise
        items: list[Object] = found["items"]
        return items

    def read_json(self, path: str, query: Mapping[str, str] | None = None) -> Object:
        """The JSON at a path."""
        found: Object = json.loads(self.read_text(path, query))
        return found

    def read_text(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """The text at a path: a log, which may hold any bytes, or what a pod answers."""
        return self.call("GET", path, query).decode("utf-8", "replace")

    def read_headers(self, path: str) -> dict[str, str]:
        """The headers of the answer at a path, by their names in small letters."""
        response = self._ask("GET", path, None, None, None)
        return {name.lower(): value for name, value in response.headers.items()}

    def send_json(self, method: str, path: str, body: Object) -> Object:
        """The JSON that answers a body at a path."""
        found: Object = json.loads(self.call(method, path, None, body))
        return found

    def apply(
        self, kind: Collection, content: Object, *, force: bool = False, dry_run: bool = False
    ) -> Object:
        """Server-side apply: have an object hold this, and what we set before and not now gone."""
        query = {"fieldManager": FIELD_MANAGER, "force": json.dumps(force)}
        if dry_run:
            query["dryRun"] = "All"
        path = kind.path(self.namespace, content["metadata"]["name"])
        applied: Object = json.loads(self.call("PATCH", path, query, content, _APPLY))
        return applied

    def create(self, kind: Collection, content: Object) -> Object:
        """A new object; 409 when there is one of its name."""
        query = {"fieldManager": FIELD_MANAGER}
        made: Object = json.loads(self.call("POST", kind.path(self.namespace), query, content))
        return made

    def replace(self, kind: Collection, content: Object) -> Object:
        """Replace an object; 409 when it has another `resourceVersion` than the content by now."""
        path = kind.path(self.namespace, content["metadata"]["name"])
        query = {"fieldManager": FIELD_MANAGER}
        made: Object = json.loads(self.call("PUT", path, query, content))
        return made

    def delete(self, kind: Collection, name: str) -> None:
        """Remove an object and what belongs to it; one that is not there is fine."""
        try:
            body = {"propagationPolicy": "Background"}
            self.call("DELETE", kind.path(self.namespace, name), None, body)
        except ClusterApiError as error:
            if error.status != 404:
                raise

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """One call; sent again while that may help, at most four times, none begun after the first
        one's timeout. What a pod answered is not asked again."""
        deadline = time.monotonic() + self.timeout_seconds
        pause = self.first_pause_seconds
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._send(method, path, query, body, headers)
            except ClusterApiError as error:  # a pod counts what it answers, so not its own
                late = time.monotonic() + pause > deadline
                if attempt == _ATTEMPTS or late or not is_retryable(error):
                    raise
            time.sleep(pause)
            pause *= 2
        raise AssertionError("the last attempt returns or raises")

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Object | None,
        headers: Mapping[str, str] | None,
    ) -> bytes:
        content: bytes = self._ask(method, path, query, body, headers).data
        return content

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Object | None,
        headers: Mapping[str, str] | None,
    ) -> Any:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        sent = {"Content-Type": "application/json", "Accept": "application/json, */*"}
        try:
            response = self.client.call_api(
                path,
                method,
                query_params=list((query or {}).items()),
                header_params={**sent, **(headers or {})},
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=self.timeout_seconds,
            )
            _ = response.data  # read here, where a connection that breaks is translated
        except ApiException as error:
            raise _translate(error, f"{method} {path}") from error
        except HTTPError as error:
            host = self.client.configuration.host
            message = f"the API server {host} did not answer {method} {path}: {error}"
            raise ClusterApiError(message, 0, "NoAnswer") from error
        return response


def _translate(error: Any, call: str) -> ClusterApiError | AnsweredError:
    """The refusal of the server, or of a pod that it asked for us, in its own words."""
    body = error.body.decode("utf-8", "replace") if isinstance(error.body, bytes) else error.body
    if VERSION_HEADER in (error.headers or {}):
        return AnsweredError(f"{call}: {error.status} {str(body)[:500]}", int(error.status))
    try:
        status = json.loads(body or "")
        message = str(status["message"])
        reason = str(status.get("reason") or "")
        causes = [
            (str(cause.get("field", "")), str(cause.get("message", "")))
            for cause in (status.get("details") or {}).get("causes") or []
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        message, reason, causes = str(body or error.reason)[:500], str(error.reason), []
    return ClusterApiError(f"{call}: {error.status} {message}", int(error.status), reason, causes)


def connect(
    namespace: str,
    *,
    kubeconfig: Path | None = None,
    context: str | None = None,
    timeout_seconds: float = 30.0,
) -> ClusterApi:
    """A namespace of the cluster that a kubeconfig names, or in which this process runs.

    Args:
        namespace: Where the services live.
        kubeconfig: The file; None takes the pod's service account, and outside of a pod the file
            that kubectl would take.
        context: Context of the kubeconfig; None takes its current one.
        timeout_seconds: Longest wait for one answer.

    Raises:
        ClusterApiError: neither can be read.
    """
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        if kubeconfig is None and context is None and _is_pod(configuration):
            return build_api(configuration, namespace, timeout_seconds)
        named = kubeconfig or os.environ.get("KUBECONFIG")  # the library reads it on import only
        config.load_kube_config(
            str(named) if named else None,
            context,
            client_configuration=configuration,
        )
    except (config.ConfigException, OSError) as error:
        where = kubeconfig or "KUBECONFIG or ~/.kube/config"
        raise ClusterApiError(
            f"no cluster: {where} cannot be used ({error}), and this is no pod", 0, "NoConfig"
        ) from error
    return build_api(configuration, namespace, timeout_seconds)


def build_api(configuration: Any, namespace: str, timeout_seconds: float) -> ClusterApi:
    """The API of a namespace, by the library's `Configuration`."""
    from kubernetes import client

    configuration.retries = False  # `call` sees to that, by the answer
    return ClusterApi(client.ApiClient(configuration), namespace, timeout_seconds)


def _is_pod(configuration: Any) -> bool:
    """Whether this process runs in a pod with a service account, which then is used."""
    from kubernetes import config

    try:
        config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException:
        return False
    return True

"""The local backend: declares services in a folder and asks the gateway that reads it."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from mlops_assets.errors import AnsweredError, ServingError
from mlops_assets.kserve.manifest import manifest_digest, revision_name
from mlops_assets.serving.backend import Declaration, ServiceStatus
from mlops_assets.serving.home import ServingHome, read_json, write_json
from mlops_assets.serving.prediction_log.records import probe_id
from mlops_assets.serving.protocol.http import VERSION_HEADER
from mlops_assets.serving.split import Split, read_split, require_split
from mlops_assets.serving.status import read_status

_POLL_SECONDS = 0.05
# A gateway that reads its folder 5 times a second has seen a manifest after this long, or is gone.
_SEEN_SECONDS = 5.0


class EmbeddedServing:
    """`ServingBackend` of one machine: files for what should be, HTTP for what is.

    Args:
        home: MLOPS_HOME, the same as the gateway's.
        url: Address of the gateway; by default the one that it left in its home.
        timeout_seconds: Longest wait for one HTTP call.
    """

    def __init__(self, home: Path, url: str | None = None, timeout_seconds: float = 30.0) -> None:
        self._home = ServingHome.under(home)
        self._url = url
        self._timeout_seconds = timeout_seconds

    @property
    def url(self) -> str:
        """Address of the gateway.

        Raises:
            ServingError: none ever ran here.
        """
        if self._url is not None:
            return self._url
        found = read_json(self._home.gateway)
        if found is None:
            raise self._no_gateway("none ever ran for this home")
        return str(found["url"])

    @property
    def keeps_callers(self) -> bool:
        """The gateway does."""
        return True

    def require_rollout(self, *, n_challengers: int, mirrors: bool) -> None:
        """The gateway can do all of it."""

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Declare a service. Works without a gateway: the next one makes it live."""
        path = self._home.manifest(_checked(manifest["metadata"]["name"]))
        if read_json(path) != manifest:
            write_json(path, manifest)

    def declaration(self, service: str) -> Declaration | None:
        """What stands in the folder: the manifest, and the split where one holds."""
        manifest = read_json(self._home.manifest(_checked(service)))
        if manifest is None:
            return None
        canaries = manifest["spec"].get("canary") or []
        percent = {entry["predictor"]["name"]: int(entry["trafficPercent"]) for entry in canaries}
        stable = manifest["spec"]["predictor"]["name"]
        percent = {stable: 100 - sum(percent.values()), **percent}
        content = read_json(self._home.traffic(service))
        split = None if content is None else read_split(content)
        if split is None or not split.fits(percent):
            return Declaration(manifest=manifest, percent=percent)
        return Declaration(manifest=manifest, percent=split.percent, shadow=split.shadow)

    def has_next_step(self, service: str) -> bool:  # noqa: ARG002
        """Never: the gateway takes them all."""
        return False

    def converge(self, service: str) -> None:
        """Nothing: the gateway does it."""

    def wait_ready(self, service: str, version: int, timeout_seconds: float) -> ServiceStatus:
        """The status once the revision of this version is ready and has the traffic."""
        manifest = read_json(self._home.manifest(_checked(service)))
        if manifest is None:
            raise ServingError(f"service {service} is not declared")
        revision = revision_name(version)
        declared = manifest["spec"]["predictor"]["name"]
        if declared != revision:
            raise ServingError(f"service {service} declares revision {declared}, not {revision}")
        return self._wait(service, manifest_digest(manifest), timeout_seconds)

    def _wait(self, service: str, digest: str, timeout_seconds: float) -> ServiceStatus:
        started = time.monotonic()
        while True:
            status = self.status(service)
            seen = status is not None and status.manifest_digest == digest
            if status is not None and seen and status.phase == "ready":
                return status
            if status is not None and seen and status.phase == "failed":
                raise ServingError(f"service {service}: {status.reason}")
            waited = time.monotonic() - started
            if not seen and waited > _SEEN_SECONDS:
                self._get("/healthz")  # says it better when there is no gateway
            if waited > timeout_seconds:
                reason = status.reason if status is not None and seen else "not seen by the gateway"
                raise ServingError(
                    f"service {service} was not ready in {timeout_seconds:g} s: {reason}"
                )
            time.sleep(_POLL_SECONDS)

    def status(self, service: str) -> ServiceStatus | None:
        """The status that the gateway wrote last; None when the service was never declared."""
        found = read_json(self._home.status(_checked(service)))
        return None if found is None else read_status(service, found)

    def traffic(self, service: str) -> Mapping[str, int]:
        """Percent by revision, asked of the router itself."""
        response = self._get(f"/services/{_checked(service)}")
        if response.status_code == httpx.codes.NOT_FOUND:
            raise ServingError(f"there is no service {service}")
        return read_status(service, _content(service, response)).traffic

    def set_traffic(
        self, service: str, percent: Mapping[str, int], *, shadow: str | None = None
    ) -> None:
        """Share requests anew; works without a gateway, like `apply`."""
        manifest = read_json(self._home.manifest(_checked(service)))
        if manifest is None:
            raise ServingError(f"there is no service {service}")
        split = Split(dict(percent), shadow)
        canaries = manifest["spec"].get("canary") or []
        declared = [manifest["spec"]["predictor"], *(entry["predictor"] for entry in canaries)]
        require_split(split, [block["name"] for block in declared])
        path = self._home.traffic(service)
        if read_json(path) != split.to_json():
            write_json(path, split.to_json())

    def predict(
        self, service: str, rows: Sequence[Mapping[str, Any]], *, revision: str | None = None
    ) -> dict[str, Any]:
        """The service's answer to rows of raw features by name."""
        path = f"/v1/models/{_checked(service)}:predict"
        headers = {"x-request-id": probe_id()}
        if revision is not None:
            headers["x-revision"] = revision
        return _content(service, self._call("POST", path, {"instances": list(rows)}, headers))

    def delete(self, service: str) -> None:
        """Remove a service; the gateway drains and stops its revisions."""
        # The split first: one that a kill left would hold for the next service of this name.
        self._home.traffic(_checked(service)).unlink(missing_ok=True)
        self._home.manifest(service).unlink(missing_ok=True)

    def _get(self, path: str) -> httpx.Response:
        return self._call("GET", path, None)

    def _call(
        self, method: str, path: str, content: object, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        url = f"{self.url}{path}"
        try:
            return httpx.request(
                method,
                url,
                json=content,
                headers=headers,
                timeout=self._timeout_seconds,
                trust_env=False,
            )
        except httpx.ConnectError as error:
            raise self._no_gateway(f"nothing listens at {self.url}") from error
        except httpx.HTTPError as error:
            raise ServingError(f"{url} did not answer: {error!r}") from error

    def _no_gateway(self, reason: str) -> ServingError:
        return ServingError(
            f"no serving gateway runs for {self._home.root.parent} ({reason}); start it with "
            "`make run` or `mlops-assets up`"
        )


def _content(service: str, response: httpx.Response) -> dict[str, Any]:
    """The JSON of an answer with 200; raises ServingError for any other, and for no JSON:
    AnsweredError when a version gave it and not the gateway."""
    try:
        content = response.json()
    except ValueError:
        content = None
    if response.status_code == httpx.codes.OK and isinstance(content, dict):
        return content
    reason = content.get("error") if isinstance(content, dict) else None
    message = (
        f"{service} answered {response.status_code} at {response.url.host}:{response.url.port}: "
        f"{reason or response.text[:500]}"
    )
    if VERSION_HEADER in response.headers:
        raise AnsweredError(message, response.status_code)
    raise ServingError(message)


def _checked(service: str) -> str:
    """The name, if it can be a file's; raises ServingError else."""
    if not service or not all(c.isascii() and (c.isalnum() or c in "-_") for c in service):
        raise ServingError(f"service {service!r}: expected letters, digits, - and _")
    return service

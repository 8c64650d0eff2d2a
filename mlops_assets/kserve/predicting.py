"""A prediction asked of a service through its gateway."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from mlops_assets.errors import AnsweredError, ServingError
from mlops_assets.serving.prediction_log.records import probe_id
from mlops_assets.serving.protocol.http import VERSION_HEADER


@dataclass(frozen=True, slots=True)
class PredictCall:
    """Whom to ask, and how.

    Attributes:
        service: Name of the InferenceService.
        url: Its address as KServe tells it; its host chooses the service at the gateway.
        ingress: Address of the gateway, where that host does not lead there by itself.
        client: Sends it. Making one takes 20 ms, so one serves all calls.
    """

    service: str
    url: str
    ingress: str | None
    client: httpx.Client

    def send(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The answer (V1 protocol).

        Raises:
            AnsweredError: a version refused the rows, and why, or failed on them.
            ServingError: there was no answer of a version.
        """
        base = (self.ingress or self.url).rstrip("/")
        call = f"{base}/v1/models/{self.service}:predict"
        try:
            response = self.client.post(
                call,
                json={"instances": list(rows)},
                headers={
                    "host": httpx.URL(self.url).netloc.decode(),
                    "x-request-id": probe_id(),
                },
            )
        except httpx.HTTPError as error:
            raise ServingError(
                f"{call} did not answer: {error!r}; where the host name of a service does not lead "
                "to its gateway, set the gateway's address (ingress)"
            ) from error
        if response.status_code != httpx.codes.OK:
            raise _error_of(
                response, f"{self.service} answered {response.status_code}: {_reason_of(response)}"
            )
        try:
            answer: dict[str, Any] = response.json()
        except ValueError as error:
            words = "answered with no JSON, as a page to log in at would"
            raise _error_of(response, f"{call} {words}: {response.text[:100]}") from error
        return answer


def _error_of(response: httpx.Response, message: str) -> ServingError:
    """Whether a version said it, or something on the way to it."""
    if VERSION_HEADER in response.headers:
        return AnsweredError(message, response.status_code)
    return ServingError(message)


def _reason_of(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return response.text[:500]

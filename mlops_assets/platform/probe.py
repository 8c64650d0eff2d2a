"""Asks a service on this machine for the answer to its example."""

import http.client
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from mlops_assets.errors import ServingError
from mlops_assets.kserve.manifest import revision_name
from mlops_assets.platform.results import Probe
from mlops_assets.serving.prediction_log.records import probe_id

_TIMEOUT_SECONDS = 10.0


def predict(
    gateway_url: str,
    service: str,
    rows: Sequence[Mapping[str, Any]],
    revision: str | None = None,
    *,
    is_probe: bool = False,
) -> dict[str, Any]:
    """The service's answer (V1 protocol) to rows of raw features by name.

    Args:
        gateway_url: Where the gateway answers.
        service: Who is asked.
        rows: One prediction each.
        revision: The one revision that may answer; None: whichever the shares say.
        is_probe: Whether the platform asks for itself, which is no traffic.

    Raises:
        ServingError: the URL is none of a gateway, nothing listens, there is no such service, or
            the rows were refused and why.
    """
    host, port = _host_and_port(gateway_url)
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    body = json.dumps({"instances": list(rows)})
    headers = {"content-type": "application/json"}
    if is_probe:
        headers["x-request-id"] = probe_id()
    if revision is not None:
        headers["x-revision"] = revision
    try:
        connection.request("POST", f"/v1/models/{service}:predict", body, headers)
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
    except ConnectionRefusedError as error:
        raise ServingError(f"nothing listens at {gateway_url}; start it with `make run`") from error
    except (OSError, http.client.HTTPException) as error:
        raise ServingError(f"{service} at {gateway_url} did not answer: {error!r}") from error
    finally:
        connection.close()
    try:
        answer: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise ServingError(f"{service} answered {response.status}: {text[:500]}") from error
    if response.status != 200:
        raise ServingError(f"{service}: {response.status}: {answer.get('error', text[:500])}")
    return answer


def _host_and_port(gateway_url: str) -> tuple[str, int | None]:
    parts = urlsplit(gateway_url)
    try:
        port = parts.port
    except ValueError as error:
        raise ServingError(f"{gateway_url}: {error}") from error
    if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
        raise ServingError(f"{gateway_url}: needed is a URL such as http://127.0.0.1:8080")
    return parts.hostname, port


def ask(
    gateway_url: str,
    service: str,
    example: Sequence[Mapping[str, Any]],
    version: int | None = None,
) -> Probe:
    """Which version answers a service's example, or why none does.

    Args:
        gateway_url: Where the gateway answers.
        service: Who is asked.
        example: Rows that must be answered.
        version: The version that should answer. While it shares requests with another one, it is
            asked by name when the other one answered first.
    """
    probe = _ask(gateway_url, service, example, None)
    if version is None or probe.problem is not None or probe.version == version:
        return probe
    named = _ask(gateway_url, service, example, revision_name(version))
    return probe if named.problem is not None else named


def _ask(
    gateway_url: str,
    service: str,
    example: Sequence[Mapping[str, Any]],
    revision: str | None,
) -> Probe:
    try:
        answer = predict(gateway_url, service, example, revision, is_probe=True)
    except ServingError as error:
        return Probe(version=None, problem=str(error))
    n_answers = len(answer.get("predictions", []))
    if n_answers != len(example):
        return Probe(version=None, problem=f"{n_answers} answers to {len(example)} rows")
    version = str(answer.get("model_version", ""))
    return Probe(version=int(version) if version.isdecimal() else None, problem=None)

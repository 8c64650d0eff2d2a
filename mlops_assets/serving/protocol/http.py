"""The little of HTTP that predictor, gateway and sink need.

A framework would cost a fifth of the throughput for routing that is a dictionary here.
"""

from dataclasses import dataclass

import msgspec

from mlops_assets.serving.protocol.refusal import RequestError

TextHeaders = list[tuple[str, str]]

JSON = "application/json"
METRICS = "text/plain; version=0.0.4; charset=utf-8"
MAX_ID_LENGTH = 200
VERSION_HEADER = "x-model-version"
"""On every answer of a predictor, and on no other: what carries it, the version itself said."""
CLOSING = (408, 413)
"""After these the connection ends: the rest of the body is not read."""


@dataclass(slots=True)
class Reply:
    """What is sent back."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: TextHeaders | None = None


def json_reply(content: object, status: int = 200) -> Reply:
    """A reply with JSON."""
    return Reply(status, msgspec.json.encode(content))


def metrics_reply(text: str) -> Reply:
    """A reply that Prometheus reads."""
    return Reply(200, text.encode(), METRICS)


def method_reply(method: str, allowed: str) -> Reply:
    """A reply to a method that a path does not take."""
    reply = json_reply({"error": f"method: expected {allowed}, found {method}"}, 405)
    reply.headers = [("allow", allowed)]
    return reply


def refusal_reply(error: RequestError) -> Reply:
    """A reply that says what is wrong, in the form of KServe's errors."""
    reply = json_reply({"error": error.reason}, error.status)
    if error.retry_after_seconds is not None:
        reply.headers = [("retry-after", str(error.retry_after_seconds))]
    return reply


def too_long(size: int, limit: int) -> RequestError:
    """The refusal of a body."""
    return RequestError(413, f"body: expected at most {limit:,} bytes, found {size:,}")

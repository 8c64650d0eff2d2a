"""The little of HTTP that the predictor and the gateway need, on plain ASGI.

A framework would cost a fifth of the throughput for routing that is a dictionary here.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import msgspec

from mlops_assets.serving.protocol.refusal import RequestError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = b"application/json"
MAX_ID_LENGTH = 200
CLOSING = (408, 413)
"""After these the connection ends: the rest of the body is not read."""


@dataclass(slots=True)
class Reply:
    """What is sent back."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers | None = None


def json_reply(content: object, status: int = 200) -> Reply:
    """A reply with JSON."""
    return Reply(status, msgspec.json.encode(content))


def method_reply(method: str, allowed: str) -> Reply:
    """A reply to a method that a path does not take."""
    reply = json_reply({"error": f"method: expected {allowed}, found {method}"}, 405)
    reply.headers = [(b"allow", allowed.encode())]
    return reply


def refusal_reply(error: RequestError) -> Reply:
    """A reply that says what is wrong, in the form of KServe's errors."""
    reply = json_reply({"error": error.reason}, error.status)
    if error.retry_after_seconds is not None:
        reply.headers = [(b"retry-after", str(error.retry_after_seconds).encode())]
    return reply


async def send_reply(send: Send, reply: Reply, more: Headers) -> None:
    """Send a reply with further headers."""
    headers = [
        (b"content-type", reply.content_type),
        (b"content-length", str(len(reply.body)).encode()),
        *more,
    ]
    if reply.headers:
        headers.extend(reply.headers)
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def read_body(receive: Receive, declared: bytes | None, limit: int) -> bytes:
    """The request's body.

    Raises:
        RequestError: 413 longer than the limit; 400 cut off or with a senseless length.
    """
    if declared is not None:
        if not declared.isdigit():
            raise RequestError(400, f"content-length: expected a number, found {declared!r}")
        if int(declared) > limit:
            raise too_long(int(declared), limit)
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        parts, size = [body], len(body)
        while message.get("more_body"):
            message = await receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise too_long(size, limit)
        body = b"".join(parts)
    if message["type"] == "http.disconnect":
        raise RequestError(400, "the connection ended before the body did")
    return body


def too_long(size: int, limit: int) -> RequestError:
    """The refusal of a body."""
    return RequestError(413, f"body: expected at most {limit:,} bytes, found {size:,}")


class RequestHeaders:
    """The headers that a prediction request may carry. The last one counts of those that repeat."""

    __slots__ = ("_get",)

    def __init__(self, raw: Headers) -> None:
        self._get = dict(raw).get

    @property
    def content_length(self) -> bytes | None:
        """Declared length of the body."""
        return self._get(b"content-length")

    @property
    def json_length(self) -> bytes | None:
        """Declared length of the JSON before binary tensors."""
        return self._get(b"inference-header-content-length")

    @property
    def is_probe(self) -> bool:
        """Whether the gateway only asks whether the model answers."""
        return self._get(b"x-mlops-probe") is not None

    @property
    def is_shadow(self) -> bool:
        """Whether the answer is stored and returned to nobody."""
        return self._get(b"x-mlops-shadow") is not None

    @property
    def unit(self) -> str:
        """Who or what the request is about, hashed by the gateway; empty when it does not say."""
        return self._get(b"x-mlops-unit", b"").decode("ascii", "replace")[:32]

    def caller_id(self) -> str | None:
        """The caller's id of the request, if any.

        Raises:
            RequestError: 400, it is too long or holds other characters than printable ASCII ones,
                which would come back changed, and two ids as one.
        """
        ce_id = self._get(b"ce-id")
        raw = ce_id or self._get(b"x-request-id")
        if not raw:
            return None
        text = raw.decode("latin-1")
        if len(text) > MAX_ID_LENGTH or not (text.isascii() and text.isprintable()):
            name = "ce-id" if ce_id else "x-request-id"
            raise RequestError(
                400, f"{name}: expected at most {MAX_ID_LENGTH} printable ASCII characters"
            )
        return text

    def require_json(self, *, binary: bool) -> None:
        """Raises RequestError 415 when the body is declared to be something else than is read."""
        kind = self._get(b"content-type", JSON)
        if kind != JSON:
            kind = kind.split(b";", 1)[0].strip().lower()
        if kind not in (b"", JSON) and not (
            binary and kind == b"application/octet-stream" and self.json_length is not None
        ):
            raise RequestError(
                415, f"content-type: expected application/json, found {kind.decode('latin-1')}"
            )
        encoding = self._get(b"content-encoding", b"identity")
        if encoding not in (b"", b"identity"):
            raise RequestError(
                415,
                "content-encoding: expected none, found " + encoding.decode("latin-1"),
            )

    def json_size(self) -> int | None:
        """Length of the JSON before binary tensors.

        Raises:
            RequestError: 400, it is no number.
        """
        length = self.json_length
        if length is None:
            return None
        if not length.isdigit():
            raise RequestError(
                400,
                f"Inference-Header-Content-Length: expected a number, found "
                f"{length.decode('latin-1')}",
            )
        return int(length)

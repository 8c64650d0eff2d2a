"""Requests and answers as RSGI, granian's interface, has them: one call for each body and answer.

`http_server/` speaks it, too. Through ASGI, with its messages and tasks, a bare handler on granian
answers a quarter fewer requests.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable
from random import getrandbits
from typing import Protocol

from mlops_assets.serving.protocol.http import (
    CLOSING,
    JSON,
    MAX_ID_LENGTH,
    Reply,
    TextHeaders,
    too_long,
)
from mlops_assets.serving.protocol.patience import Patience
from mlops_assets.serving.protocol.refusal import RequestError

CUT_OFF = "the connection ended before the body did"
_MOST_DIGITS = 18
_IDS = ("ce-id", "x-request-id")


class HeaderValues(Protocol):
    """Headers of a request by lower-case name, the first of those that repeat.

    A value that holds more than printable ASCII is `in` them, and cannot be got.
    """

    def get(self, key: str, /) -> str | None:
        """The value, if it can be read."""

    def __contains__(self, key: str, /) -> bool:
        """Whether the header was sent."""


class Scope(Protocol):
    """What RSGI says of a request. The path is percent-decoded."""

    method: str
    path: str
    query_string: str
    headers: HeaderValues


class Exchange(Protocol):
    """RSGI's way to a request's body and to its answer."""

    def __call__(self) -> Awaitable[bytes]:
        """The whole body."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body in pieces."""

    def response_bytes(self, status: int, headers: TextHeaders, body: bytes) -> None:
        """Answer."""


def send_reply(
    exchange: Exchange,
    reply: Reply,
    more: Iterable[tuple[str, str]] = (),
    *,
    draining: bool,
    method: str = "",
) -> None:
    """Send a reply with further headers; the server adds the length.

    Args:
        exchange: The way to the answer.
        reply: What is sent.
        more: Further headers.
        draining: Whether the client is told to leave.
        method: Of the request: HEAD gets no body.
    """
    headers = [("content-type", reply.content_type), *more]
    if reply.headers:
        headers += reply.headers
    if draining or reply.status in CLOSING:
        headers.append(("connection", "close"))
    exchange.response_bytes(reply.status, headers, b"" if method == "HEAD" else reply.body)


class _Reading:
    """A task that waits for a body."""

    def __init__(self) -> None:
        self.task = asyncio.current_task()
        self.gave_up = False

    def give_up(self) -> None:
        self.gave_up = self.task is not None and self.task.cancel()


async def read_body(
    exchange: Exchange, declared: str | None, limit: int, patience: Patience
) -> bytes:
    """The request's body.

    Raises:
        RequestError: 413 longer than the limit; 408 too slow; 400 cut off or with a senseless
            length.
    """
    reading = _Reading()
    patience.begin(reading, asyncio.get_running_loop())
    try:
        if declared is not None:
            if not declared.isdigit():
                raise RequestError(400, f"content-length: expected a number, found {declared!r}")
            if int(declared) > limit:
                raise too_long(int(declared), limit)
            return await exchange()
        parts, size = [], 0
        async for part in exchange:
            parts.append(part)
            size += len(part)
            if size > limit:
                raise too_long(size, limit)
    except RuntimeError as error:  # what both servers raise
        raise RequestError(400, CUT_OFF) from error
    except asyncio.CancelledError:
        if reading.task is not None and reading.gave_up:
            reading.task.uncancel()
            raise patience.refusal() from None
        raise
    finally:
        patience.end(reading)
    return b"".join(parts)


def is_short(declared: str | None, limit: int) -> bool:
    """Whether a body says how long it is, and is no longer than the limit."""
    return declared is not None and declared.isdigit() and int(declared) <= limit


def make_id() -> str:
    """An id that nobody else makes. From memory: a system call would let another thread in."""
    return f"{getrandbits(128):032x}"


def usable_id(text: str | None) -> str | None:
    """The id of a V2 body, if it can be a header's value too.

    >>> usable_id("b1"), usable_id("é"), usable_id("")
    ('b1', None, None)
    """
    usable = text and len(text) <= MAX_ID_LENGTH and text.isascii() and text.isprintable()
    return text if usable else None


class RequestHeaders:
    """The headers that a prediction request may carry.

    `is_probe`, `is_shadow` and `unit` are the gateway's to say; true only where nobody else can.
    """

    __slots__ = ("_get", "_sent")

    def __init__(self, sent: HeaderValues) -> None:
        self._sent = sent
        self._get = sent.get

    @property
    def content_length(self) -> str | None:
        """Declared length of the body."""
        return self._get("content-length")

    @property
    def is_plain_json(self) -> bool:
        """Whether nothing more has to be known of how the body is declared."""
        return self._get("content-type") == JSON and self._get("content-encoding") is None

    @property
    def json_length(self) -> str | None:
        """Declared length of the JSON before binary tensors."""
        return self._get("inference-header-content-length")

    @property
    def is_probe(self) -> bool:
        """Whether the gateway only asks whether the model answers."""
        return self._get("x-mlops-probe") is not None

    @property
    def is_shadow(self) -> bool:
        """Whether the answer is stored and returned to nobody."""
        return self._get("x-mlops-shadow") is not None

    @property
    def unit(self) -> str:
        """Who or what the request is about, hashed by the gateway; empty when it does not say."""
        sent = self._get("x-mlops-unit")
        return "" if sent is None else sent[:32]

    def caller_id(self) -> str | None:
        """The caller's id of the request, if any: of `ce-id`, else of `x-request-id`.

        Raises:
            RequestError: 400, it is too long or holds other characters than printable ASCII ones,
                which would come back changed, and two ids as one.
        """
        sent, found = self._sent, None
        for name in _IDS:
            if name not in sent:
                continue
            text = sent.get(name)
            if text is None or len(text) > MAX_ID_LENGTH or not text.isprintable():
                raise RequestError(
                    400, f"{name}: expected at most {MAX_ID_LENGTH} printable ASCII characters"
                )
            found = found or text
        return found or None

    def require_json(self, *, binary: bool) -> None:
        """Raises RequestError 415 when the body is declared to be something else than is read."""
        kind = self._get("content-type") or JSON
        if kind != JSON:
            kind = kind.split(";", 1)[0].strip().lower()
        if kind not in ("", JSON) and not (
            binary and kind == "application/octet-stream" and self.json_length is not None
        ):
            raise RequestError(415, f"content-type: expected application/json, found {kind}")
        encoding = self._get("content-encoding")
        if encoding not in (None, "", "identity"):
            raise RequestError(415, f"content-encoding: expected none, found {encoding}")

    def json_size(self) -> int | None:
        """Length of the JSON before binary tensors.

        Raises:
            RequestError: 400, it is no number.
        """
        length = self.json_length
        if length is None:
            return None
        if not length.isdigit() or len(length) > _MOST_DIGITS:
            raise RequestError(
                400, f"Inference-Header-Content-Length: expected a number, found {length[:60]}"
            )
        return int(length)

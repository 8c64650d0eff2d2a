"""Calls of an RSGI application without a server."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from mlops_assets.serving.protocol.http import TextHeaders


@dataclass(frozen=True)
class Response:
    """What an application sent."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass(frozen=True)
class Request:
    """A request as granian describes it."""

    method: str
    path: str
    query_string: str = ""
    headers: dict[str, str] = field(default_factory=dict)


class Exchange:
    """A body that is there at once, and whatever is answered."""

    def __init__(self, body: bytes) -> None:
        self.answer: Response | None = None
        self._body = body

    async def __call__(self) -> bytes:
        return self._body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body

    def response_bytes(self, status: int, headers: TextHeaders, body: bytes) -> None:
        self.answer = Response(status, dict(headers), body)


def call(
    app: Any, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> Response:
    """One request to an application."""
    exchange = Exchange(body)
    asyncio.run(app.__rsgi__(Request(method, path, headers=headers or {}), exchange))
    assert exchange.answer is not None
    return exchange.answer

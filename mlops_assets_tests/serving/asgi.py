"""Calls of an ASGI application without a server."""

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import msgspec

_LOOP = asyncio.Runner()  # one for all: making a loop takes longer than a request


@dataclass(frozen=True)
class Response:
    """What an application sent."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


def call(
    app: Any, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> Response:
    """One request to an application."""
    sent: list[MutableMapping[str, Any]] = []
    raw = [(k.encode(), v.encode()) for k, v in (headers or {}).items()]
    scope = {"type": "http", "method": method, "path": path, "headers": raw}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    _LOOP.run(app(scope, receive, send))
    found = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return Response(sent[0]["status"], found, sent[1]["body"])

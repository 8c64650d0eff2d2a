"""Requests that are answered as soon as their body is there, without a task of the event loop.

A task for each request would take longer than the model does for a row. What is quick is answered
where the body's last piece was read; what is slow goes on as a task.
"""

import asyncio
from typing import Any, Protocol, cast

from mlops_assets.serving.protocol.patience import Patience
from mlops_assets.serving.protocol.refusal import RequestError
from mlops_assets.serving.protocol.rsgi import CUT_OFF, Exchange, Scope


class Arrival:
    """A request whose body is on its way. Ends in exactly one call of `take` or `refuse`.

    Attributes:
        exchange: The way to its body and to its answer.
        patience: Ends the wait for the body.
        loop: The event loop, for what is slow.
    """

    exchange: Exchange
    patience: Patience
    loop: asyncio.AbstractEventLoop
    _body: Any

    def take(self, body: bytes) -> None:
        """The body is there. Must not raise."""
        raise NotImplementedError

    def refuse(self, error: RequestError) -> None:
        """It did not come in time, or not whole. Must not raise."""
        raise NotImplementedError

    def begin(self) -> None:
        """Have the body read."""
        self._body = body = cast("Any", self.exchange())
        self.patience.begin(self, self.loop)
        body.add_done_callback(self)

    def __call__(self, body: Any) -> None:
        """What the server calls once the body is there, or never will be."""
        if not self.patience.end(self):
            return  # patience ended first, and said so
        self._body = None  # it holds us, and no collection would find that circle
        try:
            content = body.result()
        except RuntimeError:
            self.refuse(RequestError(400, CUT_OFF))
            return
        self.take(content)

    def give_up(self) -> None:
        """Patience ended."""
        body, self._body = self._body, None
        body.cancel()
        self.refuse(self.patience.refusal())


class HttpApp(Protocol):
    """What answers the requests of a server."""

    def begin(
        self, scope: Scope, exchange: Exchange, loop: asyncio.AbstractEventLoop
    ) -> Arrival | None:
        """The request as an arrival; None: it goes through `__rsgi__`."""

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        """A request that is no arrival."""

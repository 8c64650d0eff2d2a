"""Requests that are answered where granian hands them over, with no event loop between.

granian reads from its connections in one thread and calls Python in a second one, which wakes the
event loop twice for each request: when its head is there, and when its body is. Each of these hops
takes longer than the model does for a row. Here an application may take a request at the first
call: its body is read at once, and what is quick is answered when the body is there, in that second
thread (there is only one, so what runs there needs no lock against itself). What is slow goes on as
a task of the event loop.

granian has no public door for this, but it reaches the event loop through `call_soon_threadsafe`
alone, and `make_loop` gives one that looks at what comes that way. Should granian call otherwise
one day, every request takes the ordinary way, through `__rsgi__`: slower, and no less right.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol, cast

from mlops_assets.serving.protocol.patience import Patience
from mlops_assets.serving.protocol.refusal import RequestError
from mlops_assets.serving.protocol.rsgi import CUT_OFF, Exchange, Scope

_LOG = logging.getLogger(__name__)


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
        """The body is there. Called in the thread that the server calls in; must not raise."""
        raise NotImplementedError

    def refuse(self, error: RequestError) -> None:
        """It did not come in time, or not whole. Called in either thread; must not raise."""
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
        except RuntimeError as error:  # what granian raises, and keeps with the body
            error.__traceback__ = None  # another circle through us
            self.refuse(RequestError(400, CUT_OFF))
            return
        self.take(content)

    def give_up(self) -> None:
        """Patience ended. Called in the event loop's thread."""
        body, self._body = self._body, None
        body.cancel()
        self.refuse(self.patience.refusal())


class EagerApp(Protocol):
    """An application that takes requests early."""

    def begin(
        self, scope: Scope, exchange: Exchange, loop: asyncio.AbstractEventLoop
    ) -> Arrival | None:
        """The request as an arrival; None: it goes through `__rsgi__`."""


class _Eager:
    """What is added to an event loop. `app` is set once there is a server."""

    app: EagerApp | None = None

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> Any:
        """Called by granian, and by whatever else knows threads."""
        if isinstance(callback, Arrival):
            callback(*args)
            return None
        if self.app is not None and len(args) == 2 and self._takes(self.app, *args):
            return None
        return super().call_soon_threadsafe(  # type: ignore[misc]
            callback, *args, context=context
        )

    def _takes(self, app: EagerApp, coroutine: Any, watcher: Any) -> bool:
        """Whether this is a new request of which the application took care.

        Args:
            app: The application.
            coroutine: Would serve it; not begun.
            watcher: What granian knows of it.
        """
        try:
            scope, exchange = watcher.scope, watcher.proto
        except AttributeError:
            return False
        try:
            arrival = app.begin(scope, exchange, self)  # type: ignore[arg-type]
            if arrival is None:
                return False
            arrival.begin()
        except Exception:  # granian's thread must go on, and the ordinary way is still open
            _LOG.exception("a request could not be taken early")
            return False
        coroutine.close()
        return True


def make_loop() -> asyncio.AbstractEventLoop:
    """An event loop, uvloop's where it is installed, through which requests are taken early."""
    try:
        from uvloop import Loop as Base
    except ImportError:
        from asyncio import SelectorEventLoop as Base  # type: ignore[assignment]
    loop: asyncio.AbstractEventLoop = type("EagerLoop", (_Eager, Base), {})()
    return loop


def take_early(app: EagerApp) -> None:
    """Have the running loop hand requests to the application; a loop of another kind does not."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, _Eager):
        loop.app = app

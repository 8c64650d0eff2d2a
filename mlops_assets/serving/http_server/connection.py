"""One caller's connection: requests are parsed, answered in their order, and it is ended in time.

llhttp parses, Node's parser, by way of httptools.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import httptools

from mlops_assets.serving.http_server.arrival import HttpApp
from mlops_assets.serving.http_server.body import Body
from mlops_assets.serving.http_server.request import Request, RequestHead
from mlops_assets.serving.protocol.http import Reply, TextHeaders, json_reply

_LOG = logging.getLogger(__name__)
_MOST_HEADERS = 100
_MOST_HEAD_BYTES = 65_536
_MOST_PIPELINED = 8  # requests that wait for the answers to those before them
_REQUEST_SECONDS = 30.0  # for the next request's head to be there
_ANSWER_SECONDS = 30.0  # for a caller to take its answer
# Who is refused while still sending gets to read why: what it sends is thrown away for so long.
_LEAVE_SECONDS = 2.0
_LEAVE_BYTES = 16_000_000
_CLOSE = ("connection", "close")
_STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n" for s in HTTPStatus}


class HttpConnection(asyncio.Protocol):
    """A connection. All in the event loop's thread.

    Args:
        app: Answers. It is given one request at a time.
        tasks: Holds the tasks of requests that were not taken early.
        ended: Called once, at the end.
    """

    def __init__(
        self,
        app: HttpApp,
        tasks: set[asyncio.Task[None]],
        ended: Callable[["HttpConnection"], None],
    ) -> None:
        self._app = app
        self._tasks = tasks
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._head: RequestHead | None = None  # of the request that is being read
        self._n_head_bytes = 0
        self._receiving: Request | None = None  # whose body is being read
        self._framing: bytes | None = None  # of a body before which the parser stops
        self._is_resuming = False  # another parser is told of that body
        self._requests: deque[Request] = deque()  # not answered; the first one is the app's
        self._is_deaf = False  # what else comes is thrown away
        self._n_ignored = 0  # bytes
        self._is_held = False  # nothing is read
        self._is_stuck = False  # the caller does not take its answers
        self._since = 0.0  # of `time.monotonic`: the latest change of what is waited for
        self._is_leaving = False

    def connection_made(self, transport: Any) -> None:
        """It begins."""
        self._transport = transport
        self._since = time.monotonic()
        if self._is_deaf:  # it was closed before
            transport.close()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        """It ended."""
        self._transport = self._parser = None  # the parser holds us
        self._is_deaf = True
        self._requests.clear()
        receiving, self._receiving = self._receiving, None
        if receiving is not None:
            receiving.body.cut()
        self._ended(self)

    def eof_received(self) -> bool:
        """Nothing more is sent. Whether what was asked is still answered."""
        self._is_deaf = True
        receiving, self._receiving = self._receiving, None
        if receiving is not None:
            receiving.body.cut()
        if self._requests:
            self._requests[-1].keeps = False
        return bool(self._requests) and not self._is_leaving

    def pause_writing(self) -> None:
        """The caller does not take its answers."""
        self._is_stuck = True
        self._since = time.monotonic()

    def resume_writing(self) -> None:
        """It took them."""
        self._is_stuck = False
        self._begin_next()

    def data_received(self, data: bytes) -> None:
        """The next piece of whatever is sent."""
        if self._is_deaf:
            self._n_ignored += len(data)
            if self._n_ignored > _LEAVE_BYTES and self._is_leaving:
                self._transport.abort()
            return
        rest = memoryview(data)
        while rest and not self._is_deaf:
            rest = self._parse(rest)

    def _parse(self, data: memoryview) -> memoryview:
        """Have the parser read; what it stopped before."""
        head, rest = self._head, data[:0]
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as stop:
            if self._framing is not None:  # else nobody listens any more
                rest = data[stop.args[0] :]
                self._stay(self._framing)
        except httptools.HttpParserError as error:
            self._reject(_refusal_of(error))
        if head is not None and self._head is head:  # still not all of it
            self._n_head_bytes += len(data)
            if self._n_head_bytes > _MOST_HEAD_BYTES and not self._is_deaf:
                self._reject(_head_too_large())
        return rest

    def _stay(self, framing: bytes) -> None:
        """Read on where a caller offered another protocol: nothing else is spoken here.

        The parser stops after such a head, and would not read its body; another one does.
        """
        self._framing = None
        self._parser = httptools.HttpRequestParser(self)
        self._is_resuming = True
        try:
            self._parser.feed_data(b"POST / HTTP/1.1\r\n%s\r\n" % framing)
        except httptools.HttpParserError as error:
            self._reject(_refusal_of(error))
        self._is_resuming = False

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._is_resuming:
            return
        self._head, self._n_head_bytes = RequestHead(), 0
        self._since = time.monotonic()

    def on_url(self, part: bytes) -> None:
        """Its target, or a piece of it."""
        if self._head is not None:
            self._head.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        head = self._head
        if head is None:
            return  # of a chunked body's end
        head.add(name, value)
        if head.n_bytes > _MOST_HEAD_BYTES or len(head.headers) > _MOST_HEADERS:
            raise _HeadTooLargeError

    def on_headers_complete(self) -> None:
        """All before its body is there."""
        head, self._head = self._head, None
        if head is None or self._is_deaf:
            return
        parser = self._parser
        method = parser.get_method().decode("ascii")
        request = Request(method, head, Body(self._steer), self.answer)
        is_newest = parser.get_http_version() == "1.1"
        request.keeps = is_newest and parser.should_keep_alive()
        if parser.should_upgrade():
            self._framing = head.framing()
        if is_newest and head.headers.get("expect", b"").lower() == b"100-continue":
            request.wait_for_leave(self._permit)
        self._receiving = request
        self._enqueue(request)

    def on_body(self, piece: bytes) -> None:
        """A piece of its body."""
        if self._receiving is not None:
            body = self._receiving.body
            body.feed(piece)
            if body.is_full:
                self._steer()

    def on_message_complete(self) -> None:
        """It is whole."""
        if self._framing is not None:
            return  # says the parser, without having read the body
        receiving, self._receiving = self._receiving, None
        if receiving is not None:
            self._is_deaf = self._is_deaf or not receiving.keeps
            receiving.body.end()

    # Answers.

    def answer(self, request: Request, status: int, headers: TextHeaders, body: bytes) -> None:
        """Send the answer to the request whose turn it is; to any other, nothing."""
        if not self._requests or self._requests[0] is not request or self._is_over:
            return
        self._requests.popleft()
        is_said = _CLOSE in headers
        ends = is_said or not request.keeps or not request.body.is_whole
        lines = [f"{name}: {value}\r\n" for name, value in headers]
        if ends and not is_said:
            lines.append("connection: close\r\n")
        if request.method != "HEAD":
            lines.append(f"content-length: {len(body)}\r\n")
        head = f"{_STATUS_LINES[status]}{''.join(lines)}date: {_date(int(time.time()))}\r\n\r\n"
        self._transport.write(head.encode("latin-1") + body)
        self._since = time.monotonic()
        if ends:
            self._leave(request)
        elif self._requests:
            self._loop.call_soon(self._begin_next)  # not at once: a thousand would nest
        if self._is_held:
            self._steer()

    @property
    def _is_over(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def _enqueue(self, request: Request) -> None:
        self._requests.append(request)
        if len(self._requests) == 1 and not self._is_stuck:
            self._begin(request)
        else:
            self._steer()

    def _begin_next(self) -> None:
        if self._requests and not self._is_stuck:
            self._begin(self._requests[0])

    def _begin(self, request: Request) -> None:
        """Have the application answer; a second time, nothing happens."""
        if request.has_begun:
            return
        request.has_begun = True
        if request.refusal is not None:
            refusal = request.refusal
            headers = [("content-type", refusal.content_type)]
            self.answer(request, refusal.status, headers, refusal.body)
            return
        try:
            arrival = self._app.begin(request, request, self._loop)
            if arrival is not None:
                arrival.begin()
                return
        except Exception:  # the ordinary way is still open
            _LOG.exception("a request could not be taken early")
        task = self._loop.create_task(self._app.__rsgi__(request, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _permit(self) -> None:
        if not self._is_over:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _reject(self, reply: Reply) -> None:
        """What came is no request: say so when it is its turn, and hear no more."""
        self._is_deaf = True
        receiving, self._receiving = self._receiving, None
        if receiving is not None:  # a body that is none
            receiving.body.cut()
            return
        request = Request("", RequestHead(), Body(self._steer), self.answer)
        request.refusal = reply
        self._enqueue(request)

    # Its end.

    def _leave(self, request: Request) -> None:
        """End it; who still sends gets to read its answer first."""
        self._is_deaf = True
        self._requests.clear()
        if request.body.is_whole:
            self._transport.close()
            return
        self._is_leaving = True
        self._receiving = None
        request.body.cancel()
        self._transport.write_eof()

    def expire(self, now: float) -> None:
        """End it if it was waited for too long."""
        if self._transport is None:
            return
        waited = now - self._since
        if self._is_leaving:
            if waited > _LEAVE_SECONDS:
                self._transport.abort()
        elif self._is_stuck or self._transport.is_closing():
            if waited > _ANSWER_SECONDS:
                self._transport.abort()
        elif not self._requests and waited > _REQUEST_SECONDS:
            self._transport.close()

    def close(self) -> None:
        """End it now, after what was written."""
        self._is_deaf = True
        if self._transport is not None:
            self._transport.close()

    def _steer(self) -> None:
        """Read on, or let more wait where it comes from."""
        receiving = self._receiving
        holds = len(self._requests) > _MOST_PIPELINED or (
            receiving is not None and receiving.body.is_full
        )
        if holds != self._is_held and not self._is_over:
            self._is_held = holds
            (self._transport.pause_reading if holds else self._transport.resume_reading)()


class _HeadTooLargeError(Exception):
    """A head is longer than is read."""


def _refusal_of(error: httptools.HttpParserError) -> Reply:
    cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
    if isinstance(cause, _HeadTooLargeError):
        return _head_too_large()
    if isinstance(cause, httptools.HttpParserError):
        return json_reply({"error": f"expected HTTP/1.1: {cause}"}, 400)
    _LOG.error("a request could not be read", exc_info=cause)
    return json_reply({"error": "the server failed on this request; see its log"}, 500)


def _head_too_large() -> Reply:
    reason = f"headers: expected at most {_MOST_HEADERS}, and {_MOST_HEAD_BYTES:,} bytes"
    return json_reply({"error": reason}, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)

"""One request as RSGI has it: what was asked, its body, and the way to its answer."""

from collections.abc import AsyncIterator, Callable
from urllib.parse import unquote

import httptools

from mlops_assets.serving.http_server.body import Body
from mlops_assets.serving.protocol.http import Reply, TextHeaders
from mlops_assets.serving.protocol.rsgi import HeaderValues


class RequestHead:
    """What comes before the body, line by line.

    Attributes:
        n_bytes: Length of its names and values.
    """

    __slots__ = ("headers", "n_bytes", "target")

    def __init__(self) -> None:
        self.target = b""
        self.headers: dict[str, bytes] = {}
        self.n_bytes = 0

    def add(self, name: bytes, value: bytes) -> None:
        """A header; the first of those that repeat stays."""
        self.n_bytes += len(name) + len(value)
        self.headers.setdefault(name.decode("latin-1").lower(), value)

    def framing(self) -> bytes:
        """The headers that say where the body ends."""
        names = (name for name in ("content-length", "transfer-encoding") if name in self.headers)
        return b"".join(b"%s: %s\r\n" % (name.encode(), self.headers[name]) for name in names)

    def __contains__(self, key: str, /) -> bool:
        return key in self.headers

    def get(self, key: str, /) -> str | None:
        """A value, if it is printable ASCII."""
        value = self.headers.get(key)
        if value is None or not value.isascii():
            return None
        text = value.decode("ascii")
        return text if text.isprintable() else None


class Request:
    """RSGI's scope and exchange in one.

    Attributes:
        method: As it was sent.
        path: Percent-decoded.
        query_string: As it was sent.
        headers: By lower-case name.
        body: As it comes.
        keeps: Whether the connection stays open after the answer.
        has_begun: Whether the application was given it.
        refusal: The answer, when what was sent is no request.
    """

    __slots__ = (
        "_answer", "_permit", "body", "has_begun", "headers", "keeps", "method", "path",
        "query_string", "refusal",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        head: RequestHead,
        body: Body,
        answer: "Callable[[Request, int, TextHeaders, bytes], None]",
    ) -> None:
        """Raises httptools.HttpParserError for a target that is none."""
        self.method = method
        self.headers: HeaderValues = head
        self.body = body
        self.keeps = True
        self.has_begun = False
        self.refusal: Reply | None = None
        self._answer = answer
        self._permit: Callable[[], None] | None = None
        path, query = _split(head.target)
        self.path = unquote(path) if "%" in path else path
        self.query_string = query

    def wait_for_leave(self, permit: Callable[[], None]) -> None:
        """The body is sent only after `permit` was called (`expect: 100-continue`)."""
        self._permit = permit

    def __call__(self) -> Body:
        """The whole body, to be awaited."""
        self._allow()
        self.body.want_whole()
        return self.body

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body in pieces."""
        self._allow()
        return self.body.pieces()

    def _allow(self) -> None:
        permit, self._permit = self._permit, None
        if permit is not None and not self.body.is_whole:
            permit()

    def response_bytes(self, status: int, headers: TextHeaders, body: bytes) -> None:
        """Answer; a second time, or when the caller left, nothing happens."""
        self._answer(self, status, headers, body)


def _split(target: bytes) -> tuple[str, str]:
    """Path and query of a request's target, also of one that names the host."""
    if target.startswith(b"http"):
        url = httptools.parse_url(target)
        return _text(url.path or b"/"), _text(url.query or b"")
    path, _, query = target.partition(b"?")
    return _text(path), _text(query)


def _text(part: bytes) -> str:
    return part.decode("utf-8", "replace")

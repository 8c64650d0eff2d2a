"""However a caller's bytes are cut, the answers are the same; and no bytes break a connection."""

import asyncio
import itertools
from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlops_assets.serving.http_server.connection import HttpConnection
from mlops_assets.serving.protocol.rsgi import Exchange, Scope
from mlops_assets_tests.serving.effort import scaled

OFFER = "connection: upgrade\r\nupgrade: h2c\r\n"
REQUESTS = [
    b"POST /a?q=%20 HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nabcde",
    b"\r\nGET /%62 HTTP/1.1\r\n\r\n",
    b"POST /c HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    b"2\r\nab\r\n3;x=1\r\ncde\r\n0\r\ny: z\r\n\r\n",
    f"POST /d HTTP/1.1\r\n{OFFER}content-length: 2\r\n\r\nab".encode(),
    f"POST /e HTTP/1.1\r\n{OFFER}transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n".encode(),
    b"HEAD /f HTTP/1.1\r\nx: \xff\r\n\r\n",
    b"POST /g HTTP/1.1\r\nconnection: close\r\ncontent-length: 1\r\n\r\na",
]
STREAM = b"".join(REQUESTS)
_TURNS = 5 * len(REQUESTS)  # of the event loop, until all is answered
CUTS = st.lists(st.integers(0, len(STREAM)), max_size=40)


class App:
    """Answers with what was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def begin(self, *_: object) -> None:
        """Takes none early."""

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        try:
            body = await exchange()
        except RuntimeError as error:
            body = str(error).encode()
        self.asked.append(
            f"{scope.method} {scope.path} {scope.query_string} {body.decode('latin-1')}"
        )
        exchange.response_bytes(200, [], body)


class Caller:
    """What a connection writes to."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        assert not self.is_closed
        self.answers.append(data)

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    abort = write_eof = close

    def pause_reading(self) -> None:
        """Nothing is kept back."""

    resume_reading = pause_reading


def ask(pieces: Sequence[bytes]) -> tuple[list[str], Caller]:
    """What the application was asked, and what the caller got."""
    app, caller = App(), Caller()

    async def main() -> None:
        tasks: set[asyncio.Task[None]] = set()
        connection = HttpConnection(app, tasks, lambda _: None)
        connection.connection_made(caller)
        for piece in pieces:
            if not caller.is_closed:
                connection.data_received(piece)
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        connection.eof_received()
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        connection.connection_lost(None)
        await asyncio.wait_for(asyncio.gather(*tasks), 60)

    asyncio.run(main())
    return app.asked, caller


@given(CUTS)
@example(list(range(len(STREAM))))  # a byte at a time
def test_however_it_is_cut_it_is_the_same(cuts: list[int]) -> None:
    at = sorted({0, *cuts, len(STREAM)})
    asked, caller = ask([STREAM[a:b] for a, b in itertools.pairwise(at)])
    assert asked == [
        "POST /a q=%20 abcde", "GET /b  ", "POST /c  abcde", "POST /d  ab", "POST /e  a",
        "HEAD /f  ", "POST /g  a",
    ]  # fmt: skip
    assert len(caller.answers) == len(REQUESTS)
    assert caller.is_closed


@settings(max_examples=scaled(300, 20_000))
@given(
    st.integers(0, len(STREAM)), st.integers(0, 20), st.binary(max_size=20), st.sampled_from([0, 9])
)
@example(0, 0, REQUESTS[6] + REQUESTS[3], 0)  # another protocol after the last request
def test_no_bytes_break_it(at: int, n_lost: int, put: bytes, cut: int) -> None:
    broken = STREAM[:at] + put + STREAM[at + n_lost :]
    _, caller = ask([broken[:cut], broken[cut:]])
    for answer in caller.answers:
        status = int(answer.split()[1])
        assert status < 500

"""Patience with bodies: it ends for those that do not come, and for no others."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from mlops_assets.serving.protocol.http import TextHeaders
from mlops_assets.serving.protocol.patience import Patience
from mlops_assets.serving.protocol.refusal import RequestError
from mlops_assets.serving.protocol.rsgi import read_body


class Sending:
    """A request whose body comes when the test says so."""

    def __init__(self) -> None:
        self.body: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> bytes:
        return await self.body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield await self.body

    def response_bytes(self, status: int, headers: TextHeaders, body: bytes) -> None:
        raise AssertionError(f"nobody answers here: {status} {headers} {body!r}")


@pytest.mark.parametrize("declared", ["2", None], ids=["declared", "in_pieces"])
def test_a_body_that_does_not_come_is_refused_and_one_that_came_is_not(
    declared: str | None,
) -> None:
    async def main() -> None:
        patience = Patience(0.01)
        late, timely = Sending(), Sending()
        waiting = [
            asyncio.create_task(read_body(sending, declared, 100, patience))
            for sending in (late, timely)
        ]
        await asyncio.sleep(0)
        timely.body.set_result(b"{}")
        assert await waiting[1] == b"{}"
        with pytest.raises(RequestError, match=r"expected all of it in 0\.01 s") as refused:
            await waiting[0]
        assert refused.value.status == 408

    asyncio.run(main())


def test_a_task_that_somebody_else_cancels_is_cancelled() -> None:
    async def main() -> None:
        waiting = asyncio.create_task(read_body(Sending(), "2", 100, Patience(30.0)))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())

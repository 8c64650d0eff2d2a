"""Patience with bodies: it ends for those that do not come, and for no others."""

import asyncio

import pytest

from mlops_assets.serving.protocol.patience import Patience
from mlops_assets.serving.protocol.refusal import RequestError


async def read(patience: Patience, body: asyncio.Future[bytes]) -> bytes:
    task = patience.begin()
    try:
        return await body
    except asyncio.CancelledError:
        patience.require(task)
        raise
    finally:
        patience.end(task)


def test_a_body_that_does_not_come_is_refused_and_one_that_came_is_not() -> None:
    async def main() -> None:
        patience = Patience(0.01)
        loop = asyncio.get_running_loop()
        late, timely = loop.create_future(), loop.create_future()
        waiting = [asyncio.create_task(read(patience, body)) for body in (late, timely)]
        await asyncio.sleep(0)
        timely.set_result(b"{}")
        assert await waiting[1] == b"{}"
        with pytest.raises(RequestError, match=r"expected all of it in 0\.01 s") as refused:
            await waiting[0]
        assert refused.value.status == 408

    asyncio.run(main())


def test_a_task_that_somebody_else_cancels_is_cancelled() -> None:
    async def main() -> None:
        patience = Patience(30.0)
        body = asyncio.get_running_loop().create_future()
        waiting = asyncio.create_task(read(patience, body))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())

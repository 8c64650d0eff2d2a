"""Copies to a shadow: bounded, counted, and never the caller's business."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from mlops_assets.serving.gateway.mirror import Copy, Mirror
from mlops_assets.serving.gateway.upstream import UpstreamLostError, UpstreamReply


class Shadow:
    """A shadow's process as a function: it waits for `gate`, then answers."""

    def __init__(self, status: int = 200, *, lost: bool = False) -> None:
        self.gate = asyncio.Event()
        self.seen: list[bytes] = []
        self.status, self.lost = status, lost

    async def send(self, request: bytes, timeout_seconds: float) -> UpstreamReply:
        async with asyncio.timeout(timeout_seconds):
            await self.gate.wait()
        self.seen.append(request)
        if self.lost:
            raise UpstreamLostError("gone")
        return UpstreamReply(self.status, [], b"")


def replica(shadow: Shadow | None) -> Any:
    return SimpleNamespace(upstream=shadow, n_in_flight=0)


def copy(body: bytes = b"{}") -> Copy:
    return Copy("/v1/models/toy:predict", [("x-request-id", "7")], body)


async def settle(mirror: Mirror) -> None:
    while any(mirrored.n_senders for mirrored in mirror.services.values()):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("limits", "n_taken"),
    [
        pytest.param({"max_waiting": 3}, 3, id="three_may_wait"),
        pytest.param({"max_waiting_bytes": 4}, 2, id="four_bytes_may_wait"),
        pytest.param({"max_waiting_bytes": 5}, 2, id="half_a_copy_does_not_fit"),
    ],
)
def test_a_full_queue_drops_and_counts(limits: dict[str, Any], n_taken: int) -> None:
    async def main() -> None:
        mirror, shadow = Mirror(5.0, senders=1, **limits), Shadow()
        to = replica(shadow)
        taken = [mirror.offer("toy", to, copy()) for _ in range(6)]
        assert taken == [True] * n_taken + [False] * (6 - n_taken)
        shadow.gate.set()
        await settle(mirror)
        found = mirror.services["toy"]
        assert (found.n_answered, found.n_failed, found.n_dropped) == (n_taken, 0, 6 - n_taken)
        assert (found.waiting_bytes, to.n_in_flight) == (0, 0)
        assert mirror.offer("toy", to, copy())

    asyncio.run(main())


def test_a_copy_carries_the_id_and_says_what_it_is() -> None:
    async def main() -> None:
        mirror, shadow = Mirror(5.0), Shadow()
        shadow.gate.set()
        mirror.offer("toy", replica(shadow), copy(b"[1]"))
        await settle(mirror)
        assert b"\r\nx-request-id: 7\r\nx-mlops-shadow: 1\r\n" in shadow.seen[0]
        assert shadow.seen[0].endswith(b"\r\n\r\n[1]")

    asyncio.run(main())


@pytest.mark.parametrize("how", ["refused", "lost", "silent", "not_started"])
def test_a_shadow_that_does_not_predict_is_counted(how: str) -> None:
    async def main() -> None:
        shadow = Shadow(status=500 if how == "refused" else 200, lost=how == "lost")
        if how != "silent":
            shadow.gate.set()
        mirror = Mirror(0.01)
        mirror.offer("toy", replica(None if how == "not_started" else shadow), copy())
        await settle(mirror)
        found = mirror.services["toy"]
        assert (found.n_answered, found.n_failed) == (0, 1)

    asyncio.run(main())


def test_closing_drops_what_waits_and_waits_for_nobody() -> None:
    async def main() -> None:
        mirror, shadow = Mirror(60.0, senders=1), Shadow()
        for _ in range(3):
            mirror.offer("toy", replica(shadow), copy())
        await asyncio.sleep(0)
        mirror.close()
        await settle(mirror)
        assert mirror.services["toy"].n_dropped == 2

    asyncio.run(main())


class Callers:
    """Callers of whom somebody always waits."""

    n_in_flight = 1
    busy_at = 0.0


def test_copies_wait_for_a_quiet_moment_and_a_few_are_sent_where_there_is_none() -> None:
    async def main() -> None:
        callers, shadow = Callers(), Shadow()
        mirror = Mirror(5.0, callers=callers)
        shadow.gate.set()
        began = time.monotonic()
        for _ in range(8):
            assert mirror.offer("toy", replica(shadow), copy())
        while not shadow.seen:
            await asyncio.sleep(0.001)
        assert len(shadow.seen) == 1  # nobody was quiet, and still one was sent
        assert time.monotonic() - began >= 0.1
        callers.n_in_flight = 0
        await settle(mirror)
        assert mirror.services["toy"].n_answered == 8

    asyncio.run(main())

"""Turns of the event loop: they end in time, others are heard between them, nobody is overtaken."""

import asyncio

import pytest

from mlops_assets.serving.predictor import turn as turns
from mlops_assets.serving.predictor.turn import Turn

SECONDS = turns._MOST_SECONDS


class Request:
    """One that takes a while."""

    def __init__(self, turn: Turn, events: list[str], name: str, seconds: float) -> None:
        self.loop = asyncio.get_running_loop()
        self._turn, self._events, self._name, self._seconds = turn, events, name, seconds

    def take(self, body: bytes) -> None:
        if self._turn.puts_off(self, body):
            return
        turns.time.now += self._seconds  # type: ignore[attr-defined]
        self._events.append(self._name + body.decode())


class Clock:
    """Time that passes only in requests."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _time_of_requests_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "time", Clock())


def take_all(seconds: dict[str, float], n_turns: int) -> list[str]:
    """What was answered, in its order, with `|` where a turn ended."""
    events: list[str] = []

    async def main() -> None:
        turn = Turn()
        for name, took in seconds.items():
            Request(turn, events, name, took).take(b"")
        for _ in range(n_turns):
            events.append("|")
            await asyncio.sleep(0)

    asyncio.run(main())
    return events


def test_what_is_quick_is_answered_in_the_turn_in_which_it_came() -> None:
    assert take_all(dict.fromkeys("abcd", 0.0), 1) == [*"abcd", "|"]


def test_what_a_turn_has_no_time_for_waits_for_the_next_in_its_order() -> None:
    slow = 1.1 * SECONDS
    found = take_all({"a": slow, "b": 0.0, "c": slow, "d": slow, "e": 0.0}, 8)
    assert "".join(found).strip("|").replace("||", "|") == "a|bc|d|e"


def test_who_comes_later_overtakes_nobody_that_waits() -> None:
    events: list[str] = []

    async def main() -> None:
        turn = Turn()
        for name in "ab":
            Request(turn, events, name, 1.1 * SECONDS).take(b"")
        await asyncio.sleep(0)  # that turn ended, and the next one has not begun
        Request(turn, events, "c", 0.0).take(b"!")
        assert events == ["a"]
        while len(events) < 3:
            await asyncio.sleep(0)

    asyncio.run(main())
    assert events == ["a", "b", "c!"]

"""Whether a process that ended is started again: a pure decision."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

WINDOW_SECONDS = 300.0
MOST_DEATHS = 5  # within the window


@dataclass(frozen=True, slots=True)
class Restart:
    """What to do about a process that ended, and why."""

    action: Literal["restart", "give_up"]
    delay_seconds: float
    reason: str


def decide_restart(exit_code: int, *, was_ready: bool, deaths: Sequence[float]) -> Restart:
    """What to do about a server that ended though nobody stopped it.

    Args:
        exit_code: As `subprocess` tells it: negative for a signal.
        was_ready: Whether it ever answered. One that never did will not after another try.
        deaths: When it ended, each time, this one last; seconds of a monotonic clock, ascending.
    """
    ended = f"ended by signal {-exit_code}" if exit_code < 0 else f"ended with code {exit_code}"
    if not was_ready:
        return Restart("give_up", 0.0, f"{ended} before it answered")
    recent = sum(1 for death in deaths if death > deaths[-1] - WINDOW_SECONDS)
    if recent > MOST_DEATHS:
        return Restart("give_up", 0.0, f"{ended}, {recent} times in {WINDOW_SECONDS:.0f} s")
    delay = 2.0 ** (recent - 1)
    return Restart("restart", delay, f"{ended}; starting it again in {delay:.0f} s")

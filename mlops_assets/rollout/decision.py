"""The next step of a rollout: pure functions from what is known to what to do.

Here: `Decision` and `decide`, called by the rollout sensor once a tick. Same arguments, same
answer, on any machine.
Not here: the statistics behind a verdict (`sequential.py`, `assessment.py`), steps and limits
(`policy.py`), the state (`state.py`), and whatever moves traffic or an alias.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from mlops_assets.rollout.evidence import Arm, Evidence, Record, Traffic
from mlops_assets.rollout.policy import RolloutPolicy
from mlops_assets.rollout.state import Reading, RolloutState

Action = Literal[
    "none",
    "hold",
    "ask",
    "start",
    "advance",
    "set_traffic",
    "promote",
    "repair",
    "finish",
    "roll_back",
    "release",
]


class Decision(Record):
    """What to do, and why.

    What should be is stated whole each time, so whoever carries it out compares it with what is and
    may be killed and called again.

    Attributes:
        action: none: not yet time to look. hold: looked, and stays. ask: a person is wanted from
            now on. start, advance, set_traffic, promote, roll_back: the split changes. repair: the
            split or the aliases are not as they should be. finish: it has ended. release: the
            losing version may stop.
        state: The state to store, before anything is done.
        traffic: The split that should be in force.
        aliases: Version by alias as the registry should have it; others are left alone.
        running: Arms whose revisions should be declared; the rest may go.
        reason: With its numbers; shown unchanged in the log, the UI and the alert.
        readings: The comparisons behind it; empty when there was no look.
        evaluated: Whether the evidence was looked at.
    """

    action: Action
    state: RolloutState
    traffic: Traffic
    aliases: Mapping[str, int]
    running: tuple[Arm, ...]
    reason: str
    readings: tuple[Reading, ...] = ()
    evaluated: bool = False

    @property
    def needs_run(self) -> bool:
        """Whether something outside must change: a run is launched for it."""
        return self.action not in ("none", "hold", "ask", "finish")

    @property
    def run_key(self) -> str:
        """Names the change, so that asking twice for it makes one run."""
        state = self.state
        return (
            f"{state.service}:{state.challenger.revision}:attempt-{state.attempt}:{state.phase}:"
            f"step-{state.step}:{self.action}:{state.phase_started_at.isoformat()}:"
            f"{self.traffic}"
        )


def decide(
    state: RolloutState, evidence: Evidence, policy: RolloutPolicy, now: datetime
) -> Decision:
    """The first rule that applies decides; the rules that protect users stand first.

    Deciding again on the state that came out, with the same evidence at the same time, changes
    nothing.
    """
    raise NotImplementedError

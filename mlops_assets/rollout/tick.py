"""One tick of a rollout: all that its rules look at, and what a rule answers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from mlops_assets.rollout.assessment import Assessment
from mlops_assets.rollout.commands import levels_kept
from mlops_assets.rollout.evidence import Evidence
from mlops_assets.rollout.phases import PROMOTED
from mlops_assets.rollout.policy import RolloutPolicy
from mlops_assets.rollout.state import Hold, RolloutState
from mlops_assets.rollout.transitions import advance, go_back, hold

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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule answers: the action, the state after it, the reason, and what it looked at."""

    action: Action
    state: RolloutState
    reason: str
    assessment: Assessment | None = None

    def with_action(self, action: Action, reason: str) -> "Outcome":
        """The same with another action."""
        return replace(self, action=action, reason=reason)


@dataclass(frozen=True, slots=True)
class Tick:
    """What a rule looks at.

    Attributes:
        state: The state, after people and the router were heard.
        evidence: What is known.
        policy: The rules in force.
        now: The moment.
        active_seconds: Time that counts against the maximum duration, up to now.
    """

    state: RolloutState
    evidence: Evidence
    policy: RolloutPolicy
    now: datetime
    active_seconds: float

    @staticmethod
    def aliases_of(state: RolloutState) -> dict[str, int]:
        """Version by alias as the phase demands."""
        if state.phase in PROMOTED:
            return {"champion": state.challenger.version, "previous": state.stable.version}
        aliases = {"champion": state.stable.version}
        return aliases if state.previous is None else {**aliases, "previous": state.previous}

    @property
    def wrong_aliases(self) -> Mapping[str, int]:
        """Aliases that the registry has otherwise, with what they should be; empty: unknown too."""
        found = self.evidence.aliases
        if found is None:
            return {}
        wanted = Tick.aliases_of(self.state)
        return {alias: v for alias, v in wanted.items() if found.get(alias) != v}

    @property
    def is_in_force(self) -> bool:
        """Whether the router was told the wanted split, and has it as far as is known."""
        wanted = self.state.traffic
        return self.evidence.declared == wanted and self.evidence.routed in (None, wanted)

    @property
    def has_taken_effect(self) -> bool:
        """Whether split and aliases were seen to be as the phase wants them, after it began."""
        is_known = self.evidence.aliases is not None and not self.wrong_aliases
        return self.is_in_force and is_known and self.now > self.state.phase_started_at

    @property
    def is_due(self) -> bool:
        """Whether the evidence is to be looked at."""
        return self.now >= self.state.due_at(self.policy.interval)

    @property
    def is_overdue(self) -> bool:
        """Whether the time until promotion is over; what is promoted has no such time any more."""
        is_on_the_way = self.state.phase not in PROMOTED
        return is_on_the_way and self.active_seconds >= self.policy.maximum_duration.total_seconds()

    @property
    def no_way_back(self) -> str | None:
        """Why a promoted version's traffic cannot go back; None: it can, or was never given."""
        stable = self.evidence.stable
        if self.state.phase not in PROMOTED or stable.phase == "ready":
            return None
        return f"revision {self.state.stable.revision} is {stable.phase}"

    @property
    def bounds(self) -> dict[str, float]:
        """Levels that the stable version is known to keep."""
        return levels_kept(self.state, self.evidence, self.policy)

    def because(self, reason: str) -> RolloutState:
        """The state with another reason; why it came here stands until the next tick."""
        if self.now == self.state.phase_started_at:
            return self.state
        return self.state.model_copy(update={"reason": reason})

    def outcome(
        self,
        action: Action,
        state: RolloutState,
        reason: str | None = None,
        assessment: Assessment | None = None,
    ) -> Outcome:
        """An answer; the reason is the state's unless another is given."""
        return Outcome(action, state, state.reason if reason is None else reason, assessment)

    def went(self, state: RolloutState, assessment: Assessment | None = None) -> Outcome:
        """The answer when a stage has passed: on, into promotion, or to a question."""
        actions: dict[str, Action] = {"promoting": "promote", "awaiting_approval": "ask"}
        action = actions.get(state.phase, "advance")
        if state.phase == "baking":
            action = "hold"  # the split stays, so there is nothing to do
        return self.outcome(action, state, assessment=assessment)

    def wait(self, reason: str, assessment: Assessment | None = None) -> Outcome:
        """Stays; when the time is over, what the policy says of rollouts that prove nothing."""
        state = self.state
        if state.hold is not None or state.phase == "awaiting_approval":
            return self.outcome("hold", state, assessment=assessment)
        if not self.is_overdue:
            return self.outcome("hold", self.because(reason), assessment=assessment)
        told = f"nothing is proven in {self.policy.maximum_duration}: {reason}"
        if self.policy.inconclusive == "roll_back":
            back = go_back(state, "rolled_back", self.now, told)
            return self.outcome("roll_back", back, assessment=assessment)
        return self.ask(f"{told}. Approve to go on, resume to wait longer", assessment)

    def ask(
        self, reason: str, assessment: Assessment | None = None, about: tuple[str, ...] = ()
    ) -> Outcome:
        """Asks a person."""
        question = Hold(kind="question", since=self.now, reason=reason, about=about)
        return self.outcome("ask", hold(self.state, question), assessment=assessment)

    def passed(self, reason: str, assessment: Assessment) -> Outcome:
        """Goes on from a stage that has passed."""
        moved = advance(self.state, self.policy, self.now, reason, self.bounds)
        return self.went(moved, assessment)

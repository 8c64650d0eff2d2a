"""What people say to a rollout, and what comes of it.

Here: `obey`, from a state with unread commands to the state after them. Each gets its outcome in
words, also one that cannot be followed.
Not here: who may say it, and how it reaches the state.

pause     nothing advances; harm still rolls back          not while promoting or rolling back
resume    ends a pause, puts back a split that was edited,  where something holds
          or goes on watching after a question
approve   answers a question with yes                       where one is open
promote   all traffic at once, without more evidence        before promotion, challenger ready
rollback  back to the stable version                        until it is rolled back; after success
                                                            while the former version is warm
abort     like rollback, and the rollout ends as aborted    likewise
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from mlops_assets.rollout.assessment import kept_levels
from mlops_assets.rollout.evidence import Evidence
from mlops_assets.rollout.phases import Ending, Phase
from mlops_assets.rollout.policy import RolloutPolicy
from mlops_assets.rollout.state import Command, CommandKind, Hold, RolloutState
from mlops_assets.rollout.transitions import advance, end, go_back, go_to, hold, next_step

BEFORE_PROMOTION: tuple[Phase, ...] = ("pending", "shadow", "step", "baking", "awaiting_approval")


@dataclass(frozen=True, slots=True)
class _Heard:
    """A command and all that its answer depends on."""

    state: RolloutState
    command: Command
    evidence: Evidence
    policy: RolloutPolicy
    now: datetime

    @property
    def words(self) -> str:
        """Who said what, and why."""
        why = f": {self.command.why}" if self.command.why else ""
        return f"{self.command.kind} by {self.command.who}{why}"


_Answer = tuple[RolloutState, str]


def obey(
    state: RolloutState, evidence: Evidence, policy: RolloutPolicy, now: datetime
) -> RolloutState:
    """The state after all unread commands, in the order in which they were given."""
    for position, command in enumerate(state.commands):
        if command.outcome:
            continue
        after, outcome = _ANSWERS[command.kind](_Heard(state, command, evidence, policy, now))
        read = command.model_copy(update={"outcome": outcome})
        commands = (*after.commands[:position], read, *after.commands[position + 1 :])
        state = after.model_copy(update={"commands": commands})
    return state


def levels_kept(state: RolloutState, evidence: Evidence, policy: RolloutPolicy) -> dict[str, float]:
    """What the stable version is known to keep; empty when the evidence is of another stage."""
    is_known = evidence.source_error is None and evidence.is_of(state.evidence_from)
    return kept_levels(evidence, policy, state.phase) if is_known else dict(state.bounds)


def _pause(heard: _Heard) -> _Answer:
    state = heard.state
    if state.is_ended or state.phase in ("promoting", "rolling_back"):
        return state, f"refused: {state.phase} cannot be paused"
    reason = f"paused: {heard.words}"
    return hold(state, Hold(kind="paused", since=heard.now, reason=reason)), "paused"


def _resume(heard: _Heard) -> _Answer:
    state = heard.state
    if state.hold is None:
        return state, "refused: nothing is on hold"
    update: dict[str, object] = {"hold": None, "reason": heard.words, "n_harmful": 0}
    if state.hold.kind == "question":  # it was asked since time was over: there is time again
        update["active_seconds"] = 0.0
    if state.hold.kind == "edited":
        update |= {"counts_anew": True}
    return state.model_copy(update=update), f"goes on; it was {state.hold.kind}"


def _approve(heard: _Heard) -> _Answer:
    state, question = heard.state, heard.state.hold
    if question is not None and question.kind == "question":
        return _accept(heard, question)
    if question is not None:
        return state, f"refused: it is {question.kind}; resume first"
    if state.phase != "awaiting_approval":
        return state, f"refused: nothing waits for approval in phase {state.phase}"
    if (freeze := heard.policy.frozen_by(heard.now)) is not None:
        return state, f"refused: frozen, {freeze.reason}; approve when that is over"
    target = (next_step(state, heard.policy), _levels(heard))
    return go_to(state, heard.policy, heard.now, heard.words, target), "approved"


def _accept(heard: _Heard, question: Hold) -> _Answer:
    """A difference that was asked about, or going on although nothing is proven."""
    state = heard.state
    free = state.model_copy(update={"hold": None, "reason": heard.words})
    if question.about:
        accepted = tuple(dict.fromkeys((*state.accepted, *question.about)))
        told = f"approved: {', '.join(question.about)}"
        return free.model_copy(update={"accepted": accepted}), told
    if state.phase == "watching":
        return end(free, "succeeded", heard.now, heard.words), "approved: the watch is over"
    if (freeze := heard.policy.frozen_by(heard.now)) is not None:
        return state, f"refused: frozen, {freeze.reason}; approve when that is over"
    if state.phase == "awaiting_approval":
        target = (next_step(state, heard.policy), _levels(heard))
        return go_to(free, heard.policy, heard.now, heard.words, target), "approved"
    fresh = free.model_copy(update={"active_seconds": 0.0})
    moved = advance(fresh, heard.policy, heard.now, heard.words, _levels(heard))
    return moved, "approved: goes on without proof"


def _promote(heard: _Heard) -> _Answer:
    state, found = heard.state, heard.evidence.challenger
    if state.phase not in BEFORE_PROMOTION:
        return state, f"refused: nothing to promote in phase {state.phase}"
    if found.phase != "ready":
        return state, f"refused: revision {state.challenger.revision} is {found.phase}"
    target = (None, _levels(heard))
    return go_to(state, heard.policy, heard.now, heard.words, target), "promoted"


def _rollback(heard: _Heard) -> _Answer:
    return _back(heard, "rolled_back")


def _abort(heard: _Heard) -> _Answer:
    return _back(heard, "aborted")


def _back(heard: _Heard, ending: Ending) -> _Answer:
    state, stable = heard.state, heard.evidence.stable
    if state.phase == "rolling_back":
        return state, "it is rolling back already"
    if state.is_ended and state.phase != "succeeded":
        return state, f"refused: it has ended ({state.phase})"
    if state.phase == "succeeded" and (state.standby_released or stable.phase != "ready"):
        return state, f"refused: version {state.stable.version} no longer runs"
    back = go_back(state, ending, heard.now, heard.words)
    return back.model_copy(update={"ended_at": None}), "goes back"


def _levels(heard: _Heard) -> dict[str, float]:
    return levels_kept(heard.state, heard.evidence, heard.policy)


_ANSWERS: dict[CommandKind, Callable[[_Heard], _Answer]] = {
    "pause": _pause,
    "resume": _resume,
    "approve": _approve,
    "promote": _promote,
    "rollback": _rollback,
    "abort": _abort,
}

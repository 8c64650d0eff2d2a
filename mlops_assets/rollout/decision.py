"""The next step of a rollout: pure functions from what is known to what to do.

Here: `Decision` and `decide`, called by the rollout sensor once a tick. Same arguments, same
answer, on any machine.
Not here: the rules while evidence is judged (`judging.py`) and in the other phases (`unjudged.py`),
the statistics (`sequential.py`, `comparison.py`), steps and limits (`policy.py`), the state
(`state.py`), and whatever moves traffic or an alias.
Held by property tests: no path promotes without evidence or a person's word, the split moves only
along the policy, every state has a way out, and deciding twice changes nothing.
"""

from collections.abc import Mapping
from datetime import datetime

from mlops_assets.rollout.commands import BEFORE_PROMOTION, obey
from mlops_assets.rollout.evidence import Arm, Evidence, Traffic
from mlops_assets.rollout.history import Evaluation, Reading
from mlops_assets.rollout.judging import judge_stage, judge_watch
from mlops_assets.rollout.policy import RolloutPolicy
from mlops_assets.rollout.record import Record
from mlops_assets.rollout.state import Hold, RolloutState
from mlops_assets.rollout.tick import Action, Outcome, Tick
from mlops_assets.rollout.transitions import go_back, hold
from mlops_assets.rollout.unjudged import go_on_back, let_go, promote, start_challenger


class Decision(Record):
    """What to do, and why.

    What should be is stated whole each time, so whoever carries it out compares it with what is and
    may be killed and called again.

    Attributes:
        action: none: not yet time to look. hold: stays, and why. ask: a person is wanted from now
            on. start, advance, set_traffic, promote, roll_back: revisions, split or aliases change.
            repair: they are not as they should be. finish: it has ended. release: the losing
            version may stop.
        state: The state to store, before anything is done.
        traffic: The split that should be in force.
        aliases: Version by alias as the registry should have it; others are left alone.
        running: Arms whose revisions should be declared; the rest may go.
        reason: With its numbers; shown unchanged in the log, the UI and the alert.
        readings: The comparisons behind it; empty when there was no look.
        evaluated: Whether the evidence was looked at.
        seen: The split that was declared when this was decided; None: it could not be read.
    """

    action: Action
    state: RolloutState
    traffic: Traffic
    aliases: Mapping[str, int]
    running: tuple[Arm, ...]
    reason: str
    readings: tuple[Reading, ...] = ()
    evaluated: bool = False
    seen: Traffic | None = None

    @property
    def needs_run(self) -> bool:
        """Whether something outside must change: a run is launched for it."""
        return self.action not in ("none", "hold", "ask", "finish")

    @property
    def run_key(self) -> str:
        """Names the change, so that asking twice for it makes one run."""
        state = self.state
        at = state.phase_started_at.isoformat()
        return (
            f"{state.service}:{state.challenger.revision}:attempt-{state.attempt}:{state.phase}:"
            f"step-{state.step}:{self.action}:{self.traffic}:{at}"
        )


def decide(
    state: RolloutState, evidence: Evidence, policy: RolloutPolicy, now: datetime
) -> Decision:
    """The first rule that applies decides; the rules that protect users stand first.

    Deciding again on the state that came out, with the same evidence at the same time, changes
    nothing.
    """
    moment = max(now, state.ticked_at)
    seen = _see(state, evidence, moment)
    told = obey(seen, evidence, policy, moment)
    passed = _passed_seconds(state, policy, moment)
    tick = Tick(told, evidence, policy, moment, told.active_seconds + passed)
    outcome = _first_rule(state, tick)
    return _conclude(state, tick, _repaired(tick, outcome))


def _first_rule(before: RolloutState, tick: Tick) -> Outcome:
    if (tick.state.phase, tick.state.step) != (before.phase, before.step):
        return _moved(tick)
    if tick.state.is_ended:
        return let_go(tick)
    if tick.state.phase == "rolling_back":
        return go_on_back(tick)
    return (
        _superseded(tick)
        or _broken(tick)
        or _unanswered(tick)
        or _edited(tick)
        or _PHASES[tick.state.phase](tick)
    )


def _see(state: RolloutState, evidence: Evidence, now: datetime) -> RolloutState:
    """The state after a look at the router: what is in force, and whether a person changed it."""
    declared, is_edited = evidence.declared, state.hold is not None and state.hold.kind == "edited"
    if state.is_ended or declared is None:
        return state
    if declared == state.traffic:
        update: dict[str, object] = {}
        if evidence.routed in (None, declared):
            update["confirmed"] = declared
            if state.counts_anew:
                update |= {"counts_anew": False, "evidence_from": now}
        if is_edited:
            update |= {"hold": None, "reason": "the split is as it was"}
            update |= {"evidence_from": now, "confirmed": declared}
        return state.model_copy(update=update)
    if declared == state.confirmed or state.phase == "rolling_back":
        return state
    reason = f"somebody changed the split by hand to {declared}; it was to be {state.traffic}"
    found = Hold(kind="edited", since=now, reason=f"{reason}: resume, promote, rollback or abort?")
    return hold(state, found).model_copy(update={"confirmed": declared})


def _passed_seconds(state: RolloutState, policy: RolloutPolicy, now: datetime) -> float:
    """Time since the last tick, where it counts: not in pauses, freezes and open questions."""
    if not _has_clock(state) or policy.frozen_by(now) is not None:
        return 0.0
    return (now - state.ticked_at).total_seconds()


def _has_clock(state: RolloutState) -> bool:
    """Whether time counts against the maximum duration, but for freezes."""
    return state.phase in ("pending", "shadow", "step", "baking") and state.hold is None


def _is_frozen_long(before: RolloutState, tick: Tick) -> bool:
    """Whether a freeze in which nothing else happens must be written down, by its interval: once it
    is over, all time since the last tick counts."""
    is_frozen = _has_clock(before) and tick.policy.frozen_by(tick.now) is not None
    return is_frozen and tick.now >= before.ticked_at + tick.policy.interval


def _moved(tick: Tick) -> Outcome:
    """A person's word has moved it."""
    phase = tick.state.phase
    if phase == "rolling_back":
        return tick.outcome("roll_back", tick.state)
    if phase == "promoting":
        return tick.outcome("promote", tick.state)
    return tick.outcome("finish" if tick.state.is_ended else "advance", tick.state)


def _superseded(tick: Tick) -> Outcome | None:
    newest, own = tick.evidence.newest_version, tick.state.challenger.version
    if newest is None or newest <= own or tick.state.phase not in BEFORE_PROMOTION:
        return None  # a promoted version is the champion: the newer one waits until it is settled
    reason = f"version {newest} takes the place of version {own}"
    return tick.outcome("roll_back", go_back(tick.state, "aborted", tick.now, reason))


def _broken(tick: Tick) -> Outcome | None:
    """A challenger that cannot run goes back, unless the stable version cannot run either."""
    found = tick.evidence.challenger
    if found.phase != "failed":
        return None
    revision = tick.state.challenger.revision
    reason = f"revision {revision} failed: {found.message or 'no reason given'}"
    if tick.no_way_back is not None:
        return tick.outcome("hold", tick.state, f"{reason}; {tick.no_way_back} too")
    return tick.outcome("roll_back", go_back(tick.state, "failed", tick.now, reason))


def _unanswered(tick: Tick) -> Outcome | None:
    """A question that nobody answers in time goes back to the stable version."""
    state, limit = tick.state, tick.policy.answer_within
    asked_at = state.phase_started_at if state.phase == "awaiting_approval" else None
    if state.hold is not None:
        asked_at = state.hold.since if state.hold.kind != "paused" else None
    if asked_at is None or tick.now < asked_at + limit:
        return None
    reason = f"nobody answered in {limit}: {state.reason}"
    if tick.no_way_back is not None:
        return tick.outcome("hold", state, f"{reason}; not rolled back, since {tick.no_way_back}")
    return tick.outcome("roll_back", go_back(state, "rolled_back", tick.now, reason))


def _edited(tick: Tick) -> Outcome | None:
    """A split that a person changed is theirs until they say more; harm is judged all the same."""
    found = tick.state.hold
    if found is None or found.kind != "edited" or found.since != tick.now:
        return None
    return tick.outcome("ask", tick.state)


_PHASES = {
    "pending": start_challenger,
    "shadow": judge_stage,
    "step": judge_stage,
    "baking": judge_stage,
    "awaiting_approval": judge_stage,
    "promoting": promote,
    "watching": judge_watch,
}


def _repaired(tick: Tick, outcome: Outcome) -> Outcome:
    """Where nothing else is to be done: aliases follow traffic, and revisions are declared."""
    state = outcome.state
    is_over = state.is_ended and state.standby_released
    if outcome.action not in ("none", "hold") or is_over or state.phase == "pending":
        return outcome
    if tick.wrong_aliases:
        wrong = ", ".join(f"{alias} should be {v}" for alias, v in tick.wrong_aliases.items())
        return outcome.with_action("repair", f"aliases follow traffic: {wrong}")
    if tick.evidence.challenger.phase == "absent" and not state.is_ended:
        return outcome.with_action("repair", f"{state.challenger.revision} is not declared")
    return outcome


def _conclude(before: RolloutState, tick: Tick, outcome: Outcome) -> Decision:
    """The decision, with what is remembered of it."""
    state, seen = outcome.state, outcome.assessment
    if state != before or seen is not None or _is_frozen_long(before, tick):
        clock = {"ticked_at": tick.now, "active_seconds": tick.active_seconds}
        state = state.model_copy(update=clock)
    has_moved = (state.phase, state.step, state.hold, state.traffic) != (
        before.phase,
        before.step,
        before.hold,
        before.traffic,
    )
    if seen is not None or has_moved:
        state = state.with_evaluation(_evaluation(before, tick, outcome))
    is_edited = state.hold is not None and state.hold.kind == "edited"
    declared = tick.evidence.declared
    return Decision(
        action=outcome.action,
        state=state,
        traffic=declared if is_edited and declared is not None else state.traffic,
        aliases=Tick.aliases_of(state),
        running=_running(state, tick.policy),
        reason=outcome.reason,
        readings=seen.readings if seen is not None else (),
        evaluated=seen is not None,
        seen=declared,
    )


def _evaluation(before: RolloutState, tick: Tick, outcome: Outcome) -> Evaluation:
    seen = outcome.assessment
    return Evaluation(
        at=tick.now,
        phase=before.phase,
        step=before.step,
        action=outcome.action,
        verdict=seen.verdict if seen is not None else "unknown",
        traffic=outcome.state.traffic,
        n_challenger=seen.n_challenger if seen is not None else 0,
        n_stable=seen.n_stable if seen is not None else 0,
        readings=seen.readings if seen is not None else (),
        reason=outcome.reason,
    )


def _running(state: RolloutState, policy: RolloutPolicy) -> tuple[Arm, ...]:
    if state.is_ended and state.standby_released:
        return ("challenger",) if state.phase == "succeeded" else ("stable",)
    if policy.baseline and state.phase in BEFORE_PROMOTION:
        return ("stable", "challenger", "baseline")
    return ("stable", "challenger")

"""From one phase to the next: pure functions from a state to the state after it.

Here: where a rollout goes when it advances, goes back, holds or ends, and what is set anew there.
Not here: whether it does (`decision.py`), and what people say (`commands.py`).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from mlops_assets.rollout.evidence import Traffic
from mlops_assets.rollout.phases import Ending, Phase
from mlops_assets.rollout.policy import RolloutPolicy
from mlops_assets.rollout.state import Hold, RolloutState

STABLE_ONLY = Traffic(stable=100)
CHALLENGER_ONLY = Traffic(stable=0, challenger=100)
MIRRORED = Traffic(stable=100, shadow=True)


def enter(
    state: RolloutState,
    phase: Phase,
    now: datetime,
    reason: str,
    *,
    traffic: Traffic | None = None,
    **changes: Any,
) -> RolloutState:
    """The state at the beginning of a phase, or of a step.

    While the split stays, the evidence goes on; with another split it begins anew, once that is in
    force: shares that change while the world does would make alike versions look different.
    """
    update: dict[str, Any] = {
        "phase": phase,
        "phase_started_at": now,
        "reason": reason,
        "hold": None,
        "n_harmful": 0,
        "next_step": None,
    }
    if traffic is not None and traffic != state.traffic:
        update |= {"traffic": traffic, "evidence_from": now, "evaluated_at": None}
        update |= {"counts_anew": traffic != state.confirmed}
    return state.model_copy(update=update | changes)


def advance(
    state: RolloutState,
    policy: RolloutPolicy,
    now: datetime,
    reason: str,
    bounds: Mapping[str, float],
) -> RolloutState:
    """The state after the present stage has passed: it bakes, asks, or goes on.

    Args:
        state: Where it stands.
        policy: Its steps, bake time and approvals.
        now: When.
        reason: Why it passed.
        bounds: Levels that the stable version kept; needed when the next is promotion.
    """
    is_last = state.phase == "step" and state.step >= len(policy.steps) - 1
    if is_last and policy.bake_time > timedelta(0):
        return enter(state, "baking", now, f"bakes for {policy.bake_time}; {reason}")
    if state.phase == "pending" and policy.shadow is not None:
        return enter(state, "shadow", now, reason, traffic=MIRRORED)
    following = next_step(state, policy)
    if _must_ask(policy, following):
        where = "promotion" if following is None else f"{policy.steps[following]} %"
        return enter(
            state,
            "awaiting_approval",
            now,
            f"{where} waits for approval; {reason}",
            next_step=following,
            bounds=dict(bounds),
        )
    return go_to(state, policy, now, reason, (following, bounds))


def go_to(
    state: RolloutState,
    policy: RolloutPolicy,
    now: datetime,
    reason: str,
    target: tuple[int | None, Mapping[str, float]],
) -> RolloutState:
    """The state in a step, or in promotion when the target's step is None.

    Args:
        state: Where it stands.
        policy: Its steps.
        now: When.
        reason: Why.
        target: The step, and the levels that the stable version kept.
    """
    step, bounds = target
    if step is not None:
        return enter(state, "step", now, reason, traffic=policy.traffic_at(step), step=step)
    has_both = state.phase in ("shadow", "step", "baking", "awaiting_approval")
    return enter(
        state,
        "promoting",
        now,
        reason,
        traffic=CHALLENGER_ONLY,
        compared_from=state.evidence_from if has_both else None,
        bounds=dict(bounds),
    )


def next_step(state: RolloutState, policy: RolloutPolicy) -> int | None:
    """The step after the present phase; None when that is promotion."""
    if state.phase == "awaiting_approval":
        following = state.next_step
    elif state.phase in ("pending", "shadow"):
        following = 0
    else:
        following = state.step + 1
    return following if following is not None and following < len(policy.steps) else None


def go_back(state: RolloutState, ending: Ending, now: datetime, reason: str) -> RolloutState:
    """The state in which traffic goes back to the stable version."""
    if state.phase == "rolling_back":
        return state
    return enter(state, "rolling_back", now, reason, traffic=STABLE_ONLY, ending=ending)


def end(state: RolloutState, phase: Phase, now: datetime, reason: str) -> RolloutState:
    """The state in which a rollout has ended."""
    return enter(state, phase, now, reason, ended_at=now)


def hold(state: RolloutState, found: Hold) -> RolloutState:
    """The state in which nothing advances until a person speaks."""
    return state.model_copy(update={"hold": found, "reason": found.reason})


def _must_ask(policy: RolloutPolicy, following: int | None) -> bool:
    if policy.approval == "each_step":
        return True
    return policy.approval == "before_promotion" and following is None

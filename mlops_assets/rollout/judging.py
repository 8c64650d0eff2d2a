"""The rules while evidence is judged: on the way to promotion, and in the watch after it.

Here: `judge_stage` and `judge_watch`, from one tick to its outcome. Harm comes first and is held up
by nothing: no pause, no freeze, no question, no sample size.
Not here: what the numbers prove (`assessment.py`), and all other rules (`decision.py`).
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np

from mlops_assets.rollout.assessment import Assessment, assess
from mlops_assets.rollout.bandit import challenger_percent
from mlops_assets.rollout.evidence import Traffic
from mlops_assets.rollout.measures import Moments
from mlops_assets.rollout.split_check import split_problem
from mlops_assets.rollout.state import RolloutState
from mlops_assets.rollout.tick import Outcome, Tick
from mlops_assets.rollout.transitions import end, go_back

SPLIT = "split"
"""What an approval accepts when the split was not as it should be."""

_CARRIED_OUT_IN = timedelta(minutes=5)  # the run that changes the split has begun and ended by then
_LEAST_MOVE_PERCENT = 5  # smaller moves of a bandit are noise, and each is a change of the router


def judge_stage(tick: Tick) -> Outcome:
    """Mirroring, a step, baking, or waiting for approval."""
    waiting = _not_in_force(tick)
    if waiting is not None:
        return waiting
    if not tick.is_due:
        return _not_yet(tick)
    if not _is_of_stage(tick):
        return tick.wait("the numbers are those of another stage")
    problem = _split_problem(tick)
    found = assess(tick.evidence, tick.policy, tick.state.phase, {}, unread=problem)
    looked = replace(tick, state=_looked(tick, found))
    return _harm(looked, found) or _question(looked, found, problem) or _progress(looked, found)


def judge_watch(tick: Tick) -> Outcome:
    """The promoted version is watched against what the former one kept."""
    waiting = _not_in_force(tick)
    if waiting is not None:
        return waiting
    if not tick.is_due or not _is_of_stage(tick):
        return _not_yet(tick)
    alone = {arm: did for arm, did in tick.evidence.arms.items() if arm == "challenger"}
    evidence = tick.evidence.model_copy(update={"arms": alone})
    found = assess(evidence, tick.policy, "watching", tick.state.bounds)
    looked = replace(tick, state=_looked(tick, found))
    first = _harm(looked, found) or _question(looked, found)
    if first is not None:
        return first
    state = looked.state
    since = state.promoted_at or state.phase_started_at
    if tick.now < since + tick.policy.watch:
        reason = f"watched until {since + tick.policy.watch:%Y-%m-%d %H:%M:%S} UTC; {found.reason}"
        return looked.outcome("hold", looked.because(reason), assessment=found)
    if tick.evidence.source_error is not None:
        return looked.ask(f"the watch is over and saw nothing: {found.reason}. Approve?", found)
    is_compared = state.compared_from is not None or _is_a_persons_word(state)
    if not is_compared and found.n_challenger < tick.policy.minimum_samples:
        return _unproven(looked, found)
    reason = f"watched for {tick.policy.watch}, no harm is proven; {found.reason}"
    return looked.outcome("finish", end(state, "succeeded", tick.now, reason), assessment=found)


def _is_a_persons_word(state: RolloutState) -> bool:
    return any(said.kind == "promote" and said.outcome == "promoted" for said in state.commands)


def _unproven(tick: Tick, found: Assessment) -> Outcome:
    """A version that was never compared is no success before it has answered its fewest requests:
    the watch goes on, and after the maximum duration does what the policy says."""
    state, policy = tick.state, tick.policy
    since = state.promoted_at or state.phase_started_at
    n, needed = found.n_challenger, policy.minimum_samples
    short = f"{n:,} of the {needed:,} requests that a watch needs; {found.reason}"
    if tick.now < since + max(policy.watch, policy.maximum_duration):
        return tick.outcome("hold", tick.because(short), assessment=found)
    told = f"nothing is proven in {policy.maximum_duration}: {short}"
    if policy.inconclusive == "roll_back" and policy.revert:
        if tick.no_way_back is not None:
            kept = f"{told}; not rolled back, since {tick.no_way_back}"
            return tick.outcome("hold", tick.because(kept), assessment=found)
        back = go_back(state, "rolled_back", tick.now, told)
        return tick.outcome("roll_back", back, assessment=found)
    return tick.ask(f"{told}. Approve to keep it, or rollback", found)


def _not_in_force(tick: Tick) -> Outcome | None:
    """What to do while the router has another split than the wanted one."""
    state, evidence = tick.state, tick.evidence
    if tick.is_in_force or (state.hold is not None and state.hold.kind == "edited"):
        return None
    if evidence.declared is None:
        return tick.wait("the split could not be read")
    if evidence.declared != state.traffic:
        has_had_its_time = tick.now >= state.phase_started_at + _CARRIED_OUT_IN
        if tick.is_overdue and has_had_its_time:
            return tick.wait(f"the split is {evidence.declared} and does not become as wanted")
        return tick.outcome("set_traffic", state, f"the split becomes {state.traffic}")
    if evidence.challenger.phase == "absent":
        return tick.outcome("repair", state, f"{state.challenger.revision} is not declared")
    found = evidence.challenger
    told = f"; challenger {found.phase}: {found.message}" if found.phase != "ready" else ""
    return tick.wait(f"the router still has {evidence.routed}, not {state.traffic}{told}")


def _is_of_stage(tick: Tick) -> bool:
    """Whether the numbers are of this stage; where there are none, that is known of it too."""
    return tick.evidence.is_of(tick.state.evidence_from) or tick.evidence.source_error is not None


def _not_yet(tick: Tick) -> Outcome:
    return tick.outcome("none", tick.state)


def _looked(tick: Tick, found: Assessment) -> RolloutState:
    """The state after a look, whatever it leads to."""
    state, is_harmful = tick.state, found.verdict == "harmful"
    n_source_errors = state.n_source_errors + 1 if tick.evidence.source_error else 0
    update: dict[str, Any] = {
        "evaluated_at": tick.now,
        "n_evaluations": state.n_evaluations + 1,
        "n_harmful": state.n_harmful + 1 if is_harmful else 0,
        "n_source_errors": n_source_errors,
    }
    return state.model_copy(update=update)


def _harm(tick: Tick, found: Assessment) -> Outcome | None:
    """Harm goes back, once it was seen often enough."""
    if found.verdict != "harmful":
        return None
    state, policy = tick.state, tick.policy
    seen = f"harm is proven ({_counted(tick, found)}): {found.reason}"
    if state.n_harmful < policy.failure_limit:
        told = f"{state.n_harmful} of {policy.failure_limit} harmful looks in a row; {seen}"
        return tick.outcome("hold", tick.because(told), assessment=found)
    if tick.evidence.stable.phase != "ready":
        told = f"{seen}; not rolled back, since {state.stable.revision} is not ready"
        return tick.outcome("hold", tick.because(told), assessment=found)
    if state.phase == "watching" and not policy.revert:
        if state.hold is not None:
            return tick.outcome("hold", state, assessment=found)
        return tick.ask(f"{seen}. Rollback, or approve to keep it?", found)
    back = go_back(state, "rolled_back", tick.now, seen)
    return tick.outcome("roll_back", back, assessment=found)


def _split_problem(tick: Tick) -> str | None:
    """Why an A/B test may not be read; None: it may. A bandit's split is none that was fixed."""
    is_test = tick.policy.strategy == "ab_test" and tick.policy.bandit is None
    if not is_test or SPLIT in tick.state.accepted:
        return None
    return split_problem(tick.evidence, tick.state.traffic)


def _question(tick: Tick, found: Assessment, problem: str | None = None) -> Outcome | None:
    """What only a person can judge."""
    state = tick.state
    if state.hold is not None:
        return tick.outcome("hold", state, assessment=found)
    if problem is not None:
        return tick.ask(f"{problem}. Approve to read it all the same?", found, (SPLIT,))
    asking = tuple(name for name in found.asking if name not in state.accepted)
    if not asking:
        return None
    told = "; ".join(r.reason for r in found.readings if r.criterion in asking)
    return tick.ask(f"{told}. A better model differs too: approve, or rollback?", found, asking)


def _progress(tick: Tick, found: Assessment) -> Outcome:
    """On, if the stage has passed."""
    state, policy = tick.state, tick.policy
    if state.phase == "awaiting_approval":
        return tick.outcome("hold", state, assessment=found)
    seen = _counted(tick, found)
    short = _short_of(tick, found)
    if short is not None:
        return _reweighed(tick, found) or tick.wait(f"{short}; {seen}: {found.reason}", found)
    if (freeze := policy.frozen_by(tick.now)) is not None:
        told = f"frozen: {freeze.reason}. It has passed with {seen}"
        return tick.outcome("hold", tick.because(told), assessment=found)
    return tick.passed(f"passed with {seen}: {found.reason}", found)


def _short_of(tick: Tick, found: Assessment) -> str | None:
    """What is still missing for the stage to pass; None when nothing is."""
    state, policy = tick.state, tick.policy
    needed, lasting = policy.minimum_samples, timedelta(0)
    if state.phase == "shadow" and policy.shadow is not None:
        needed, lasting = policy.shadow.minimum_samples, policy.shadow.minimum_duration
    if state.phase == "baking":
        lasting = policy.bake_time
    if found.n_challenger < needed:
        return f"{needed:,} requests are needed"
    if found.verdict != "healthy":
        return f"it is {found.verdict}"
    ends_at = state.phase_started_at + lasting
    return f"it lasts until {ends_at:%H:%M:%S} UTC" if tick.now < ends_at else None


def _reweighed(tick: Tick, found: Assessment) -> Outcome | None:
    """A bandit moves the split while nothing is proven; the evidence goes on."""
    state, bandit = tick.state, tick.policy.bandit
    if bandit is None or state.phase != "step" or tick.is_overdue:
        return None
    rule = next((c for c in tick.policy.criteria if c.title == bandit.criterion), None)
    arms = [tick.evidence.arms.get("challenger"), tick.evidence.arms.get("stable")]
    rewards = [arm.measures.get(bandit.criterion) if arm is not None else None for arm in arms]
    one, other = rewards
    if rule is None or not isinstance(one, Moments) or not isinstance(other, Moments):
        return None
    percent = challenger_percent(
        one,
        other,
        better=rule.better,
        minimum_percent=bandit.minimum_percent,
        rng=np.random.default_rng([state.challenger.version, state.n_evaluations]),
    )
    if percent is None or abs(percent - state.traffic.challenger) < _LEAST_MOVE_PERCENT:
        return None
    reason = f"{percent} % is the chance that it is better; {_counted(tick, found)}"
    traffic = Traffic(stable=100 - percent, challenger=percent)
    moved = state.model_copy(update={"traffic": traffic, "reason": reason})
    return tick.outcome("set_traffic", moved, assessment=found)


def _counted(tick: Tick, found: Assessment) -> str:
    """How many requests an answer rests on."""
    n, other, share = found.n_challenger, found.n_stable, tick.state.traffic.challenger
    mirrored = "mirrored " if tick.state.phase == "shadow" else f"requests at {share} % "
    return f"{n:,} {mirrored}beside {other:,}"

"""The rules of phases in which no evidence is judged: start, promotion, going back, letting go.

Here: from one tick to its outcome.
Not here: while evidence is judged (`judging.py`), and which rule comes first (`decision.py`).
"""

from mlops_assets.rollout.evidence import RevisionHealth
from mlops_assets.rollout.tick import Outcome, Tick
from mlops_assets.rollout.transitions import advance, end, enter, go_back


def start_challenger(tick: Tick) -> Outcome:
    """Declares the revisions, and waits until they are ready and answer as they should."""
    state, evidence, policy = tick.state, tick.evidence, tick.policy
    arms = {"challenger": evidence.challenger}
    if policy.baseline:
        arms["baseline"] = evidence.baseline or RevisionHealth(phase="absent")
    waiting = {arm: found for arm, found in arms.items() if found.phase != "ready"}
    if any(found.phase == "absent" for found in waiting.values()):
        words = f"{' and '.join(waiting)} to be started"
        return tick.outcome("start", tick.because(words), words)
    if state.hold is not None:
        return tick.outcome("hold", state)
    if evidence.declared not in (None, state.traffic):  # edited by hand, and resumed
        return tick.outcome("set_traffic", state, f"the split becomes {state.traffic}")
    if waiting:
        words = ", ".join(f"{arm} is {found.phase}" for arm, found in waiting.items())
        return tick.wait(f"{words}: waits until it is ready")
    if policy.verify and evidence.probe is False:
        reason = f"the example requests were answered wrongly: {evidence.probe_message}"
        return tick.outcome("roll_back", go_back(state, "failed", tick.now, reason))
    if policy.verify and evidence.probe is None:
        why = f": {evidence.probe_message}" if evidence.probe_message else ""
        return tick.wait(f"ready; its example requests were not tried yet{why}")
    if (freeze := policy.frozen_by(tick.now)) is not None:
        return tick.outcome("hold", tick.because(f"frozen: {freeze.reason}"))
    verified = ", and answers its examples" if policy.verify else ""
    reason = f"revision {state.challenger.revision} is ready{verified}"
    return tick.went(advance(state, policy, tick.now, reason, tick.bounds))


def promote(tick: Tick) -> Outcome:
    """Waits until split and aliases are seen to be switched; what comes after is the watch."""
    state, evidence = tick.state, tick.evidence
    if state.hold is not None:
        return tick.outcome("hold", state)
    if tick.has_taken_effect:
        watch = tick.policy.watch
        promoted = {"promoted_at": tick.now, "evidence_from": tick.now, "evaluated_at": None}
        words = f"version {state.challenger.version} serves everybody"
        if watch.total_seconds() == 0:
            done = end(state, "succeeded", tick.now, words)
            return tick.outcome("finish", done.model_copy(update=promoted))
        words = f"{words}; it is watched for {watch}"
        watched = enter(state, "watching", tick.now, words)
        return tick.outcome("advance", watched.model_copy(update=promoted))
    if tick.now >= state.phase_started_at + tick.policy.maximum_duration:
        reason = f"promotion did not take effect in {tick.policy.maximum_duration}"
        if tick.no_way_back is not None:
            return tick.outcome("promote", state, f"{reason}; it goes on, since {tick.no_way_back}")
        return tick.outcome("roll_back", go_back(state, "failed", tick.now, reason))
    if evidence.aliases is None and tick.is_in_force:
        return tick.outcome("hold", tick.because("promoted; the registry does not answer"))
    return tick.outcome("promote", state)


def go_on_back(tick: Tick) -> Outcome:
    """Waits until split and aliases are seen to be those of before."""
    state = tick.state
    if not tick.has_taken_effect:
        return tick.outcome("roll_back", state)
    done = end(state, state.ending or "rolled_back", tick.now, state.reason)
    return tick.outcome("finish", done)


def let_go(tick: Tick) -> Outcome:
    """The losing version stops: at once after a rollback, after its warm time otherwise."""
    state, evidence = tick.state, tick.evidence
    is_success = state.phase == "succeeded"
    loser = evidence.stable if is_success else evidence.challenger
    since = state.promoted_at or state.ended_at or tick.now
    warm_until = since + tick.policy.warm_standby if is_success else since
    if tick.now < warm_until or tick.now <= state.phase_started_at:
        return tick.outcome("none", state)
    is_gone = loser.phase == "absent" or evidence.declared is None  # or nobody can say
    if state.standby_released and is_gone:
        return tick.outcome("none", state)
    version = state.stable if is_success else state.challenger
    released = state.model_copy(update={"standby_released": True})
    return tick.outcome("release", released, f"revision {version.revision} is no longer needed")

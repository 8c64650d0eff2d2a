"""Whether to train again: pure functions from what is known to what to do, and why.

Here: `Decision` and `decide`, called by the retraining sensor once a tick for each model, and by
the backtest once a recorded window. Same arguments, same answer, on any machine.
Not here: how windows are counted (`evidence.py`), the state (`state.py`), and whatever launches a
run or tells people.
Held by property tests: never two attempts at once, never a run beyond the budget, within the
cooldown or on broken data unless a person asks, and deciding twice is deciding once.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from mlops_assets.monitoring.record import Record
from mlops_assets.monitoring.verdict import WindowVerdict
from mlops_assets.retraining.evidence import (
    TriggerEvidence,
    assess_trigger,
    counted_windows,
    is_calm,
)
from mlops_assets.retraining.state import WINDOW_TRIGGERS, Attempt, RetrainingState, Trigger
from mlops_assets.spec.base import write_duration
from mlops_assets.spec.cron import latest_time
from mlops_assets.spec.operations import ScheduleSpec
from mlops_assets.spec.retraining import RetrainingSpec

Action = Literal["none", "retrain", "wait", "escalate"]
RuleName = Literal[
    "unconfirmed",
    "in_flight",
    "quiet",
    "broken_data",
    "no_calm",
    "breaker",
    "cooldown",
    "retry",
    "budget",
    "triggered",
]

RULE_MEANINGS: dict[RuleName, str] = {
    "unconfirmed": "an attempt was decided and its run not seen yet; it is asked for again under "
    "the same key, which gives one run",
    "in_flight": "an attempt has not ended; there is never a second one beside it",
    "quiet": "no trigger is met",
    "broken_data": "the latest window is broken; nothing is learned from such data",
    "no_calm": "windows kept violating under new champions; a person is called",
    "breaker": "too many candidates in a row were refused; a person is called",
    "cooldown": "the last attempt ended a short while ago",
    "retry": "the last run failed; the trigger stays armed until the next may begin",
    "budget": "the period's runs or CPU minutes are used up",
    "triggered": "a trigger is met and nothing stands against it, or a person asked",
}
"""What each rule says, in the words of the docs, in the order in which they are asked."""

_ONE_DAY = timedelta(days=1)


class Decision(Record):
    """What to do, and why.

    Attributes:
        action: none: nothing is called for. retrain: launch a run under `run_key`. wait: called
            for, and not now. escalate: called for, and a person must look.
        rule: The rule that decided.
        changed: Whether another rule decided the last time, or none: worth an observation.
        state: The state to store, before anything is done.
        run_key: Names the run to launch; None when there is none.
        reason: With its numbers; shown unchanged in the tick, the UI and the alert.
    """

    action: Action
    rule: RuleName
    changed: bool
    state: RetrainingState
    run_key: str | None = None
    reason: str


class _Cause(Record):
    trigger: Trigger
    reason: str


class _Obstacle(Record):
    rule: RuleName
    reason: str
    escalates: bool = False


def decide(
    windows: Sequence[WindowVerdict], state: RetrainingState, policy: RetrainingSpec, now: datetime
) -> Decision:
    """What to do about a model's retraining at one moment.

    Args:
        windows: Verdicts in any order; as many as `evidence_age` and `of_windows` ask for.
        state: What is remembered.
        policy: The `retraining:` part of the document.
        now: Aware.

    A person's request is met at once, unless an attempt is in flight; all else must pass the
    guards, which are asked in a fixed order.
    """
    if (attempt := state.in_flight) is not None:
        return _in_flight(attempt, state, now)
    counted = counted_windows(windows, state, policy, now)
    if is_calm(counted, policy):
        state = state.model_copy(update={"n_without_calm": 0})
    if (request := state.request) is not None:
        why = f": {request.why}" if request.why else ""
        cause = _Cause(trigger="person", reason=f"{request.who} asked for it{why}")
        return _retrain(cause, _forgiven(state), now)
    evidence = [assess_trigger(trigger, counted, policy) for trigger in policy.triggers]
    found = _cause(evidence, state, policy, now)
    if found is None:
        return _told("none", "quiet", _quiet(evidence, state, policy), state, now)
    if (obstacle := _obstacle(found.trigger, counted, state, policy, now)) is not None:
        action: Action = "escalate" if obstacle.escalates else "wait"
        return _told(action, obstacle.rule, f"{obstacle.reason}; {found.reason}", state, now)
    return _retrain(found, state, now)


def _in_flight(attempt: Attempt, state: RetrainingState, now: datetime) -> Decision:
    since = f"attempt {attempt.number} ({attempt.trigger}) of {attempt.started_at:%Y-%m-%d %H:%M}"
    if attempt.dagster_run_id is None:
        reason = f"{since} UTC has no run yet: it is asked for under the same key"
        told = _told("retrain", "unconfirmed", reason, state, now)
        return told.model_copy(update={"run_key": attempt.run_key})
    reason = f"{since} UTC is in flight as run {attempt.dagster_run_id}"
    return _told("wait", "in_flight", reason, state, now)


def _cause(
    evidence: Sequence[TriggerEvidence],
    state: RetrainingState,
    policy: RetrainingSpec,
    now: datetime,
) -> _Cause | None:
    """The first trigger that is met."""
    for found in evidence:
        if found.is_met:
            return _Cause(trigger=found.trigger, reason=found.reason)
    gained = _rows_gained(state)
    if policy.new_rows is not None and gained is not None and gained >= policy.new_rows:
        reason = f"{gained:,} rows are new since the last training, {policy.new_rows:,} needed"
        return _Cause(trigger="rows", reason=reason)
    if policy.schedule is not None and (due := _due(policy.schedule, state, now)) is not None:
        reason = f"due by the calendar since {due:%Y-%m-%d %H:%M} UTC ({policy.schedule.cron})"
        return _Cause(trigger="schedule", reason=reason)
    return None


def _obstacle(
    trigger: Trigger,
    counted: Sequence[WindowVerdict],
    state: RetrainingState,
    policy: RetrainingSpec,
    now: datetime,
) -> _Obstacle | None:
    """The first guard that stands against an attempt."""
    if counted and counted[-1].verdict == "broken_data":
        reason = f"the latest window is broken: {counted[-1].reason}"
        return _Obstacle(rule="broken_data", reason=reason)
    calm = (_no_calm,) if trigger in WINDOW_TRIGGERS else ()
    guards = (*calm, _breaker, _cooldown, _retry, _budget)
    return next((o for guard in guards if (o := guard(state, policy, now)) is not None), None)


def _no_calm(state: RetrainingState, policy: RetrainingSpec, now: datetime) -> _Obstacle | None:
    n = state.n_without_calm
    if n < policy.breaker.retrainings_without_calm or _is_paused_enough(state, policy, now):
        return None
    reason = f"{n} new champions in a row did not calm the windows; a person must look"
    reason += _until(state, policy)
    return _Obstacle(rule="no_calm", reason=reason, escalates=True)


def _breaker(state: RetrainingState, policy: RetrainingSpec, now: datetime) -> _Obstacle | None:
    n, settled = state.n_refused, state.settled
    if n < policy.breaker.refused_candidates or _is_paused_enough(state, policy, now):
        return None
    last = f" (the last: {settled.told})" if settled is not None and settled.told else ""
    reason = f"{n} candidates in a row were refused or rolled back{last}; a person must look"
    reason += _until(state, policy)
    return _Obstacle(rule="breaker", reason=reason, escalates=True)


def _is_paused_enough(state: RetrainingState, policy: RetrainingSpec, now: datetime) -> bool:
    pause, ended = policy.breaker.pause, _settled_at(state)
    return pause is not None and (ended is None or now >= ended + pause)


def _until(state: RetrainingState, policy: RetrainingSpec) -> str:
    pause, ended = policy.breaker.pause, _settled_at(state)
    if pause is None or ended is None:
        return " and ask for a retraining"
    return f"; one more attempt from {ended + pause:%Y-%m-%d %H:%M} UTC on"


def _cooldown(state: RetrainingState, policy: RetrainingSpec, now: datetime) -> _Obstacle | None:
    settled, ended = state.settled, _settled_at(state)
    if settled is None or ended is None or now >= ended + policy.cooldown:
        return None
    reason = (
        f"cooldown of {write_duration(policy.cooldown)} until "
        f"{ended + policy.cooldown:%Y-%m-%d %H:%M} UTC, since attempt {settled.number} ended "
        f"as {settled.outcome}"
    )
    return _Obstacle(rule="cooldown", reason=reason)


def _retry(state: RetrainingState, policy: RetrainingSpec, now: datetime) -> _Obstacle | None:
    n = state.n_failed
    ended = state.latest.ended_at if state.latest is not None else None
    if ended is None or n == 0:
        return None
    longest = max(policy.cooldown, _ONE_DAY)
    wait = min(policy.retry_after * 2 ** min(n - 1, 20), longest)
    if now >= ended + wait:
        return None
    reason = f"{n} runs in a row failed; the next from {ended + wait:%Y-%m-%d %H:%M} UTC on"
    return _Obstacle(rule="retry", reason=reason)


def _budget(state: RetrainingState, policy: RetrainingSpec, now: datetime) -> _Obstacle | None:
    budget = policy.budget
    started = state.started_within(budget.period, now)
    period = write_duration(budget.period)
    if budget.runs is not None and len(started) >= budget.runs:
        free = started[-budget.runs].started_at + budget.period
        reason = (
            f"{len(started)} of {budget.runs} runs of the last {period} are used, "
            f"the next from {free:%Y-%m-%d %H:%M} UTC on"
        )
        return _Obstacle(rule="budget", reason=reason)
    minutes = state.cpu_minutes_within(budget.period, now)
    if budget.cpu_minutes is not None and minutes >= budget.cpu_minutes:
        used = f"{minutes:,.0f} of {budget.cpu_minutes:,.0f} CPU minutes"
        return _Obstacle(rule="budget", reason=f"{used} of the last {period} are used")
    return None


def _retrain(cause: _Cause, state: RetrainingState, now: datetime) -> Decision:
    number = 1 if state.latest is None else state.latest.number + 1
    run_key = f"{state.model}:retraining-{number}:{cause.trigger}:{now.isoformat()}"
    attempt = Attempt(
        number=number,
        trigger=cause.trigger,
        reason=cause.reason,
        run_key=run_key,
        started_at=now,
        n_rows=state.n_rows,
    )
    told = _told("retrain", "triggered", cause.reason, state.with_attempt(attempt), now)
    return told.model_copy(update={"run_key": run_key})


def _told(
    action: Action, rule: RuleName, reason: str, state: RetrainingState, now: datetime
) -> Decision:
    """A decision, written down in its state."""
    stored = state.model_copy(update={"rule": rule, "reason": reason, "ticked_at": now})
    return Decision(
        action=action, rule=rule, changed=rule != state.rule, state=stored, reason=reason
    )


def _forgiven(state: RetrainingState) -> RetrainingState:
    """The state after a person took over: the breakers count anew."""
    return state.model_copy(update={"n_refused": 0, "n_without_calm": 0})


def _quiet(
    evidence: Sequence[TriggerEvidence], state: RetrainingState, policy: RetrainingSpec
) -> str:
    parts = [found.reason for found in evidence]
    if policy.new_rows is not None:
        gained = _rows_gained(state)
        known = "nobody knows how many" if gained is None else f"{gained:,}"
        parts.append(f"rows: {known} new, {policy.new_rows:,} needed")
    if policy.schedule is not None:
        parts.append(f"schedule: not due ({policy.schedule.cron})")
    return "; ".join(parts) or "no trigger is declared; only a person starts a retraining"


def _rows_gained(state: RetrainingState) -> int | None:
    """Rows since the last training, whether its candidate serves or was refused."""
    if state.n_rows is None or state.champion is None or state.champion.n_rows is None:
        return None
    refused = state.settled.n_rows if state.settled is not None else None
    return max(0, state.n_rows - max(state.champion.n_rows, refused or 0))


def _due(schedule: ScheduleSpec, state: RetrainingState, now: datetime) -> datetime | None:
    """The calendar's last time that no attempt has met; None when there is none.

    An attempt that failed has met nothing, so the time stays due.
    """
    due = latest_time(schedule.cron, schedule.timezone, now)
    met = [a.started_at for a in state.attempts if a.outcome != "failed"]
    if due is None or due <= state.since or any(at >= due for at in met):
        return None
    return due


def _settled_at(state: RetrainingState) -> datetime | None:
    return state.settled.ended_at if state.settled is not None else None

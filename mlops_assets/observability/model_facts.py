"""What the platform's own stores know of models: rollouts, judged windows, retraining, news."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from mlops_assets.monitoring.store import MonitoringStore
from mlops_assets.notify.ledger import Ledger
from mlops_assets.observability.facts import Sample, sample
from mlops_assets.retraining.state import RetrainingState
from mlops_assets.retraining.store import RetrainingStore
from mlops_assets.rollout.state import RolloutState
from mlops_assets.rollout.store import RolloutStore

_DAY = timedelta(days=1)


def read_rollouts(store: RolloutStore, now: datetime) -> Iterator[Sample]:
    """The last rollout of each service."""
    for service in store.services():
        text, _ = store.read(service)
        if text is not None:
            yield from tell_rollout(RolloutState.from_storage(text), now)


def tell_rollout(state: RolloutState, now: datetime) -> Iterator[Sample]:
    """Where one rollout stands. Pure."""
    service = state.service
    since = state.ended_at or state.phase_started_at
    yield sample("mlops_rollout_phase", 1, service=service, model=state.model, phase=state.phase)
    yield sample("mlops_rollout_phase_seconds", _age(since, now), service=service)
    yield sample("mlops_rollout_is_over", state.is_ended, service=service)
    if state.hold is not None:
        held = _age(state.hold.since, now)
        yield sample("mlops_rollout_held_seconds", held, service=service, kind=state.hold.kind)
    elif state.phase == "awaiting_approval":
        held = _age(state.phase_started_at, now)
        yield sample("mlops_rollout_held_seconds", held, service=service, kind="approval")
    if state.is_ended:
        return
    yield sample("mlops_rollout_tick_age_seconds", _age(state.ticked_at, now), service=service)
    shares = {"stable": state.traffic.stable, "challenger": state.traffic.challenger}
    for role, percent in shares.items():
        yield sample("mlops_rollout_traffic_percent", percent, service=service, role=role)


def read_windows(store: MonitoringStore, models: Sequence[str], now: datetime) -> Iterator[Sample]:
    """The latest judged window of each model."""
    for model in models:
        latest = store.recent(model).latest
        if latest is None:
            continue
        yield sample("mlops_window_verdict", 1, model=model, verdict=latest.verdict.verdict)
        yield sample("mlops_window_age_seconds", _age(latest.window.end, now), model=model)
        if latest.drift_share is not None:
            yield sample("mlops_window_drift_ratio", latest.drift_share, model=model)


def read_retrainings(
    store: RetrainingStore, models: Sequence[str], now: datetime
) -> Iterator[Sample]:
    """What is remembered of each model's retraining."""
    for model in models:
        state = store.read(model)
        if state is not None:
            yield from tell_retraining(state, now)


def tell_retraining(state: RetrainingState, now: datetime) -> Iterator[Sample]:
    """How one model's retraining stands. Pure."""
    model = state.model
    counts = Counter((a.trigger, a.outcome or "in_flight") for a in state.attempts)
    for (trigger, outcome), n in sorted(counts.items()):
        labels = {"model": model, "trigger": trigger, "outcome": outcome}
        yield sample("mlops_retraining_attempts", n, **labels)
    minutes = sum(attempt.cpu_minutes for attempt in state.attempts)
    yield sample("mlops_retraining_cpu_minutes", minutes, model=model)
    if state.ticked_at is not None:
        age = _age(state.ticked_at, now)
        yield sample("mlops_retraining_decision_age_seconds", age, model=model)


def read_notifications(ledger: Ledger, now: datetime) -> Iterator[Sample]:
    """What became of the notifications that were tried within the last day."""
    for model in ledger.models():
        tried = (r for r in ledger.records(model) if now - datetime.fromisoformat(r.at) < _DAY)
        for (kind, state), n in sorted(Counter((r.kind, r.state) for r in tried).items()):
            yield sample("mlops_notifications_last_day", n, model=model, kind=kind, state=state)


def _age(then: datetime, now: datetime) -> float:
    return max(0.0, (now - then).total_seconds())

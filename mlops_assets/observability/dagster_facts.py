"""What Dagster's instance knows of runs, daemons and ticks. Reads only, a few queries."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorTick,
    TickStatus,
)

from mlops_assets.kubernetes_runs.lost_retries import assess_children, lacks_retry
from mlops_assets.observability.facts import Sample, sample

_DAY = timedelta(days=1)
_MOST_RUNS = 5_000
_RETRY_PATIENCE = timedelta(minutes=5)
_GONE_SECONDS = 3600.0


def read_dagster(instance: dg.DagsterInstance, now: datetime) -> Iterator[Sample]:
    """All samples of an instance."""
    yield from _read_runs(instance, now)
    yield from _read_queue(instance, now)
    for daemon, heartbeat in instance.get_daemon_heartbeats().items():
        silent = now.timestamp() - heartbeat.timestamp
        yield sample("mlops_daemon_silent_seconds", max(0.0, silent), daemon=daemon)
    yield from _read_ticks(instance, now)


def _read_runs(instance: dg.DagsterInstance, now: datetime) -> Iterator[Sample]:
    records = instance.get_run_records(dg.RunsFilter(updated_after=now - _DAY), limit=_MOST_RUNS)
    counts: Counter[tuple[str, str]] = Counter()
    n_lost = 0
    children = defaultdict(list)
    for record in records:
        children[record.dagster_run.parent_run_id].append(record.dagster_run.status.value)
    for record in records:
        run = record.dagster_run
        counts[run.job_name, run.status.value] += 1
        is_due = record.update_timestamp < now - _RETRY_PATIENCE
        child = assess_children(children[run.run_id])
        is_lost = is_due and lacks_retry(run.run_id, run.tags, child)
        n_lost += run.status is dg.DagsterRunStatus.FAILURE and is_lost
    for (job, status), n in sorted(counts.items()):
        yield sample("mlops_runs_last_day", n, dagster_job=job, status=status)
    yield sample("mlops_run_retries_lost", n_lost)


def _read_queue(instance: dg.DagsterInstance, now: datetime) -> Iterator[Sample]:
    queued = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])
    yield sample("mlops_runs_queued", instance.get_runs_count(queued))
    oldest = instance.get_run_records(queued, limit=1, ascending=True)
    waits = (now - oldest[0].create_timestamp).total_seconds() if oldest else 0.0
    yield sample("mlops_run_longest_wait_seconds", max(0.0, waits))


def _read_ticks(instance: dg.DagsterInstance, now: datetime) -> Iterator[Sample]:
    found = [
        (state, ticks[0])
        for state in instance.all_instigator_state()
        if state.status is not InstigatorStatus.STOPPED
        and (ticks := instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1))
    ]
    newest = max((tick.timestamp for state, tick in found if _is_sensor(state)), default=0.0)
    for state, tick in found:
        if _is_sensor(state) and _is_gone(tick, newest):
            continue
        labels = {
            "instigator": state.instigator_name,
            "kind": state.instigator_type.value.lower(),
        }
        age = max(0.0, now.timestamp() - tick.timestamp)
        yield sample("mlops_tick_age_seconds", age, **labels)
        yield sample("mlops_tick_failed", tick.status is TickStatus.FAILURE, **labels)


def _is_sensor(state: InstigatorState) -> bool:
    return state.instigator_type is InstigatorType.SENSOR


def _is_gone(tick: InstigatorTick, newest: float) -> bool:
    """Whether no model has this sensor any more, by its last tick and the newest of all sensors.

    Dagster's daemon forgets a schedule that is gone, and a sensor never: it looks as if it ran. One
    that hangs has a tick that has not ended, and a silent daemon makes all of them old.
    """
    return tick.status is not TickStatus.STARTED and newest - tick.timestamp > _GONE_SECONDS

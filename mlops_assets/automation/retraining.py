"""The retraining sensor: one for all models of a code location.

Every tick looks at each model that serves: it launches a run for the next window that is to be
judged (`drift_report`, `performance_report`, `latest_verdict`), and decides whether to train again.
The reason stands in the tick's cursor, always, in its log when it has changed, and becomes an
observation of the model's `latest_verdict` when another rule decided than the last time. Nothing
heavy is imported and no table is opened, so that 200 models take less than 2 s.

What is decided is written down before a run is asked for, under the key that names the run: killed
in between, the next tick asks again and there is one run.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from mlops_assets.assets.attributes import pod_tags
from mlops_assets.assets.monitoring import LATEST, MONITORED, windows_partitions
from mlops_assets.assets.monitoring_metadata import decision_metadata
from mlops_assets.automation.documents import documents_of
from mlops_assets.automation.retraining_facts import ATTEMPT_TAG, read_facts
from mlops_assets.automation.schedules import ASSETS, MODEL_TAG, newest_partition
from mlops_assets.automation.shared_sensor import (
    UNENDED,
    SharedSensor,
    log_news,
    read_cursor,
    tick_seconds,
)
from mlops_assets.errors import MlopsError
from mlops_assets.modeling.tracking import Tracking
from mlops_assets.monitoring.due import DueWindow, due_window
from mlops_assets.notify.notification import Notifier
from mlops_assets.resources.monitoring import MonitoringBackend
from mlops_assets.resources.rollout import RolloutBackend
from mlops_assets.retraining.telling import notifications_of
from mlops_assets.retraining.ticking import read_state, tick
from mlops_assets.rollout.registry import TrackingRegistry
from mlops_assets.serving.prediction_log.glance import glance, rows_since
from mlops_assets.serving.prediction_log.logged import LoggedPredictions
from mlops_assets.serving.prediction_log.tables import PREDICTIONS, TRUTH
from mlops_assets.spec import ModelSpec

SENSOR = "retraining"
WINDOW_TAG = "mlops/window"
"""Tag of a run that judges a window: the model."""
_LAUNCHED_TAG = {"mlops/launched-by": SENSOR}
_MOST_WINDOWS = 20  # runs for windows that one tick asks for
_FIRST_WAIT, _LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=6)
_PRIORITY = "10"  # a window before a training, a rollback before both


@dataclass(frozen=True, slots=True)
class _World:
    """What a tick looks at."""

    context: dg.SensorEvaluationContext
    registry: TrackingRegistry
    rollouts: RolloutBackend
    predictions: LoggedPredictions
    monitoring: MonitoringBackend
    notifier: Notifier
    judging: frozenset[str]  # models with a run that judges a window


@dataclass(slots=True)
class _Told:
    """What a tick found of all models."""

    lines: list[str] = field(default_factory=list)
    cursor: dict[str, Any] = field(default_factory=dict)
    requests: list[dg.RunRequest] = field(default_factory=list)
    partitions: list[Any] = field(default_factory=list)
    observations: list[dg.AssetObservation] = field(default_factory=list)


@functools.cache
def retraining_sensor() -> dg.SensorDefinition:
    """The one sensor; every `ModelPipeline` brings the same object, so that documents merge."""

    def retraining(
        context: dg.SensorEvaluationContext,
        tracking: dg.ResourceParam[Tracking],
        predictions: dg.ResourceParam[LoggedPredictions],
        rollouts: dg.ResourceParam[RolloutBackend],
        monitoring: dg.ResourceParam[MonitoringBackend],
        notifier: dg.ResourceParam[Notifier],
    ) -> dg.SensorResult:
        registry = TrackingRegistry(tracking)
        judging = _judging(context.instance)
        world = _World(context, registry, rollouts, predictions, monitoring, notifier, judging)
        before = read_cursor(context.cursor)
        told = _Told()
        for spec in documents_of(context.repository_def):
            known, n_before = before.get(spec.name, {}), len(told.lines)
            _evaluate(world, spec, known, told)
            lines = told.lines[n_before:]
            log_news(context, lines, known)
            if spec.name in told.cursor:
                told.cursor[spec.name]["told"] = lines
        reason = "; ".join(told.lines)[:4_000] or "no model serves"
        return dg.SensorResult(
            run_requests=told.requests or None,
            skip_reason=None if told.requests else reason,
            cursor=json.dumps(told.cursor, sort_keys=True),
            dynamic_partitions_requests=told.partitions or None,
            asset_events=told.observations,
        )

    return SharedSensor(
        name=SENSOR,
        evaluation_fn=retraining,
        asset_selection=dg.AssetSelection.all(),
        minimum_interval_seconds=tick_seconds(),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has every window judged, and decides for each model whether to train again.",
    )


def _judging(instance: dg.DagsterInstance) -> frozenset[str]:
    """Models with a run that judges a window and has not ended."""
    filters = dg.RunsFilter(tags=_LAUNCHED_TAG, statuses=list(UNENDED))
    return frozenset(run.tags.get(WINDOW_TAG, "") for run in instance.get_runs(filters))


def _evaluate(world: _World, spec: ModelSpec, before: dict[str, Any], told: _Told) -> None:
    """One model; a fault in it is its own line, and the next one's turn comes."""
    entry: dict[str, Any] = {"window": before.get("window", {})}
    try:
        now = world.monitoring.store.now(spec.name, datetime.now(UTC))
        entry["at"] = now.isoformat(timespec="seconds")
        state = read_state(world.monitoring.retraining, spec.name, now)
        facts = read_facts(
            world.context.instance, world.registry, world.rollouts.store, spec, state
        )
        if facts.champion is None:
            return
        _look_at_windows(world, spec, facts.champion, now, entry, told)
        ticked = tick(world.monitoring.retraining, world.monitoring.store, spec, facts, now)
    except MlopsError as error:
        told.lines.append(f"{spec.name}: {error}")
        told.cursor[spec.name] = entry
        return
    decision = ticked.decision
    told.lines.append(f"{spec.name}: {decision.action}: {decision.reason}")
    entry |= {"action": decision.action, "rule": decision.rule}
    told.cursor[spec.name] = entry
    if decision.changed:
        metadata = {"action": decision.action, **decision_metadata(decision.state)}
        key = dg.AssetKey([spec.name, LATEST])
        told.observations.append(dg.AssetObservation(key, metadata=metadata))
    if decision.action == "retrain" and decision.run_key is not None:
        told.requests.append(training_request(spec, decision.run_key, now))
    url = world.monitoring.page_of(spec.name, LATEST)
    for notification in notifications_of(ticked.before, decision, url):
        world.notifier.notify(notification)


def training_request(spec: ModelSpec, run_key: str, now: datetime) -> dg.RunRequest:
    """The run of the whole pipeline, from the source to the service."""
    pod = pod_tags(spec.kubernetes.pod_of(ASSETS))  # all steps in one: it is no run of the job
    return dg.RunRequest(
        run_key=run_key,
        asset_selection=_keys(spec, ASSETS),
        partition_key=newest_partition(spec, now),
        tags={MODEL_TAG: spec.name, ATTEMPT_TAG: run_key, **_LAUNCHED_TAG, **pod},
    )


def _look_at_windows(
    world: _World,
    spec: ModelSpec,
    champion: str,
    now: datetime,
    entry: dict[str, Any],
    told: _Told,
) -> None:
    """Asks for the run that judges the next window, unless one of this model is under way."""
    if spec.name in world.judging:
        return
    log = world.predictions.store
    places = [log.uri(spec.service, table) for table in (PREDICTIONS, TRUTH)]
    recent = world.monitoring.store.recent(spec.name)
    due = due_window(
        spec.monitoring.window,
        recent,
        glance(*places),
        functools.partial(rows_since, places[0]),
        champion,
        now,
    )
    if due is None:
        return
    known = recent.find(due.key)
    this = f"{due.key} {known.judged_at.isoformat() if known is not None else 'new'}"
    real = datetime.now(UTC)
    tried: dict[str, Any] = {"this": this, "tries": 0}
    if entry["window"].get("this") == this:
        tried = entry["window"]
    if tried["tries"] and real < _next_try(tried):
        told.lines.append(f"{spec.name}: window {due.key}: {tried['tries']} runs did not judge it")
        return
    if sum(WINDOW_TAG in request.tags for request in told.requests) >= _MOST_WINDOWS:
        return
    entry["window"] = {"this": this, "tries": tried["tries"] + 1, "at": real.isoformat()}
    told.lines.append(f"{spec.name}: window {due.key} is judged: {due.reason}")
    _ask_for_window(world.context, spec, due, real, told)


def _next_try(tried: dict[str, Any]) -> datetime:
    """When a window whose run failed is tried again: after 30 s, doubled each time, at most 6 h."""
    wait = min(_FIRST_WAIT * 2 ** min(tried["tries"] - 1, 12), _LONGEST_WAIT)
    return datetime.fromisoformat(tried["at"]) + wait


def _ask_for_window(
    context: dg.SensorEvaluationContext,
    spec: ModelSpec,
    due: DueWindow,
    real: datetime,
    told: _Told,
) -> None:
    partitions = windows_partitions(spec)
    if isinstance(partitions, dg.DynamicPartitionsDefinition):
        name = str(partitions.name)
        if not context.instance.has_dynamic_partition(name, due.key):
            told.partitions.append(partitions.build_add_request([due.key]))
    told.requests.append(
        dg.RunRequest(
            run_key=f"{spec.name}:window:{due.key}:{real.isoformat()}",
            asset_selection=_keys(spec, MONITORED),
            partition_key=due.key,
            tags={WINDOW_TAG: spec.name, **_LAUNCHED_TAG, "dagster/priority": _PRIORITY},
        )
    )


def _keys(spec: ModelSpec, assets: Sequence[str]) -> list[dg.AssetKey]:
    return [dg.AssetKey([spec.name, asset]) for asset in assets]

"""The rollout sensor: one for all models of a code location, whatever the interval of each.

Every tick looks at each rollout that is not over, decides, and tells so in its cursor and the
rollout's own history, also when nothing happens, and in its log when that is news. Only when
something outside must change does it launch a run, of the asset `[<model>, inference_service]`,
which decides anew and carries out. A run that failed is followed by another with a new key, as long
as it is needed.
"""

import functools
import json
import operator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, get_args

import dagster as dg

from mlops_assets.assets.serving import ROLLOUT_TAG
from mlops_assets.automation.documents import documents_of
from mlops_assets.automation.shared_sensor import (
    UNENDED,
    SharedSensor,
    log_news,
    read_cursor,
    tick_seconds,
)
from mlops_assets.errors import MlopsError, StateConflictError
from mlops_assets.modeling.tracking import Tracking
from mlops_assets.notify.notification import Notifier
from mlops_assets.resources.monitoring import MonitoringBackend
from mlops_assets.resources.rollout import RolloutBackend
from mlops_assets.rollout.beginning import waiting_version
from mlops_assets.rollout.registry import TrackingRegistry
from mlops_assets.rollout.ticking import is_settled, tick
from mlops_assets.rollout.world import World
from mlops_assets.serving.backend import ServingBackend
from mlops_assets.spec import ModelSpec
from mlops_assets.spec.rollout import Strategy

SENSOR = "rollouts"
KEY_TAG = "mlops/rollout-step"
"""Tag of a run: the change that it was launched for, without the number of the try."""
_MOST_BEGINNINGS = 3  # of one version; one whose record is gone would be tried for ever
_PRIORITY = "100"  # a rollback does not wait behind trainings


@dataclass(slots=True)
class _Told:
    """What a tick found of all models."""

    lines: list[str] = field(default_factory=list)
    cursor: dict[str, Any] = field(default_factory=dict)
    requests: list[dg.RunRequest] = field(default_factory=list)


@functools.cache
def rollout_sensor() -> dg.SensorDefinition:
    """The one sensor; every `ModelPipeline` brings the same object, so that documents merge."""
    with_rollout = [dg.AssetSelection.tag(ROLLOUT_TAG, name) for name in get_args(Strategy)]

    def rollouts(
        context: dg.SensorEvaluationContext,
        tracking: dg.ResourceParam[Tracking],
        serving: dg.ResourceParam[ServingBackend],
        rollouts: dg.ResourceParam[RolloutBackend],
        notifier: dg.ResourceParam[Notifier],
        monitoring: dg.ResourceParam[MonitoringBackend],
    ) -> dg.SensorResult:
        registry = TrackingRegistry(tracking)
        world = World(
            rollouts.store, serving, registry, rollouts.source, notifier, monitoring.clock
        )
        before = read_cursor(context.cursor)
        told = _Told()
        for spec in documents_of(context.repository_def):
            if spec.rollout is None:
                continue
            n_before = len(told.lines)
            _evaluate(context, world, spec, told, rollouts.ui_url)
            lines = told.lines[n_before:]
            log_news(context, lines, before.get(spec.name, {}))
            if spec.name in told.cursor:
                told.cursor[spec.name]["told"] = lines
        cursor = json.dumps(told.cursor, sort_keys=True)
        if told.requests:
            return dg.SensorResult(run_requests=told.requests, cursor=cursor)
        reason = "; ".join(told.lines) or "no rollout is under way"
        return dg.SensorResult(skip_reason=reason, cursor=cursor)

    return SharedSensor(
        name=SENSOR,
        evaluation_fn=rollouts,
        target=functools.reduce(operator.or_, with_rollout),
        minimum_interval_seconds=tick_seconds(),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Evaluates every rollout on its own interval and launches its steps.",
    )


def _evaluate(
    context: dg.SensorEvaluationContext,
    world: World,
    spec: ModelSpec,
    told: _Told,
    ui_url: str | None,
) -> None:
    """One model; a fault in it is its own line, and the next one's turn comes."""
    now = datetime.now(UTC)
    try:
        now = world.clock(spec.name)
        if is_settled(world.store, spec.service, now):
            return
        ticked = tick(world, spec, now, may_act=False, ui_url=ui_url)
    except StateConflictError:
        told.lines.append(f"{spec.name}: another process is at it")
        return
    except MlopsError as error:
        told.lines.append(f"{spec.name}: {error}")
        told.cursor[spec.name] = {"at": now.isoformat(timespec="seconds"), "error": str(error)}
        return
    if ticked is None:
        return
    decision = ticked.decision
    told.lines.append(f"{spec.name}: {decision.action}: {decision.reason}")
    told.cursor[spec.name] = {
        "at": now.isoformat(timespec="seconds"),
        "phase": decision.state.phase,
        "action": decision.action,
        "reason": decision.reason,
    }
    waiting = waiting_version(ticked.state, ticked.evidence.aliases)
    if not ticked.was_carried_out:
        _ask_for_run(context, spec, decision.run_key, told)
    elif waiting is not None:
        told.lines.append(f"{spec.name}: v{waiting} waited, and its rollout begins")
        _ask_for_run(context, spec, f"{spec.service}:begin:v{waiting}", told, most=_MOST_BEGINNINGS)


def _ask_for_run(
    context: dg.SensorEvaluationContext,
    spec: ModelSpec,
    key: str,
    told: _Told,
    most: int | None = None,
) -> None:
    """Asks for the run that carries a change out, unless one of this model is under way."""
    of_model = {ROLLOUT_TAG: spec.name}
    unended = dg.RunsFilter(tags=of_model, statuses=list(UNENDED))
    if context.instance.get_runs(unended, limit=1):
        told.lines.append(f"{spec.name}: its run is under way")
        return
    former = context.instance.get_runs(dg.RunsFilter(tags={**of_model, KEY_TAG: key}))
    if most is not None and len(former) >= most:
        told.lines.append(f"{spec.name}: given up after {most} runs; see their logs")
        return
    told.requests.append(
        dg.RunRequest(
            run_key=f"{key}:try-{len(former) + 1}",
            asset_selection=[dg.AssetKey([spec.name, "inference_service"])],
            tags={**of_model, KEY_TAG: key, "dagster/priority": _PRIORITY},
        )
    )

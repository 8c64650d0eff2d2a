"""The asset `[<model>, inference_service]`: what serves, and the rollout of what is to serve next.

A version with nobody before it, or of a document without `rollout:`, serves at once. Any other
begins a rollout, and the run returns, after the first step where the version is ready within a few
seconds: the rollout sensor (`automation/rollouts.py`) launches a run of this asset whenever
something must change. So this asset's history is the rollout's.
"""

import functools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from mlops_assets.assets.attributes import asset_attributes, readable_failures
from mlops_assets.assets.rollout_metadata import (
    criterion_check_specs,
    criterion_checks,
    rollout_metadata,
    shadow_metadata,
)
from mlops_assets.errors import RolloutError, ServingError, StateConflictError
from mlops_assets.kserve.manifest import build_inference_service, manifest_digest
from mlops_assets.modeling.mlflow_registry import RegisteredVersion
from mlops_assets.modeling.tracking import Tracking
from mlops_assets.notify.notification import Notifier
from mlops_assets.resources.fence import require_live_run
from mlops_assets.resources.monitoring import MonitoringBackend
from mlops_assets.resources.rollout import RolloutBackend
from mlops_assets.rollout.beginning import begin, decide_beginning, declared_version, read_state
from mlops_assets.rollout.metrics_source import AnswerSource
from mlops_assets.rollout.presets import build_policy
from mlops_assets.rollout.registry import TrackingRegistry
from mlops_assets.rollout.shadow_report import build_shadow_report
from mlops_assets.rollout.state import RolloutState
from mlops_assets.rollout.ticking import Ticked, tick
from mlops_assets.rollout.world import World, ask_of_source, read_subject
from mlops_assets.serving.backend import ServingBackend
from mlops_assets.spec import ModelSpec

DOCUMENT = "document"
"""Metadata of the asset's definition: the model's document, which the rollout sensor reads."""
ROLLOUT_TAG = "mlops/rollout"
"""Tag of the asset, and of the runs that carry a rollout's step out: the strategy, the model."""
_ENDS_WITHIN_SECONDS = 30.0
_READY_WITHIN_SECONDS = 5.0  # of a predictor on this machine; a pod takes longer
_LOOK_SECONDS = 0.2
_MOST_TRIES = 5


class LiveService(BaseModel):
    """A version that was live and answered when this was written."""

    model_config = ConfigDict(frozen=True)

    service: str
    version: int
    url: str
    manifest_digest: str
    example: list[dict[str, JsonValue]]


class ServeConfig(dg.Config):
    """What may be asked of one run."""

    again: bool = Field(False, description="Try a version again that was rolled back or stopped.")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a run has beside the world: MLflow whole, where people look, what they asked, and
    who says whether it may still publish."""

    tracking: Tracking
    require_live_run: Callable[[], None]
    ui_url: str | None
    again: bool


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a run led to."""

    words: str
    state: RolloutState | None = None
    answer: dict[str, Any] | None = None
    is_judged: bool = False


def build_inference_service_asset(spec: ModelSpec) -> dg.AssetsDefinition:
    """The inference_service asset, with a check for each criterion of its rollouts."""
    key = dg.AssetKey([spec.name, "inference_service"])
    criteria = build_policy(spec).criteria if spec.rollout is not None else ()
    attributes = asset_attributes(spec, "inference_service", {"kubernetes"}, LiveService)
    if spec.rollout is not None:
        attributes["tags"] = {**attributes["tags"], ROLLOUT_TAG: spec.rollout.strategy}

    @dg.asset(
        **attributes,
        description=f"InferenceService {spec.service}: the champion of {spec.name}, live.",
        ins={"model_version": dg.AssetIn(key=[spec.name, "model_version"])},
        check_specs=criterion_check_specs(key, criteria) or None,
        metadata={DOCUMENT: dg.MetadataValue.json(_document(spec))},
    )
    def inference_service(
        context: dg.AssetExecutionContext,
        config: ServeConfig,
        model_version: RegisteredVersion,
        tracking: dg.ResourceParam[Tracking],
        serving: dg.ResourceParam[ServingBackend],
        rollouts: dg.ResourceParam[RolloutBackend],
        notifier: dg.ResourceParam[Notifier],
        monitoring: dg.ResourceParam[MonitoringBackend],
    ) -> dg.MaterializeResult:
        registry = TrackingRegistry(tracking)
        world = World(
            rollouts.store, serving, registry, rollouts.source, notifier, monitoring.clock
        )
        with readable_failures():
            fence = functools.partial(require_live_run, context)
            asked = _Asked(tracking, fence, rollouts.ui_url, config.again)
            if spec.rollout is None:
                fence()
                rollouts.store.delete(spec.service)
                outcome = _serve_at_once(world, spec, asked, model_version)
            else:
                outcome = _roll_out(world, spec, model_version, asked)
            live, metadata = _describe(world, spec, outcome)
        return dg.MaterializeResult(
            value=live,
            data_version=dg.DataVersion(live.manifest_digest[:16]),
            metadata=metadata,
            check_results=criterion_checks(key, criteria, outcome.state),
        )

    return inference_service


def _serve_at_once(
    world: World, spec: ModelSpec, asked: _Asked, version: RegisteredVersion
) -> _Outcome:
    """Declare a version alone, wait until it answers its example, and make it champion."""
    manifest = build_inference_service(
        spec,
        version=version.version,
        storage_uri=version.uri,
        model_digest=version.model_digest,
        mlflow_run_id=version.mlflow_run_id,
    )
    example = world.registry.package_manifest(version.uri).example
    asked.require_live_run()
    world.serving.apply(manifest)
    world.serving.wait_ready(spec.service, version.version, spec.serving.ready_timeout_seconds)
    answer = world.serving.predict(spec.service, example)
    if len(answer.get("predictions", ())) != len(example):
        raise ServingError(f"{spec.service}: the example got no answer: {answer}")
    asked.require_live_run()
    asked.tracking.promote(spec.registered_model, version.version)
    return _Outcome(f"v{version.version} serves at once", answer=answer)


def _roll_out(world: World, spec: ModelSpec, version: RegisteredVersion, asked: _Asked) -> _Outcome:
    """Begin the version's rollout, or carry out the next step of the one that runs."""
    serving_version = declared_version(world.serving.declaration(spec.service))
    last = read_state(world, spec.service)
    asked.require_live_run()
    beginning = decide_beginning(version.version, serving_version, last, again=asked.again)
    if beginning.kind == "direct":
        world.store.delete(spec.service)  # of a service that is gone
        return _serve_at_once(world, spec, asked, version)
    if beginning.kind == "serves" and (last is None or last.is_ended):
        ticked = _tick(world, spec, asked)
        is_quiet = ticked is None or not ticked.decision.needs_run
        if ticked is None or (is_quiet and ticked.state.standby_released):
            return _serve_at_once(world, spec, asked, version)
        return _Outcome(beginning.reason, ticked.state)
    if beginning.kind == "waits":
        return _Outcome(beginning.reason, last)
    if beginning.kind == "supersede":
        _end(world, spec, asked, version.version)
    if beginning.kind in ("supersede", "begin"):
        begin(world, spec, version.version, world.clock(spec.name))
        ticked = _start(world, spec, asked)
    else:
        ticked = _tick(world, spec, asked)
    if ticked is None:
        return _Outcome(beginning.reason)
    words = f"{beginning.reason}; {ticked.decision.action}: {ticked.decision.reason}"
    return _Outcome(words, ticked.state, is_judged=ticked.decision.evaluated)


def _tick(
    world: World, spec: ModelSpec, asked: _Asked, newest_version: int | None = None
) -> Ticked | None:
    """One tick; again when another process, such as the sensor's, was at it at the same time."""
    for left in reversed(range(_MOST_TRIES)):
        now = world.clock(spec.name)
        try:
            return tick(world, spec, now, newest_version=newest_version, ui_url=asked.ui_url)
        except StateConflictError:
            if not left:
                raise
    return None


def _start(world: World, spec: ModelSpec, asked: _Asked) -> Ticked | None:
    """Starts the revision of a rollout that has just begun, and takes the first step if it is soon.

    That spares the wait for a tick and for another run; what takes longer is the sensor's.
    """
    ticked = _tick(world, spec, asked)
    deadline = time.monotonic() + _READY_WITHIN_SECONDS
    while ticked is not None and ticked.state.phase == "pending" and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        asked.require_live_run()
        ticked = _tick(world, spec, asked)
    return ticked


def _end(world: World, spec: ModelSpec, asked: _Asked, newest_version: int) -> None:
    """End the rollout that a newer version takes the place of."""
    deadline = time.monotonic() + _ENDS_WITHIN_SECONDS
    while (ticked := _tick(world, spec, asked, newest_version)) is not None:
        if ticked.state.is_ended:
            return
        if time.monotonic() > deadline:
            raise RolloutError(
                f"{spec.service}: the rollout of v{ticked.state.challenger.version} does not end "
                f"({ticked.state.phase}: {ticked.state.reason}); materialize this asset again"
            )
        time.sleep(_LOOK_SECONDS)  # until the router reports the split that ends it


def _describe(
    world: World, spec: ModelSpec, outcome: _Outcome
) -> tuple[LiveService, dict[str, Any]]:
    """The record of what serves now, and what the page shows."""
    declaration = world.serving.declaration(spec.service)
    status = world.serving.status(spec.service)
    version = declared_version(declaration)
    if declaration is None or version is None:
        raise ServingError(f"service {spec.service} was withdrawn while this ran")
    manifest = dict(declaration.manifest)
    uri = manifest["spec"]["predictor"]["model"]["storageUri"]
    live = LiveService(
        service=spec.service,
        version=version,
        url=status.url if status is not None else "",
        manifest_digest=manifest_digest(manifest),
        example=world.registry.package_manifest(uri).example,
    )
    metadata: dict[str, Any] = {
        "outcome": outcome.words,
        "service": spec.service,
        "version": version,
        "traffic": dg.MetadataValue.json(dict(declaration.percent)),
        "manifest": dg.MetadataValue.json(manifest),
    }
    if live.url:
        metadata["url"] = dg.MetadataValue.url(live.url)
    if outcome.answer is not None:
        metadata["example_answer"] = dg.MetadataValue.json(json.loads(json.dumps(outcome.answer)))
    if outcome.state is not None:
        metadata |= rollout_metadata(outcome.state)
        metadata |= describe_shadow(world, spec, outcome.state)
    return live, metadata


def describe_shadow(world: World, spec: ModelSpec, state: RolloutState) -> dict[str, Any]:
    """Metadata of what the shadow answered, when requests are mirrored or were a moment ago."""
    mirrored = [e for e in state.history if e.phase == "shadow"]
    if not mirrored or state.step > 0 or not isinstance(world.source, AnswerSource):
        return {}
    subject = read_subject(world, spec, world.serving.declaration(spec.service))
    question = ask_of_source(world, spec, state, subject, world.clock(spec.name))
    features = tuple(spec.features.categorical)
    question = question.model_copy(update={"since": state.started_at, "mirrored": True})
    answers = world.source.answers(question, features)
    return shadow_metadata(build_shadow_report(answers, subject, features))


def _document(spec: ModelSpec) -> dict[str, Any]:
    """What the document says, as a value that reads back as the same."""
    document: dict[str, Any] = spec.model_dump(mode="json", exclude_unset=True)
    return document

"""All that a rollout touches outside itself, and how it looks at it.

Here: `World`, the few things behind narrow seams, and `observe`, which asks each of them once. What
did not answer is unknown in the `Evidence`, with the reason, and nothing else changes by it.
Not here: what follows (`decision.py`), and what is changed (`effects.py`).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlops_assets.errors import AnsweredError, MlopsError, RegistryError, ServingError
from mlops_assets.kserve.manifest import manifest_digest
from mlops_assets.notify.notification import Notifier
from mlops_assets.rollout.evidence import Evidence, RevisionHealth, Traffic
from mlops_assets.rollout.metrics_source import Measured, MetricsSource, Question, Subject
from mlops_assets.rollout.phases import PROMOTED
from mlops_assets.rollout.policy import RolloutPolicy
from mlops_assets.rollout.presets import build_policy
from mlops_assets.rollout.registry import VersionRegistry
from mlops_assets.rollout.roles import block_of, revisions_of, to_traffic
from mlops_assets.rollout.state import RolloutState
from mlops_assets.rollout.store import RolloutStore
from mlops_assets.serving.backend import Declaration, RevisionStatus, ServiceStatus, ServingBackend
from mlops_assets.serving.prediction_log.records import label_text
from mlops_assets.spec import ModelSpec

CRASHES = 2
"""How often a revision's process may end by itself until it counts as failed: the first time may be
the machine's fault."""


def real_time(_model: str) -> datetime:
    """The time of every model whose past is not played."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class World:
    """What a rollout reads and changes; the clock gives a model's time by its name."""

    store: RolloutStore
    serving: ServingBackend
    registry: VersionRegistry
    source: MetricsSource
    notifier: Notifier
    clock: Callable[[str], datetime] = real_time


@dataclass(frozen=True, slots=True)
class Observed:
    """The evidence, and what the source of metrics wants to be told the next time."""

    evidence: Evidence
    cursor: str


def observe(
    world: World,
    spec: ModelSpec,
    policy: RolloutPolicy,
    state: RolloutState,
    now: datetime,
    *,
    newest_version: int | None = None,
) -> Observed:
    """Everything that is known now."""
    seen = _look_at_service(world.serving, state)
    declaration = seen.declaration
    measured = _measure(world, spec, policy, state, now)
    health = {arm: _assess_health(name, seen) for arm, name in revisions_of(state).items()}
    probe, message = None, ""
    if policy.verify and not state.traffic.challenger and health["challenger"].phase == "ready":
        probe, message = _probe(world, declaration, state)
    has_baseline = policy.baseline and state.phase not in PROMOTED
    evidence = Evidence(
        since=state.evidence_from,
        until=max(now, state.evidence_from),
        arms=measured.arms,
        late=measured.late,
        source_error=measured.source_error,
        missing=measured.missing,
        stable=health["stable"],
        challenger=health["challenger"],
        baseline=health["baseline"] if has_baseline else None,
        declared=_declared(declaration, state),
        routed=seen.routed,
        probe=probe,
        probe_message=message,
        aliases=_aliases(world.registry, spec),
        newest_version=newest_version,
    )
    return Observed(evidence, measured.cursor)


@dataclass(frozen=True, slots=True)
class _Service:
    """What the serving backend says of a service.

    Attributes:
        is_known: Whether it answered what is declared.
        declaration: None: nothing is, or that is not known.
        status: None: there is none, or it is not known.
        routed: The split that is in force; None: nobody could say.
    """

    is_known: bool
    declaration: Declaration | None = None
    status: ServiceStatus | None = None
    routed: Traffic | None = None


def _assess_health(revision: str, seen: _Service) -> RevisionHealth:
    """Whether a revision can answer, from what its backend reports. Pure."""
    declaration, status = seen.declaration, seen.status
    if seen.is_known and (declaration is None or revision not in declaration.revisions):
        return RevisionHealth(phase="absent", message=f"{revision} is not declared")
    if declaration is None or seen.routed is None:
        return RevisionHealth(phase="starting", message="the serving backend does not answer")
    found = _status_of(revision, status)
    is_seen = status is not None and status.manifest_digest == manifest_digest(
        dict(declaration.manifest)
    )
    if found is None or not is_seen:
        return RevisionHealth(phase="starting", message=f"{revision} was not looked at yet")
    if found.n_crashes >= CRASHES:
        message = f"{revision} ended {found.n_crashes} times by itself: {found.reason}"
        return RevisionHealth(phase="failed", message=message)
    return RevisionHealth(phase=found.phase, message=found.reason)


def read_subject(world: World, spec: ModelSpec, declaration: Declaration | None) -> Subject:
    """What the model answers: its task, and its classes as its package names them.

    Raises:
        RegistryError: the package of the declared version cannot be read.
    """
    task, positive = spec.target.task, spec.target.positive
    positive_text = None if positive is None else label_text(positive)
    if task == "regression" or declaration is None:
        return Subject(task=task, positive=positive_text)
    uri = declaration.manifest["spec"]["predictor"]["model"]["storageUri"]
    classes = world.registry.package_manifest(uri).classes or []
    return Subject(task=task, classes=tuple(label_text(c) for c in classes), positive=positive_text)


def ask_of_source(
    world: World, spec: ModelSpec, state: RolloutState, subject: Subject, now: datetime
) -> Question:
    """What is asked of the source of metrics in this state."""
    policy = build_policy(spec)
    compared = None
    if state.promoted_at is not None and state.compared_from is not None:
        compared = (state.compared_from, state.promoted_at)
    revisions = revisions_of(state)
    warm_up_requests = policy.warm_up_requests
    if state.phase == "pending":  # what the stable version keeps; it has long been warm
        revisions, warm_up_requests = {"stable": revisions["stable"]}, 0
    elif not policy.baseline:
        del revisions["baseline"]
    return Question(
        service=spec.service,
        subject=subject,
        revisions=revisions,
        since=state.evidence_from,
        until=max(now, state.evidence_from),
        mirrored=state.phase == "shadow" or state.traffic.shadow,
        criteria=policy.criteria,
        by_unit=policy.sticky_key is not None and world.serving.keeps_callers,
        warm_up_requests=warm_up_requests,
        compared=compared,
        cursor=state.cursor,
    )


def _look_at_service(serving: ServingBackend, state: RolloutState) -> _Service:
    try:
        declaration = serving.declaration(state.service)
    except ServingError:
        return _Service(is_known=False)
    try:
        percent = serving.traffic(state.service)
        status = serving.status(state.service)
    except ServingError:
        return _Service(True, declaration)
    if not percent or status is None:
        return _Service(True, declaration, status)
    return _Service(True, declaration, status, to_traffic(percent, status.shadow, state))


def _status_of(revision: str, status: ServiceStatus | None) -> RevisionStatus | None:
    found = status.revisions if status is not None else ()
    return next((each for each in found if each.name == revision), None)


def _declared(declaration: Declaration | None, state: RolloutState) -> Traffic | None:
    if declaration is None:
        return None
    return to_traffic(declaration.percent, declaration.shadow, state)


def _measure(
    world: World, spec: ModelSpec, policy: RolloutPolicy, state: RolloutState, now: datetime
) -> Measured:
    is_starting = state.phase == "pending" and policy.has_comparison
    if state.is_ended or is_starting or state.phase == "rolling_back":
        return Measured(cursor=state.cursor)
    is_between_looks = state.is_looked_at and max(now, state.ticked_at) < state.due_at(
        policy.interval
    )
    if is_between_looks and not state.unread_commands:  # a word may need what is known by now
        return Measured(cursor=state.cursor)
    try:
        subject = read_subject(world, spec, world.serving.declaration(state.service))
    except (ServingError, RegistryError) as error:
        return Measured(source_error=str(error), cursor=state.cursor)
    return world.source.measure(ask_of_source(world, spec, state, subject, now))


def _aliases(registry: VersionRegistry, spec: ModelSpec) -> Mapping[str, int] | None:
    try:
        return registry.aliases(spec.registered_model)
    except RegistryError:
        return None


def _probe(
    world: World, declaration: Declaration | None, state: RolloutState
) -> tuple[bool | None, str]:
    """Whether the challenger answers its package's example rows with numbers that are some.

    None: they could not be tried, with the reason. What lies between us and the challenger says
    nothing of it; the next tick tries again.
    """
    revision = state.challenger.revision
    block = block_of(declaration, revision)
    if block is None:
        return None, ""
    try:
        example = world.registry.package_manifest(block["model"]["storageUri"]).example
    except MlopsError as error:
        return None, str(error)
    try:
        answer = world.serving.predict(state.service, example, revision=revision)
    except AnsweredError as error:
        return False, str(error)
    except ServingError as error:
        return None, str(error)
    predictions = answer.get("predictions", ())
    if len(predictions) != len(example):
        return False, f"{len(predictions)} answers to {len(example)} examples"
    values = [*predictions, *(answer.get("probabilities") or [])]
    if not all(_is_answer(value) for value in values):
        return False, f"an example's answer is no answer: {predictions}"
    return True, f"{revision} answered its {len(example)} examples"


def _is_answer(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_answer(each) for each in value)
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))

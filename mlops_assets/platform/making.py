"""Makes what is stale of one model: looks, runs what the look says, and looks again.

Not here: what is stale (`staleness.py`), what there is (`pipelines.py`, `evidence.py`), how a run
is executed (`execution.py`), and in which processes (`materialize.py`).
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlops_assets.errors import PlatformError
from mlops_assets.platform.events import Event, Message, ModelMade
from mlops_assets.platform.evidence import find_lost, read_record
from mlops_assets.platform.execution import execute
from mlops_assets.platform.home import Home
from mlops_assets.platform.instance import CodeLocation
from mlops_assets.platform.pipelines import MODEL_TAG, Pipeline, missing_partitions, read_states
from mlops_assets.platform.sources import DocumentSource
from mlops_assets.platform.staleness import SOURCE, AssetState, Plan, decide_stale

if TYPE_CHECKING:
    import dagster as dg

GATES = "evaluation"  # the asset whose blocking checks are the gates
MOST_RUNS = 3  # the source is read, then what follows is made, then nothing is stale
_OTHER_RUN_SECONDS = 600.0
_READY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Workbench:
    """What every model is made with."""

    home: Home
    location: CodeLocation
    repository: "dg.RepositoryDefinition"
    instance: "dg.DagsterInstance"
    sources: dict[str, DocumentSource]
    emit: Callable[[Event], None]


def make(bench: Workbench, pipeline: Pipeline) -> ModelMade:
    """One model, whatever happens: a fault in it is its result, and the next one's turn comes."""
    began = time.monotonic()
    try:
        return bring_up_to_date(bench, pipeline)
    except Exception as error:
        logging.exception("%s", pipeline.model)
        failure = f"{type(error).__name__}: {error}"
        return _report(bench, pipeline.model, [], Plan({}, None), failure, [], began)


def bring_up_to_date(bench: Workbench, pipeline: Pipeline) -> ModelMade:
    """Makes what is stale of one model, in as many runs as it takes to know."""
    began = time.monotonic()
    failure: str | None = None
    states, plan, partitions = _look(bench, pipeline, source_was_read=False)
    before = {state.name: state.made for state in states}
    source_was_read = False
    for _ in range(MOST_RUNS):
        if not plan.reasons:
            break
        _wait_for_others(bench, pipeline)
        result = execute(
            bench.instance,
            bench.location,
            bench.repository,
            pipeline,
            dict(plan.reasons),
            bench.emit,
            partitions if SOURCE in plan.reasons else (),
        )
        failure = result.failure
        source_was_read = source_was_read or SOURCE in plan.reasons
        states, plan, partitions = _look(bench, pipeline, source_was_read=source_was_read)
        if not result.succeeded:
            break
    made = [state.name for state in states if state.made != before[state.name]]
    if failure is None and plan.reasons:
        failure = "still stale after " + "; ".join(f"{k}: {v}" for k, v in plan.reasons.items())
    return _report(bench, pipeline.model, states, plan, failure, made, began)


def _look(
    bench: Workbench, pipeline: Pipeline, *, source_was_read: bool
) -> tuple[list[AssetState], Plan, tuple[str, ...]]:
    """The model as it is, what of it is stale, and the parts to make with its dataset."""
    states = [
        replace(state, lost=find_lost(bench.home, pipeline.model, state.name))
        for state in read_states(bench.instance, bench.repository, pipeline)
    ]
    missing = missing_partitions(bench.instance, bench.repository, pipeline, datetime.now(UTC))
    if missing is not None and missing.n_missing:
        reason = f"{missing.n_missing} parts were never made"
        states = [replace(s, lost=reason) if s.is_partitioned else s for s in states]
    document = bench.sources.get(pipeline.model)
    fingerprint = None if document is None else document.fingerprint()
    plan = decide_stale(states, fingerprint, source_was_read=source_was_read)
    return states, plan, missing.keys if missing is not None else ()


def _report(
    bench: Workbench,
    model: str,
    states: Sequence[AssetState],
    plan: Plan,
    failure: str | None,
    made: list[str],
    began: float,
) -> ModelMade:
    failed = {state.name: dict(state.failed_checks) for state in states if state.failed_checks}
    refused = failed.pop(GATES, {})
    if plan.blocked_by is not None and (failure is None or plan.blocked_by in made):
        # Where a run failed, it did since this check of what it had made did.
        checks = failed.get(plan.blocked_by, {})
        reasons = "; ".join(f"{name}: {reason}" for name, reason in checks.items())
        failure = f"{plan.blocked_by}: {reasons}" if checks else None
    live = read_record(bench.home, model, "inference_service")
    document = bench.sources.get(model)
    ready_timeout_seconds = (
        document.spec.serving.ready_timeout_seconds if document is not None else _READY_SECONDS
    )
    return ModelMade(
        model=model,
        service=live["service"] if live else None,
        version=live["version"] if live else None,
        refused=refused,
        failure=failure,
        example=live["example"] if live else [],
        ready_timeout_seconds=ready_timeout_seconds,
        made=made,
        seconds=time.monotonic() - began,
    )


def _wait_for_others(bench: Workbench, pipeline: Pipeline) -> None:
    """Waits until no other run of the model is under way: two would race for its champion.

    Raises:
        PlatformError: one goes on for longer than `_OTHER_RUN_SECONDS`.
    """
    import dagster as dg

    under_way = dg.RunsFilter(
        tags={MODEL_TAG: pipeline.model},
        statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED],
    )
    deadline = time.monotonic() + _OTHER_RUN_SECONDS
    told = False
    while runs := bench.instance.get_runs(under_way, limit=1):
        other = runs[0].run_id[:8]
        if time.monotonic() >= deadline:
            raise PlatformError(
                f"run {other} of {pipeline.model} is still under way after "
                f"{_OTHER_RUN_SECONDS:.0f} s; look at it in Dagster, then run this again"
            )
        if not told:
            bench.emit(Message(text=f"{pipeline.model}: waiting for run {other}"))
            told = True
        time.sleep(1.0)

"""Makes what is stale of each model, in one process that loads everything heavy once.

Started by `up`, which reads its standard output: one event a line (`events.py`). What user code
prints goes to standard error, and so to the log.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError, PlatformError
from mlops_assets.platform.events import Event, Message, ModelMade, Models
from mlops_assets.platform.evidence import find_lost, read_record
from mlops_assets.platform.execution import execute
from mlops_assets.platform.home import Home
from mlops_assets.platform.instance import CodeLocation, code_location
from mlops_assets.platform.mlflow_database import ensure_database
from mlops_assets.platform.pipelines import (
    MODEL_TAG,
    Pipeline,
    find_pipelines,
    load_location,
    missing_partitions,
    read_states,
)
from mlops_assets.platform.repair import repair
from mlops_assets.platform.retirement import mark_active, read_retired
from mlops_assets.platform.sources import DocumentSource, find_sources
from mlops_assets.platform.staleness import SOURCE, AssetState, Plan, decide_stale

if TYPE_CHECKING:
    import dagster as dg
    from dagster._core.definitions.reconstruct import ReconstructableRepository

GATES = "evaluation"  # the asset whose blocking checks are the gates
MOST_RUNS = 3  # the source is read, then what follows is made, then nothing is stale
_OTHER_RUN_SECONDS = 600.0
_READY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Workbench:
    """What every model is made with."""

    home: Home
    location: CodeLocation
    source: "ReconstructableRepository"
    instance: "dg.DagsterInstance"
    sources: dict[str, DocumentSource]
    emit: Callable[[Event], None]

    @property
    def repository(self) -> "dg.RepositoryDefinition":
        """The loaded definitions."""
        return self.source.get_definition()


def main() -> None:
    """`python -m mlops_assets.platform.materialize HOME PROJECT [MODEL...]`."""
    root, project, *models = sys.argv[1:]
    with _events_on_stdout() as emit:
        try:
            run(Home(Path(root)), code_location(Path(project)), models, emit)
        except MlopsError as error:
            print(error, file=sys.stderr)
            sys.exit(1)


def run(
    home: Home, location: CodeLocation, names: Sequence[str], emit: Callable[[Event], None]
) -> None:
    """Brings the models up to date, one after the other; all that are not retired when none is
    named.

    Raises:
        PlatformError: a name is no model's.
    """
    import dagster as dg

    source = load_location(location)
    pipelines = find_pipelines(source.get_definition())
    chosen, retired = _choose(home, pipelines, names)
    emit(Models(models=[pipeline.model for pipeline in chosen], retired=retired))
    with dg.DagsterInstance.get() as instance:
        for message in repair(instance, home):
            emit(Message(text=message))
        sources = find_sources(source.get_definition())
        bench = Workbench(home, location, source, instance, sources, emit)
        for pipeline in chosen:
            emit(_make(bench, pipeline))


def _make(bench: Workbench, pipeline: Pipeline) -> ModelMade:
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
    made: list[str] = []
    failure: str | None = None
    for _ in range(MOST_RUNS):
        states, plan, partitions = _look(bench, pipeline, source_was_read=SOURCE in made)
        if not plan.reasons:
            break
        ensure_database(bench.home)
        _wait_for_others(bench, pipeline)
        result = execute(
            bench.instance,
            bench.location,
            bench.source,
            pipeline,
            dict(plan.reasons),
            bench.emit,
            partitions if SOURCE in plan.reasons else (),
        )
        made += [asset for asset in plan.assets if asset not in made]
        failure = result.failure
        if not result.succeeded:
            break
    states, plan, _ = _look(bench, pipeline, source_was_read=True)
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
    if plan.blocked_by is not None:  # the run failed since the check did
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


def _choose(
    home: Home, pipelines: Sequence[Pipeline], names: Sequence[str]
) -> tuple[list[Pipeline], list[str]]:
    """The models to make, and those passed over since they are retired."""
    known = {pipeline.model: pipeline for pipeline in pipelines}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise PlatformError(f"no model is named {unknown[0]!r}; found: {', '.join(known)}")
    for name in names:
        mark_active(home, name)
    retired = [model for model in read_retired(home) if model in known]
    chosen = [p for p in pipelines if (p.model in names if names else p.model not in retired)]
    return chosen, [] if names else retired


def _wait_for_others(bench: Workbench, pipeline: Pipeline) -> None:
    """Waits until no other run of the model is under way: two would race for its champion."""
    import dagster as dg

    under_way = dg.RunsFilter(
        tags={MODEL_TAG: pipeline.model},
        statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED],
    )
    deadline = time.monotonic() + _OTHER_RUN_SECONDS
    told = False
    while (runs := bench.instance.get_runs(under_way, limit=1)) and time.monotonic() < deadline:
        if not told:
            bench.emit(Message(text=f"{pipeline.model}: waiting for run {runs[0].run_id[:8]}"))
            told = True
        time.sleep(1.0)


@contextmanager
def _events_on_stdout() -> Iterator[Callable[[Event], None]]:
    """Keeps standard output for events: Dagster captures what steps print, and users print."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as events:
        os.dup2(2, 1)

        def emit(event: Event) -> None:
            events.write(event.model_dump_json() + "\n")
            events.flush()

        yield emit


if __name__ == "__main__":
    main()

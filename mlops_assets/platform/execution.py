"""Executes part of a model's job in this process, as a run that Dagster's pages show as any other.

The run carries the origin that the code location has in the workspace, so that the UI files it
under its job, and can run it again. Steps are executed by the job's own executor.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.platform.events import Event, Planned, StepEnded, StepStarted
from mlops_assets.platform.instance import CodeLocation
from mlops_assets.platform.pipelines import MODEL_TAG, Pipeline, load_location, repository_origin

if TYPE_CHECKING:
    import dagster as dg

PROCESS_TAG = "mlops/process"  # process of a run that no launcher knows; `repair.py` looks for it


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended. `failure` says which step failed and why; None when the run succeeded."""

    dagster_run_id: str
    succeeded: bool
    failure: str | None


def execute(
    instance: "dg.DagsterInstance",
    location: CodeLocation,
    repository: "dg.RepositoryDefinition",
    pipeline: Pipeline,
    reasons: dict[str, str],
    emit: Callable[[Event], None],
    partitions: Sequence[str] = (),
) -> RunResult:
    """Makes the assets that `reasons` names, and tells of each step."""
    import dagster as dg
    from dagster._core.definitions.job_base import IJob, InMemoryJob
    from dagster._core.execution.api import execute_run_iterator
    from dagster._core.remote_origin import RemoteJobOrigin

    reconstructable = load_location(location).get_reconstructable_job(pipeline.job)
    job: IJob = reconstructable
    definition = repository.get_job(pipeline.job)
    selection = frozenset(key for key in pipeline.keys if key.path[-1] in reasons)
    tags = {MODEL_TAG: pipeline.model, "mlops/trigger": "up", PROCESS_TAG: process_identity()}
    if partitions:
        tags["dagster/asset_partition_range_start"] = partitions[0]
        tags["dagster/asset_partition_range_end"] = partitions[-1]
    run = instance.create_run_for_job(
        definition.get_subset(asset_selection=selection),
        tags=tags,
        asset_selection=selection,
        remote_job_origin=RemoteJobOrigin(repository_origin(location), pipeline.job),
        job_code_origin=reconstructable.get_python_origin(),
    )
    emit(Planned(model=pipeline.model, dagster_run_id=run.run_id, reasons=reasons))
    failures: list[str] = []
    if definition.executor_def.name == dg.in_process_executor.name:
        job = InMemoryJob(definition)  # spares loading all definitions again
    for event in execute_run_iterator(job, run, instance):
        _tell(event, pipeline.model, emit)
        if event.is_step_failure:
            failures.append(f"{_step_name(event)}: {_first_cause(event)}")
        elif event.is_job_failure and not failures:
            failures.append(_last_words(event))
    ended = instance.get_run_by_id(run.run_id)
    succeeded = ended is not None and ended.is_success
    return RunResult(run.run_id, succeeded, None if succeeded else "; ".join(failures))


def process_identity() -> str:
    """This process, told apart from a later one with the same number."""
    import psutil

    process = psutil.Process(os.getpid())
    return f"{process.pid}@{process.create_time():.0f}"


def is_process(identity: str) -> bool:
    """Whether the process that an identity names is alive."""
    import psutil

    pid, _, began = identity.partition("@")
    try:  # the kernel's clock of beginnings may be set by a second
        return abs(psutil.Process(int(pid)).create_time() - float(began)) < 2
    except (psutil.Error, ValueError):
        return False


def _tell(event: "dg.DagsterEvent", model: str, emit: Callable[[Event], None]) -> None:
    if event.is_step_start:
        emit(StepStarted(model=model, step=_step_name(event)))
    elif event.is_step_success:
        data: Any = event.step_success_data
        emit(
            StepEnded(model=model, step=_step_name(event), seconds=data.duration_ms / 1000, ok=True)
        )
    elif event.is_step_failure:
        emit(StepEnded(model=model, step=_step_name(event), seconds=0.0, ok=False))


def _step_name(event: "dg.DagsterEvent") -> str:
    """Name of the asset (or check) that a step makes: its key without the model."""
    key: Any = event.step_key or event.job_name
    return str(key).rpartition("__")[2]


def _last_words(event: "dg.DagsterEvent") -> str:
    """Why a run failed outside its steps."""
    error = event.job_failure_data.error
    return str(error.message).strip() if error is not None else str(event.message)


def _first_cause(event: "dg.DagsterEvent") -> str:
    """The message that says most: the one we raised on purpose, else the innermost cause's."""
    data: Any = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return str(error.message).strip() if error is not None else "it failed"

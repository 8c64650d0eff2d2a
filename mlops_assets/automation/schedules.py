"""The job that runs a model's whole pipeline, and its schedule."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.attributes import pod_tags
from mlops_assets.spec import ModelSpec
from mlops_assets.spec.operations import ScheduleSpec

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,  # what define_asset_job returns; not exported
    )

ASSETS = (
    "dataset",
    "features",
    "trained_model",
    "evaluation",
    "model_version",
    "inference_service",
)
MODEL_TAG = "mlops/model"  # one run at a time per value, by the instance's run queue


def job_name(model: str) -> str:
    """Name of the job that takes a model from its source to its service."""
    return f"{model}_pipeline"


def build_job(
    spec: ModelSpec, executor: dg.ExecutorDefinition | None = None
) -> "UnresolvedAssetJobDefinition":
    """The job `<model>_pipeline`: every asset of the model.

    Args:
        spec: The model.
        executor: What runs its steps; None takes that of the code location.
    """
    return dg.define_asset_job(
        job_name(spec.name),
        selection=dg.AssetSelection.assets(*[[spec.name, asset] for asset in ASSETS]),
        description=f"{spec.description} From the source to the service.",
        tags={MODEL_TAG: spec.name, **pod_tags(spec.kubernetes.run_resources())},
        executor_def=executor,
    )


def build_schedule(spec: ModelSpec) -> dg.ScheduleDefinition | None:
    """The schedule that the document declares, running from the start; None without one."""
    if spec.schedule is None:
        return None
    job = job_name(spec.name)
    return _schedule(spec, "schedule", spec.schedule, f"Runs {job}.", job_name=job)


def build_refresh(spec: ModelSpec) -> dg.ScheduleDefinition | None:
    """The schedule that refreshes the dataset alone, running from the start; None without one."""
    if spec.refresh is None:
        return None
    dataset = dg.AssetSelection.assets(dg.AssetKey([spec.name, "dataset"]))
    description = f"Refreshes the dataset of {spec.name}; trains nothing."
    tags = pod_tags(spec.kubernetes.pod_of(["dataset"]))  # the job, which carries them, is not run
    return _schedule(spec, "refresh", spec.refresh, description, tags, target=dataset)


def _schedule(
    spec: ModelSpec,
    name: str,
    when: ScheduleSpec,
    description: str,
    tags: Mapping[str, Any] = MappingProxyType({}),
    **runs: Any,
) -> dg.ScheduleDefinition:
    """One run per tick; of the newest whole partition when the dataset has partitions."""

    @dg.schedule(
        name=f"{spec.name}_{name}",
        cron_schedule=when.cron,
        execution_timezone=when.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
        tags={MODEL_TAG: spec.name},
        **runs,
    )
    def request(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(
            partition_key=newest_partition(spec, context.scheduled_execution_time),
            tags={MODEL_TAG: spec.name, **tags},
        )

    return request


def newest_partition(spec: ModelSpec, now: datetime) -> str | None:
    """Key of the newest partition that has ended; None without partitions."""
    partitions = dataset_partitions(spec)
    if partitions is None:
        return None
    with dg.partition_loading_context(effective_dt=now):
        return partitions.get_last_partition_key()


def dataset_partitions(spec: ModelSpec) -> dg.TimeWindowPartitionsDefinition | None:
    """The partitions of the dataset, as the document declares them."""
    declared = spec.source.partitions
    if declared is None:
        return None
    start = declared.start.isoformat()
    if declared.every == "day":
        return dg.DailyPartitionsDefinition(start_date=start)
    if declared.every == "week":  # counted from the weekday of the start, Sunday being 0
        return dg.WeeklyPartitionsDefinition(
            start_date=start, day_offset=declared.start.isoweekday() % 7
        )
    return dg.MonthlyPartitionsDefinition(start_date=start)

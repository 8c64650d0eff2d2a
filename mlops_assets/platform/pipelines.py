"""The models of a code location as the platform sees them: what they consist of, what is recorded.

Reads the Dagster instance and definitions, and hands plain values on: what is stale is decided in
`staleness.py`, a run is executed in `execution.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.platform.instance import CodeLocation
from mlops_assets.platform.staleness import AssetState, Made

if TYPE_CHECKING:
    import dagster as dg
    from dagster._core.definitions.reconstruct import ReconstructableRepository
    from dagster._core.remote_origin import RemoteRepositoryOrigin

MODEL_TAG = "mlops/model"
_FINGERPRINT = "mlops/source_fingerprint"
_CODE = "dagster/code_version"
_DATA = "dagster/data_version"
_INPUT = "dagster/input_data_version/"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One model's job and its assets, inputs first."""

    model: str
    job: str
    keys: "tuple[dg.AssetKey, ...]"


@dataclass(frozen=True, slots=True)
class PartitionRange:
    """Parts to make in one run, oldest first; the newest one again when none is missing."""

    keys: tuple[str, ...]
    n_missing: int


def load_location(location: CodeLocation) -> "ReconstructableRepository":
    """The definitions that Dagster's own processes load, loaded into this one."""
    from dagster._core.code_pointer import ModuleCodePointer
    from dagster._core.definitions.reconstruct import ReconstructableRepository

    folder = str(location.workspace.parent)
    pointer = ModuleCodePointer(location.module, location.attribute, folder)
    return ReconstructableRepository(pointer)


def repository_origin(location: CodeLocation) -> "RemoteRepositoryOrigin":
    """What Dagster's records call the code location's definitions, whoever loaded them."""
    from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
    from dagster._core.remote_origin import RemoteRepositoryOrigin
    from dagster._core.workspace.load import location_origins_from_yaml_paths

    (origin,) = location_origins_from_yaml_paths([str(location.workspace)])
    return RemoteRepositoryOrigin(origin, SINGLETON_REPOSITORY_NAME)


def find_pipelines(repository: "dg.RepositoryDefinition") -> list[Pipeline]:
    """The models of a repository: the jobs that carry the tag `mlops/model`."""
    graph = repository.asset_graph
    pipelines = []
    for job in repository.get_all_jobs():
        model = job.tags.get(MODEL_TAG)
        if model is not None:
            selected = job.asset_layer.selected_asset_keys
            keys = tuple(key for key in graph.toposorted_asset_keys if key in selected)
            pipelines.append(Pipeline(model, job.name, keys))
    return sorted(pipelines, key=lambda pipeline: pipeline.model)


def read_states(
    instance: "dg.DagsterInstance", repository: "dg.RepositoryDefinition", pipeline: Pipeline
) -> list[AssetState]:
    """What the instance knows about a model's assets. `lost` is left to the caller."""
    graph = repository.asset_graph
    names = {key: key.path[-1] for key in pipeline.keys}
    states = []
    for key in pipeline.keys:
        node = graph.get(key)
        entry = instance.get_latest_materialization_event(key)
        blocking = [check for check in node.check_keys if graph.get(check).blocking]
        failed, is_judged = _read_checks(instance, blocking, entry)
        states.append(
            AssetState(
                name=names[key],
                upstream=tuple(names[k] for k in pipeline.keys if k in node.parent_keys),
                code_version=node.code_version,
                made=_read_made(entry, names),
                failed_checks=failed,
                is_judged=is_judged,
                is_partitioned=node.is_partitioned,
            )
        )
    return states


def _read_made(entry: "dg.EventLogEntry | None", names: "dict[dg.AssetKey, str]") -> Made | None:
    materialization = entry.asset_materialization if entry is not None else None
    if materialization is None:
        return None
    tags = materialization.tags or {}
    inputs = {names[key]: tags.get(_INPUT + key.to_user_string()) for key in names}
    fingerprint: Any = materialization.metadata.get(_FINGERPRINT)
    return Made(
        code_version=tags.get(_CODE),
        data_version=tags.get(_DATA),
        inputs={name: version for name, version in inputs.items() if version is not None},
        source_fingerprint=None if fingerprint is None else str(fingerprint.value),
        made_at=entry.timestamp if entry is not None else 0.0,
    )


def _read_checks(
    instance: "dg.DagsterInstance",
    keys: "Sequence[dg.AssetCheckKey]",
    made: "dg.EventLogEntry | None",
) -> tuple[dict[str, str], bool]:
    """Reasons of the blocking checks that failed, and whether all have judged what was made."""
    if made is None or not keys:
        return {}, True
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys))
    failed: dict[str, str] = {}
    is_judged = True
    for key in keys:
        event = latest[key].event if key in latest else None
        dagster_event = event.dagster_event if event is not None else None
        if dagster_event is None or dagster_event.event_type_value != "ASSET_CHECK_EVALUATION":
            is_judged = False
            continue
        evaluation = dagster_event.asset_check_evaluation_data
        target = evaluation.target_materialization_data
        if target is None or target.timestamp < made.timestamp:
            is_judged = False
        elif not evaluation.passed:
            failed[key.name] = evaluation.description or "it failed"
    return failed, is_judged


def missing_partitions(
    instance: "dg.DagsterInstance",
    repository: "dg.RepositoryDefinition",
    pipeline: Pipeline,
    now: datetime,
) -> PartitionRange | None:
    """The parts of a model's assets that were never made; None when it has no parts."""
    for key in pipeline.keys:
        partitions = repository.asset_graph.get(key).partitions_def
        if partitions is not None:
            wanted = partitions.get_partition_keys(current_time=now)
            made = instance.get_materialized_partitions(key)
            missing = [part for part in wanted if part not in made]
            newest = wanted[-1:]
            return PartitionRange(tuple(missing or newest), n_missing=len(missing))
    return None

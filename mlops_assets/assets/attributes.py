"""What every asset of a model carries: key, group, owners, tags, code version, pod resources."""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Set
from datetime import timedelta
from typing import Any

import dagster as dg
from pydantic import BaseModel

from mlops_assets.errors import MlopsError
from mlops_assets.spec import ModelSpec
from mlops_assets.spec.import_paths import source_file
from mlops_assets.spec.operations import StepResources

MAXIMUM_MEMORY_TAG = "mlops/maximum_memory"
"""Tag of a step or a run: memory that its pod may grow to."""
MAXIMUM_EVICTIONS_TAG = "mlops/maximum_evictions"
"""Tag of a step: how often it runs again after its node, or a more important pod, ended it."""

# Raised by hand when what the step computes changes: it makes everything after it stale.
_STEP_VERSIONS = {
    "dataset": 1,
    "features": 1,
    "trained_model": 1,
    "evaluation": 1,
    "model_version": 1,
    "inference_service": 1,
    "prediction_log": 1,
    "drift_report": 1,
    "performance_report": 1,
    "latest_verdict": 1,
}
IMAGE_TAG = "dagster/image"  # which K8sRunLauncher writes when it makes the pod
# The parts of the document that each step's result depends on.
_STEP_FIELDS: dict[str, set[str] | dict[str, Any]] = {
    "dataset": {"name", "source", "contract", "time_column"},
    "features": {"features", "target", "time_column", "entity_key", "split", "evaluation"},
    "trained_model": {"model": True, "target": True, "retraining": {"training_window": True}},
    "evaluation": {"evaluation", "gates"},
    "model_version": {"registry"},
    "inference_service": {"serving"},
    "prediction_log": set(),
    "drift_report": {"monitoring"},
    "performance_report": {"monitoring"},
    "latest_verdict": set(),
}


def asset_attributes(
    spec: ModelSpec, asset: str, kinds: Set[str], record: type[BaseModel] | None
) -> dict[str, Any]:
    """Keyword arguments of `dg.asset` that all assets share.

    Args:
        spec: The model.
        asset: Name of the asset.
        kinds: Technologies that the Dagster UI shows.
        record: Class of the asset's record. It is passed apart from the annotation, since Dagster
            takes an asset with checks for one without a value when it reads `MaterializeResult`.
            None: it hands on nothing.
    """
    return {
        "key": [spec.name, asset],
        "group_name": spec.name,
        "owners": list(spec.owners),
        "tags": {"mlops/model": spec.name},
        "kinds": set(kinds),
        "code_version": code_version(spec, asset),
        "io_manager_key": "records",
        "dagster_type": dg.Nothing if record is None else record,
        "op_tags": _step_tags(spec, asset),
    }


def pod_tags(resources: StepResources) -> dict[str, Any]:
    """Tags that a pod with these resources is made by; empty when they ask for nothing."""
    tags: dict[str, Any] = {}
    if kubernetes := resources.to_dagster_k8s():
        tags["dagster-k8s/config"] = kubernetes
    if resources.maximum_memory is not None:
        tags[MAXIMUM_MEMORY_TAG] = resources.maximum_memory
    return tags


def _step_tags(spec: ModelSpec, asset: str) -> dict[str, Any] | None:
    """What a step's own pod is made by, and how often it may run again."""
    resources = spec.kubernetes.steps.get(asset)  # type: ignore[call-overload]
    if resources is None:
        return None
    tags = pod_tags(resources)
    if resources.maximum_evictions:
        tags[MAXIMUM_EVICTIONS_TAG] = str(resources.maximum_evictions)
    return tags or None


def code_version(spec: ModelSpec, asset: str) -> str:
    """What an asset's result depends on besides its inputs: the step, its part of the document and
    the source text of the module that the part names."""
    part = spec.model_dump(mode="json", include=_STEP_FIELDS[asset])
    estimator = spec.model.estimator
    named = {
        "dataset": spec.source.python.function if spec.source.python else None,
        "features": spec.features.function,
        "trained_model": None if estimator.startswith("sklearn.") else estimator,
    }
    text = json.dumps([part, _source_text(named.get(asset))], sort_keys=True)
    return f"{_STEP_VERSIONS[asset]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def image_of(run: dg.DagsterRun) -> str:
    """The container image that a run's code came from, with its digest where it was launched by
    one (`DAGSTER_CURRENT_IMAGE` of the code location); "none" on one machine."""
    origin = run.job_code_origin
    of_code_location = origin.repository_origin.container_image if origin is not None else None
    return run.tags.get(IMAGE_TAG) or of_code_location or "none"


def freshness_of(allowed: timedelta | None) -> dg.FreshnessPolicy | None:
    """Dagster's own policy for an allowed age; None without one."""
    return None if allowed is None else dg.FreshnessPolicy.time_window(fail_window=allowed)


def data_version(*parts: str) -> dg.DataVersion:
    """The data version that some digests make together."""
    return dg.DataVersion(hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16])


@contextlib.contextmanager
def readable_failures() -> Iterator[None]:
    """Shows an error that the user can act on as one message, and does not try again."""
    try:
        yield
    except MlopsError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error


def _source_text(path: str | None) -> str:
    """The source of the module that an import path names, found without importing anything."""
    file = None if path is None else source_file(path)
    if file is None:  # where it is missing, the step says so with the field's name
        return ""
    return file.read_text(encoding="utf-8", errors="replace")

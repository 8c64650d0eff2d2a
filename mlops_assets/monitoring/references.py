"""All that a version's windows are compared with, as its evaluation left it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlops_assets.errors import MonitoringError
from mlops_assets.modeling.manifest import FeatureField, ModelManifest
from mlops_assets.monitoring.answers import Subject
from mlops_assets.monitoring.at_evaluation import (
    DRIFT_FILE,
    PERFORMANCE_FILE,
    QUALITY_FILE,
    subject_of,
)
from mlops_assets.monitoring.drift_reference import DriftReference
from mlops_assets.monitoring.performance_reference import PerformanceReference
from mlops_assets.monitoring.quality_counts import QualityProfile


@dataclass(frozen=True, slots=True)
class References:
    """What a version's windows are compared with.

    Attributes:
        version: Its number in the registry.
        subject: What it answers.
        fields: Its raw features.
        drift: The rows that it was trained on.
        performance: How it did at its evaluation.
        quality: What its data looked like.
        mlflow_run_id: Run of its training; None: unknown.
    """

    version: str
    subject: Subject
    fields: Sequence[FeatureField]
    drift: DriftReference
    performance: PerformanceReference
    quality: QualityProfile
    mlflow_run_id: str | None = None


def read_references(
    version: str,
    manifest: ModelManifest,
    read_file: Callable[[str], bytes],
    mlflow_run_id: str | None = None,
) -> References:
    """The references of a version.

    Args:
        version: Its number in the registry.
        manifest: Of its package.
        read_file: Gives the files that its evaluation left, by name.
        mlflow_run_id: Run of its training.

    Raises:
        MonitoringError: one of them is not there, or cannot be read.
    """
    try:
        return References(
            version=version,
            subject=subject_of(manifest),
            fields=manifest.features,
            drift=DriftReference.from_storage(read_file(DRIFT_FILE).decode()),
            performance=PerformanceReference.from_storage(read_file(PERFORMANCE_FILE).decode()),
            quality=QualityProfile.model_validate_json(read_file(QUALITY_FILE)),
            mlflow_run_id=mlflow_run_id,
        )
    except (OSError, ValueError) as error:
        raise MonitoringError(
            f"what version {version} left at its evaluation cannot be read: {error}; train again"
        ) from error

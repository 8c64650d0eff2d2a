"""The schema of a model document: plain pydantic, no dagster."""

from mlops_assets.spec.base import Document
from mlops_assets.spec.data import (
    ColumnContract,
    ContractSpec,
    FeaturesSpec,
    SourceSpec,
    SplitSpec,
    TargetSpec,
)
from mlops_assets.spec.document import ModelSpec
from mlops_assets.spec.history import HistorySpec
from mlops_assets.spec.model import EstimatorSpec, EvaluationSpec, GatesSpec, PreprocessingSpec
from mlops_assets.spec.monitoring import DriftSpec, MonitoringSpec
from mlops_assets.spec.operations import KubernetesSpec, ServingSpec
from mlops_assets.spec.retraining import RetrainingSpec
from mlops_assets.spec.rollout import RolloutSpec

__all__ = [
    "ColumnContract",
    "ContractSpec",
    "Document",
    "DriftSpec",
    "EstimatorSpec",
    "EvaluationSpec",
    "FeaturesSpec",
    "GatesSpec",
    "HistorySpec",
    "KubernetesSpec",
    "ModelSpec",
    "MonitoringSpec",
    "PreprocessingSpec",
    "RetrainingSpec",
    "RolloutSpec",
    "ServingSpec",
    "SourceSpec",
    "SplitSpec",
    "TargetSpec",
]

"""One model document as a whole: `ModelSpec`."""

from typing import Literal, get_args

from pydantic import Field, model_validator

from mlops_assets.spec.base import Document, FieldProblem, Identifier, Owner, refusal
from mlops_assets.spec.data import ContractSpec, FeaturesSpec, SourceSpec, SplitSpec, TargetSpec
from mlops_assets.spec.history import HistorySpec
from mlops_assets.spec.model import EstimatorSpec, EvaluationSpec, GatesSpec, Metric, RegistrySpec
from mlops_assets.spec.monitoring import MonitoringSpec
from mlops_assets.spec.operations import (
    FreshnessSpec,
    KubernetesSpec,
    ScheduleSpec,
    ServingSpec,
)
from mlops_assets.spec.retraining import RetrainingSpec
from mlops_assets.spec.rollout import RolloutSpec

_CLASSIFICATION = {
    "roc_auc",
    "average_precision",
    "balanced_accuracy",
    "accuracy",
    "f1",
    "log_loss",
    "brier_score",
}


class ModelSpec(Document):
    """One model: where its data comes from, what it predicts, how it is judged and served."""

    name: Identifier
    """Name of the model: its folder, the first part of its asset keys, its group."""
    description: str = Field(min_length=1)
    """The question that the model answers, in one sentence."""
    owners: list[Owner] = Field(min_length=1)
    """Who answers for it: `team:<name>` or an e-mail address."""
    source: SourceSpec
    """Where the rows come from."""
    contract: ContractSpec = ContractSpec()
    """What the rows must satisfy."""
    features: FeaturesSpec
    """What the model sees."""
    target: TargetSpec
    """What the model predicts."""
    time_column: str | None = None
    """Column with the time at which the features of a row were known (UTC when it has no zone)."""
    entity_key: str | None = None
    """Column that names whom or what a row is about."""
    split: SplitSpec = SplitSpec()
    """Which rows train and which validate."""
    model: EstimatorSpec
    """What is fitted."""
    evaluation: EvaluationSpec = EvaluationSpec()
    """How it is measured."""
    gates: GatesSpec = GatesSpec()
    """What it must pass to be registered."""
    registry: RegistrySpec = RegistrySpec()
    """Where versions are registered."""
    serving: ServingSpec = ServingSpec()
    """How it is served."""
    rollout: RolloutSpec | None = None
    """How a new version reaches users; by default one that passes its gates serves at once."""
    retraining: RetrainingSpec | None = None
    """When it is trained again by itself, on evidence; by default never."""
    monitoring: MonitoringSpec = MonitoringSpec()
    """How it is watched once it serves."""
    history: HistorySpec = HistorySpec()
    """Its past as it truly came, for `mlops-assets backtest` and `replay`."""
    schedule: ScheduleSpec | None = None
    """When it runs by itself; by default only when asked."""
    refresh: ScheduleSpec | None = None
    """When its dataset alone is refreshed by itself, without training; by default never."""
    freshness: FreshnessSpec = FreshnessSpec()
    """When what Dagster shows is overdue; by default never."""
    kubernetes: KubernetesSpec = KubernetesSpec()
    """What its steps ask of a cluster."""

    @model_validator(mode="after")
    def _parts_agree(self) -> "ModelSpec":
        problems = [
            *self._split_problems(),
            *self._target_problems(),
            *self._time_problems(),
            *self._monitoring_problems(),
        ]
        if problems:
            raise refusal(problems)
        return self

    def _time_problems(self) -> list[FieldProblem]:
        if self.time_column is not None:
            return []
        needs = {
            ("source", "partitions"): self.source.partitions is not None,
            ("contract", "maximum_age"): self.contract.maximum_age is not None,
            ("retraining", "training_window"): self.retraining is not None
            and self.retraining.training_window.keep != "all",
            ("history",): self.history != HistorySpec(),
        }
        return [
            FieldProblem((*field,), "no time_column", f"{field[-1]} only with time_column")
            for field, is_set in needs.items()
            if is_set
        ]

    def _monitoring_problems(self) -> list[FieldProblem]:
        return [
            FieldProblem(("monitoring", "slices", position), name, "a feature")
            for position, name in enumerate(self.monitoring.slices)
            if name not in self.features.source_columns
        ]

    def _split_problems(self) -> list[FieldProblem]:
        split, problems = self.split, []
        if split.method == "time" and self.time_column is None:
            problems.append(FieldProblem(("split", "method"), "time", "time only with time_column"))
        if split.method == "grouped" and not (split.group or self.entity_key):
            allowed = "grouped only with split.group or entity_key"
            problems.append(FieldProblem(("split", "method"), "grouped", allowed))
        if split.validation_window is not None and self.split_method != "time":
            allowed = "validation_window only with split.method time"
            problems.append(FieldProblem(("split", "method"), self.split_method, allowed))
        return problems

    def _target_problems(self) -> list[FieldProblem]:
        problems = []
        column, task = self.target.column, self.target.task
        if column in self.features.source_columns:
            problems.append(
                FieldProblem(("target", "column"), column, "a column that is not a feature")
            )
        named: dict[tuple[str, ...], Metric | None] = {
            ("evaluation", "metric"): self.evaluation.metric,
            ("monitoring", "performance", "metric"): self.monitoring.performance.metric,
        }
        fitting = [m for m in get_args(Metric) if (m in _CLASSIFICATION) == (task != "regression")]
        allowed = f"with task {task} one of {', '.join(fitting)}"
        problems += [
            FieldProblem(field, metric, allowed)
            for field, metric in named.items()
            if metric is not None and metric not in fitting
        ]
        return problems

    @property
    def split_method(self) -> Literal["time", "stratified", "grouped"]:
        """The split in force: the declared one or its default."""
        if self.split.method is not None:
            return self.split.method
        if self.time_column is not None:
            return "time"
        return "grouped" if self.split.group or self.entity_key else "stratified"

    @property
    def metric(self) -> Metric:
        """The metric that gates compare: the declared one or the task's default."""
        if self.evaluation.metric is not None:
            return self.evaluation.metric
        return "r2" if self.target.task == "regression" else "roc_auc"

    @property
    def monitored_metric(self) -> Metric:
        """The metric that windows compare: the declared one, or that of the gates but r2."""
        if self.monitoring.performance.metric is not None:
            return self.monitoring.performance.metric
        return "mean_absolute_error" if self.metric == "r2" else self.metric

    @property
    def registered_model(self) -> str:
        """Name of the registered model in MLflow."""
        return self.registry.name or self.name

    @property
    def service(self) -> str:
        """Name of the InferenceService: the model's, with dashes."""
        return self.name.replace("_", "-")

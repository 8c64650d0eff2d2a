"""One model document as a whole: `ModelSpec`."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from mlops_assets.spec.base import Document, Identifier
from mlops_assets.spec.data import ContractSpec, FeaturesSpec, SourceSpec, SplitSpec, TargetSpec
from mlops_assets.spec.model import EstimatorSpec, EvaluationSpec, GatesSpec, Metric, RegistrySpec
from mlops_assets.spec.operations import KubernetesSpec, ScheduleSpec, ServingSpec

Owner = Annotated[str, StringConstraints(pattern=r"^(team:[\w.\-]+|[^@\s]+@[^@\s]+\.[^@\s]+)$")]

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
    schedule: ScheduleSpec | None = None
    """When it runs by itself; by default only when asked."""
    kubernetes: KubernetesSpec = KubernetesSpec()
    """What its steps ask of a cluster."""

    @model_validator(mode="after")
    def _parts_agree(self) -> "ModelSpec":
        problems = [*self._split_problems(), *self._target_problems()]
        if self.source.partitions is not None and self.time_column is None:
            problems.append("source.partitions needs time_column")
        if self.contract.maximum_age is not None and self.time_column is None:
            problems.append("contract.maximum_age needs time_column")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _split_problems(self) -> list[str]:
        problems = []
        if self.split.method == "time" and self.time_column is None:
            problems.append("split.method time needs time_column")
        if self.split.method == "grouped" and not (self.split.group or self.entity_key):
            problems.append("split.method grouped needs split.group or entity_key")
        if self.split.validation_window is not None and self.split_method != "time":
            problems.append("split.validation_window goes with split.method time")
        return problems

    def _target_problems(self) -> list[str]:
        problems = []
        if self.target.column in self.features.source_columns:
            problems.append(f"features must not hold the target {self.target.column!r}")
        is_class = self.target.task != "regression"
        if self.evaluation.metric and (self.evaluation.metric in _CLASSIFICATION) != is_class:
            problems.append(
                f"evaluation.metric {self.evaluation.metric} does not fit task {self.target.task}"
            )
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
    def registered_model(self) -> str:
        """Name of the registered model in MLflow."""
        return self.registry.name or self.name

    @property
    def service(self) -> str:
        """Name of the InferenceService: the model's, with dashes."""
        return self.name.replace("_", "-")

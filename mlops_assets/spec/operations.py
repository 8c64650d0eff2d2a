"""The operations part of a model document: serving, schedule and Kubernetes resources."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from mlops_assets.spec.base import Document, Duration, FieldProblem, TimeZone, refusal
from mlops_assets.spec.cron import require_cron

Step = Literal["dataset", "features", "trained_model", "evaluation", "model_version"]


class PredictionLogSpec(Document):
    """What is kept of each prediction."""

    start: date = Field(date(2026, 1, 1), strict=False)
    """First day (UTC) of the asset `prediction_log`; what was predicted before is kept as well."""
    retention: Duration | None = None
    """How long predictions and their truth are kept; by default for ever. Whole days (UTC) go."""
    leave_out: list[str] = Field(default_factory=list)
    """Features that are not logged."""
    hash: list[str] = Field(default_factory=list)
    """Features that are logged only as a keyed SHA-256, as `<feature>__sha256`."""

    @model_validator(mode="after")
    def _either_or(self) -> "PredictionLogSpec":
        both = sorted(set(self.leave_out) & set(self.hash))
        if both:
            raise refusal([FieldProblem(("hash",), both, "features that are not in leave_out")])
        return self


class ServingSpec(Document):
    """The InferenceService that answers predictions."""

    minimum_replicas: int = Field(1, ge=1)
    """Pods that always run (cluster)."""
    maximum_replicas: int = Field(3, ge=1)
    """Pods at most (cluster)."""
    ready_timeout_seconds: int = Field(60, ge=1, le=3600)
    """How long a new revision may take until it answers its probe."""
    cpu: str = "500m"
    """CPU that a predictor asks for and may use."""
    memory: str = "512Mi"
    """Memory that a predictor asks for and may use."""
    prediction_log: PredictionLogSpec = PredictionLogSpec()
    """What is kept of each prediction."""


class ScheduleSpec(Document):
    """When the whole pipeline runs by itself."""

    cron: Annotated[str, AfterValidator(require_cron)]
    """Cron expression of five fields: minute, hour, day of month, month, day of week."""
    timezone: TimeZone = "UTC"
    """IANA time zone of the cron expression."""


class StepResources(Document):
    """What one step asks of Kubernetes."""

    cpu: str | None = None
    """CPU requested and allowed, such as 2 or 500m."""
    memory: str | None = None
    """Memory requested and allowed, such as 4Gi."""
    gpu: int | None = Field(None, ge=0)
    """Number of GPUs."""
    node_selector: dict[str, str] = Field(default_factory=dict)
    """Labels of the nodes that may run it."""
    tolerations: list[dict[str, JsonValue]] = Field(default_factory=list)
    """Taints of nodes that it tolerates."""

    def to_dagster_k8s(self) -> dict[str, Any]:
        """The value of the tag `dagster-k8s/config`; empty when nothing is asked for."""
        quantities = {"cpu": self.cpu, "memory": self.memory, "nvidia.com/gpu": self.gpu}
        amounts = {name: str(value) for name, value in quantities.items() if value is not None}
        config: dict[str, Any] = {}
        if amounts:
            config["container_config"] = {"resources": {"requests": amounts, "limits": amounts}}
        pod: dict[str, Any] = {}
        if self.node_selector:
            pod["node_selector"] = dict(self.node_selector)
        if self.tolerations:
            pod["tolerations"] = [dict(toleration) for toleration in self.tolerations]
        if pod:
            config["pod_spec_config"] = pod
        return config


class KubernetesSpec(Document):
    """Resources of the pods that run this model's steps. Ignored on one machine."""

    run: StepResources = StepResources()
    """Resources of the run's pod, in which steps without a pod of their own run."""
    steps: dict[Step, StepResources] = Field(default_factory=dict)
    """Resources of single steps, by asset name."""

"""The operations part of a model document: serving, schedule and Kubernetes resources."""

import functools
from collections.abc import Collection
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from mlops_assets.spec.base import Document, Duration, FieldProblem, TimeZone, refusal
from mlops_assets.spec.cron import require_cron
from mlops_assets.spec.quantity import Cpu, Memory, cpu_cores, memory_bytes

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
    cpu: Cpu = "500m"
    """CPU that a predictor asks for and may use."""
    memory: Memory = "512Mi"
    """Memory that a predictor asks for and may use."""
    prediction_log: PredictionLogSpec = PredictionLogSpec()
    """What is kept of each prediction."""

    @model_validator(mode="after")
    def _room_to_scale(self) -> "ServingSpec":
        if self.maximum_replicas < self.minimum_replicas:
            allowed = f"at least minimum_replicas, {self.minimum_replicas}"
            raise refusal([FieldProblem(("maximum_replicas",), self.maximum_replicas, allowed)])
        return self


class ScheduleSpec(Document):
    """When a run begins by itself."""

    cron: Annotated[str, AfterValidator(require_cron)]
    """Cron expression of five fields: minute, hour, day of month, month, day of week."""
    timezone: TimeZone = "UTC"
    """IANA time zone of the cron expression."""


class FreshnessSpec(Document):
    """How old what Dagster shows may become before it is called overdue there. 1m at least."""

    dataset: Duration | None = Field(None, ge=timedelta(minutes=1))
    """Age of the newest snapshot of the dataset."""
    monitoring: Duration | None = Field(None, ge=timedelta(minutes=1))
    """Age of the newest `latest_verdict`."""


class StepResources(Document):
    """What one step asks of Kubernetes."""

    cpu: Cpu | None = None
    """CPU requested, such as 2 or 500m. It may use more where there is more."""
    memory: Memory | None = None
    """Memory requested and allowed, such as 4Gi."""
    gpu: int | None = Field(None, ge=0)
    """Number of GPUs."""
    node_selector: dict[str, str] = Field(default_factory=dict)
    """Labels of the nodes that may run it."""
    tolerations: list[dict[str, JsonValue]] = Field(default_factory=list)
    """Taints of nodes that it tolerates."""
    maximum_memory: Memory | None = None
    """Memory that it may grow to: killed for memory, it runs again with twice as much, up to this.
    By default a step with a pod of its own fails, and a run is repeated as it was."""
    maximum_evictions: int = Field(0, ge=0)
    """How often a step with a pod of its own runs again after its node, or a more important pod,
    ended it."""

    @model_validator(mode="after")
    def _grows_from_something(self) -> "StepResources":
        if self.maximum_memory is None:
            return self
        if self.memory is None:
            raise refusal([FieldProblem(("memory",), None, "an amount, as maximum_memory is set")])
        if memory_bytes(self.maximum_memory) < memory_bytes(self.memory):
            allowed = f"an amount of at least memory, {self.memory}"
            raise refusal([FieldProblem(("maximum_memory",), self.maximum_memory, allowed)])
        return self

    def to_dagster_k8s(self) -> dict[str, Any]:
        """The value of the tag `dagster-k8s/config`; empty when nothing is asked for."""
        hard = {"memory": self.memory, "nvidia.com/gpu": self.gpu}
        limits = {name: str(value) for name, value in hard.items() if value is not None}
        requests = {**limits, **({"cpu": self.cpu} if self.cpu is not None else {})}
        resources = {"requests": requests, "limits": limits}
        amounts = {name: value for name, value in resources.items() if value}
        config: dict[str, Any] = {"container_config": {"resources": amounts}} if amounts else {}
        pod: dict[str, Any] = {}
        if self.node_selector:
            pod["node_selector"] = dict(self.node_selector)
        if self.tolerations:
            pod["tolerations"] = [dict(toleration) for toleration in self.tolerations]
        if pod:
            config["pod_spec_config"] = pod
        return config


class KubernetesSpec(Document):
    """The pods that run this model's steps. Ignored on one machine."""

    step_pods: bool = False
    """Whether each step of a run of the model's job has a pod of its own; otherwise all share the
    run's, as they do when the dataset is refreshed or the model is retrained."""
    run: StepResources = StepResources()
    """Resources of the run's pod. Without step_pods it gets the largest of these and of the
    steps' amounts, and what any of them says of nodes, since all of them run in it."""
    steps: dict[Step, StepResources] = Field(default_factory=dict)
    """Resources of single steps, by asset name."""

    def run_resources(self) -> StepResources:
        """What the pod of a run of the model's job asks for."""
        return self.run if self.step_pods else self.pod_of(self.steps)

    def pod_of(self, steps: Collection[str]) -> StepResources:
        """What a pod asks for in which these steps run: the largest amounts of `run` and theirs."""
        declared = (found for step, found in self.steps.items() if step in steps)
        return functools.reduce(_larger, declared, self.run)


def _larger(one: StepResources, other: StepResources) -> StepResources:
    """What a pod needs in which two steps run, one after the other."""
    tolerations = one.tolerations + [t for t in other.tolerations if t not in one.tolerations]
    return one.model_copy(
        update={
            "cpu": max(filter(None, (one.cpu, other.cpu)), key=cpu_cores, default=None),
            "memory": max(filter(None, (one.memory, other.memory)), key=memory_bytes, default=None),
            "maximum_memory": max(
                filter(None, (one.maximum_memory, other.maximum_memory)),
                key=memory_bytes,
                default=None,
            ),
            "gpu": max((n for n in (one.gpu, other.gpu) if n is not None), default=None),
            "node_selector": {**one.node_selector, **other.node_selector},
            "tolerations": tolerations,
        }
    )

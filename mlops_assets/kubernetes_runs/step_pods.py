"""The executor that gives each step a pod of its own: dagster-k8s's, and what it leaves out.

What differs from `k8s_job_executor`:

- a step whose pod does not start within a limit fails, with Kubernetes' reason, and its Job is
  deleted; otherwise the run would wait for ever;
- a step that was killed for memory or evicted is called so, with its memory; it runs again, with
  more memory, as far as its tags allow (`retrying.py`), although its worker, which gets SIGTERM
  before it is evicted, tells a failure of its own;
- a step whose process ended without telling how fails, instead of being waited for;
- an API server that is away is waited for, both to start steps and to ask about them.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import dagster as dg
from dagster._core.definitions.executor_definition import multiple_process_executor_requirements
from dagster._core.events import DagsterEvent
from dagster._core.execution.context.system import IStepContext
from dagster._core.execution.plan.objects import StepRetryData
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.retries import RetryMode
from dagster._core.execution.step_dependency_config import StepDependencyConfig
from dagster._core.executor.step_delegating import (
    CheckStepHealthResult,
    StepDelegatingExecutor,
    StepHandlerContext,
)
from dagster_k8s import k8s_job_executor  # noqa: TID253 - loaded on a cluster only
from dagster_k8s.container_context import K8sContainerContext  # noqa: TID253
from dagster_k8s.executor import K8sStepHandler  # noqa: TID253
from dagster_k8s.job import UserDefinedDagsterK8sConfig  # noqa: TID253
from dagster_shared.error import SerializableErrorInfo
from dagster_shared.record import replace

from mlops_assets.assets.attributes import MAXIMUM_EVICTIONS_TAG, MAXIMUM_MEMORY_TAG
from mlops_assets.kubernetes_runs.jobs_api import read_worker
from mlops_assets.kubernetes_runs.launcher import KubernetesRunLauncher
from mlops_assets.kubernetes_runs.patient_client import PatientClient
from mlops_assets.kubernetes_runs.pod_memory import memory_limit, with_memory
from mlops_assets.kubernetes_runs.retrying import (
    RetryDecision,
    RetryPolicy,
    decide_retry,
    memory_after,
)
from mlops_assets.kubernetes_runs.worker import Outcome, WorkerVerdict, judge
from mlops_assets.resources.step_ends import count_ends, is_interruption

_HEALTH_CHECK_SECONDS = 10
_PAUSE_BEFORE_RETRY_SECONDS = 1
_CONFIG = {
    **k8s_job_executor.config_schema.config_type.fields,
    "health_check_seconds": dg.Field(
        dg.IntSource,
        is_required=False,
        default_value=_HEALTH_CHECK_SECONDS,
        description="Pause between two looks at the pods of running steps.",
    ),
    "start_timeout_seconds": dg.Field(
        dg.IntSource,
        is_required=False,
        description="How long a step's pod may take to start; the run launcher's by default.",
    ),
}


class StepPodHandler(K8sStepHandler):
    """Starts, judges and ends the pods of steps."""

    def __init__(
        self, launcher: KubernetesRunLauncher, start_timeout_seconds: int, **config: Any
    ) -> None:
        super().__init__(
            load_incluster_config=launcher.load_incluster_config,
            kubeconfig_file=launcher.kubeconfig_file,
            **config,
        )
        self._launcher = launcher
        self._start_timeout_seconds = start_timeout_seconds
        self._api_client = PatientClient(launcher.api_patience_seconds)
        self._former: dict[str, list[Outcome]] = defaultdict(list)  # by step key
        self._decisions: dict[str, RetryDecision] = {}
        self._silent_since: dict[str, float] = {}  # by name of the Job

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """Create the Job of a step."""
        args = step_handler_context.execute_step_args
        if self._former[self._get_step_key(step_handler_context)]:
            # Dagster's guard against a Job that starts its pod twice compares with the number of
            # starts; a worker that died before it wrote one looks to it like such a second pod.
            step_handler_context._execute_step_args = replace(args, should_verify_step=False)
        yield from super().launch_step(step_handler_context)

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        """Whether a step's worker can still bring a result; if not, its Job is deleted."""
        key = self._get_step_key(step_handler_context)
        name = self._get_k8s_step_job_name(step_handler_context)
        api = self._launcher.api(self._get_container_context(step_handler_context).namespace)
        verdict = judge(read_worker(api, name), datetime.now(UTC), self._start_timeout_seconds)
        if verdict.outcome in ("running", "waiting"):
            return CheckStepHealthResult.healthy()
        if self._has_told_its_end(step_handler_context):
            return CheckStepHealthResult.healthy()  # the executor is about to read it
        if verdict.outcome == "completed":
            since = self._silent_since.setdefault(name, time.monotonic())
            if time.monotonic() - since < _HEALTH_CHECK_SECONDS:
                return CheckStepHealthResult.healthy()
            verdict = WorkerVerdict("failed", f"{verdict.reason} without a result of the step")
        if verdict.outcome == "never_started":
            self._api_client.delete_job(name, api.namespace)
        policy = self._policy(step_handler_context)
        self._decisions[key] = decide_retry(verdict, self._former[key], policy)
        self._former[key].append(verdict.outcome)
        return CheckStepHealthResult.unhealthy(self._decisions[key].reason)

    def take_decision(self, step_key: str) -> RetryDecision | None:
        """What was decided about a step that was just found unhealthy; None when it was not."""
        return self._decisions.pop(step_key, None)

    def _policy(self, step_handler_context: StepHandlerContext) -> RetryPolicy:
        """What a step's tags allow, and the memory that it has at first."""
        tags = step_handler_context.step_tags[self._get_step_key(step_handler_context)]
        config = super()._get_container_context(step_handler_context).run_k8s_config
        most = int(tags.get(MAXIMUM_EVICTIONS_TAG, 0))
        return RetryPolicy(memory_limit(config), tags.get(MAXIMUM_MEMORY_TAG), most)

    def _get_container_context(
        self, step_handler_context: StepHandlerContext
    ) -> K8sContainerContext:
        """The settings of a step's pod, with the memory that its former ends call for."""
        context = super()._get_container_context(step_handler_context)
        former = self._former[self._get_step_key(step_handler_context)]
        if "out_of_memory" not in former:
            return context
        policy = self._policy(step_handler_context)
        return with_memory(context, memory_after(former.count("out_of_memory"), policy))

    def _has_told_its_end(self, context: StepHandlerContext) -> bool:
        """Whether as many ends of the step are in the event log as it had workers."""
        key = self._get_step_key(context)
        args = context.execute_step_args
        n_ends = count_ends(context.instance, args.run_id, key)
        retries = args.known_state.get_retry_state() if args.known_state else None
        return n_ends > (retries.get_attempt_count(key) if retries else 0)


class StepPodExecutor(StepDelegatingExecutor):
    """Lets steps run again whose workers died of what more memory or another node cures."""

    def _pop_events(
        self, instance: dg.DagsterInstance, run_id: str, seen_storage_ids: set[int]
    ) -> Sequence[DagsterEvent]:
        """The run's new events, without failures by a signal: the pod tells what they mean."""
        events = super()._pop_events(instance, run_id, seen_storage_ids)
        return [event for event in events if not is_interruption(event)]

    def log_failure_or_retry_event_after_error(
        self, step_context: IStepContext, err_info: SerializableErrorInfo, known_state: Any
    ) -> DagsterEvent:
        """Called when a step was found unhealthy: its failure, or that it runs again."""
        handler = cast("StepPodHandler", self._step_handler)
        decision = handler.take_decision(step_context.step.key)
        if decision is None:
            return super().log_failure_or_retry_event_after_error(
                step_context, err_info, cast("KnownExecutionState", known_state)
            )
        told = err_info._replace(message=f"Step {step_context.step.key}: {decision.reason}")
        if decision.again and not self.retries.disabled:
            data = StepRetryData(error=told, seconds_to_wait=_PAUSE_BEFORE_RETRY_SECONDS)
            return DagsterEvent.step_retry_event(step_context, data)
        return super().log_failure_or_retry_event_after_error(
            step_context, told, cast("KnownExecutionState", known_state)
        )


@dg.executor(
    name="step_pods",
    config_schema=_CONFIG,
    requirements=multiple_process_executor_requirements(),
)
def step_pod_executor(init_context: dg.InitExecutorContext) -> dg.Executor:
    """Runs each step in a pod of its own. Needs `KubernetesRunLauncher` as the run launcher."""
    launcher = init_context.instance.run_launcher
    if not isinstance(launcher, KubernetesRunLauncher):
        raise dg.DagsterInvariantViolationError(
            "steps in pods of their own need KubernetesRunLauncher in dagster.yaml; found "
            f"{type(launcher).__name__}"
        )
    config: Any = init_context.executor_config
    context = K8sContainerContext(
        namespace=config.get("job_namespace"),
        run_k8s_config=UserDefinedDagsterK8sConfig.from_dict(config.get("step_k8s_config", {})),
        **{name: config.get(name) for name in _POD_SETTINGS},
    )
    timeout = config.get("start_timeout_seconds", launcher.start_timeout_seconds)
    handler = StepPodHandler(
        launcher,
        timeout,
        image=config.get("job_image"),
        container_context=context,
        per_step_k8s_config=config.get("per_step_k8s_config", {}),
        enable_owner_references=bool(config.get("enable_owner_references")),
    )
    return StepPodExecutor(
        handler,
        retries=cast("RetryMode", RetryMode.from_config(config["retries"])),
        check_step_health_interval_seconds=config["health_check_seconds"],
        max_concurrent=config.get("max_concurrent"),
        tag_concurrency_limits=config.get("tag_concurrency_limits"),
        should_verify_step=True,
        step_dependency_config=StepDependencyConfig.from_config(
            config.get("step_dependency_config")
        ),
    )


_POD_SETTINGS = (
    "image_pull_policy", "image_pull_secrets", "service_account_name", "env_config_maps",
    "env_secrets", "env_vars", "volume_mounts", "volumes", "labels", "resources",
    "scheduler_name", "security_context",
)  # fmt: skip

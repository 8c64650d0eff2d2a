"""What the executor makes of the end of a step's worker, and of what it told before."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.events import DagsterEvent
from dagster._core.execution.api import create_execution_plan
from dagster._core.execution.plan.objects import ErrorSource, StepFailureData
from dagster._core.executor.step_delegating import CheckStepHealthResult, StepHandlerContext
from dagster._grpc.types import ExecuteStepArgs
from dagster_k8s.container_context import K8sContainerContext  # noqa: TID253

from mlops_assets.kubernetes_runs import step_pods
from mlops_assets.kubernetes_runs.launcher import KubernetesRunLauncher
from mlops_assets.kubernetes_runs.step_pods import StepPodHandler
from mlops_assets_tests.kubernetes.kinds import Object
from mlops_assets_tests.kubernetes.kubeconfig import write_kubeconfig
from mlops_assets_tests.kubernetes.server import ApiServer
from mlops_assets_tests.kubernetes_runs.toy_job import toy

(STEP,) = create_execution_plan(toy).get_steps_to_execute_in_topo_order()
_FAILURE: Any = StepFailureData
SIGNALLED = _FAILURE(None, None, ErrorSource.INTERRUPT)
WRONG = _FAILURE(None, None, ErrorSource.USER_CODE_ERROR)
COMPLETED = {"conditions": [{"type": "Complete", "status": "True"}], "succeeded": 1}
TAKEN_AWAY = {
    "conditions": [
        {
            "type": "Failed", "status": "True", "reason": "PodFailurePolicy",
            "message": "Pod default/p has condition DisruptionTarget matching FailJob rule",
        }
    ],
    "failed": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """A step that was started, with its Job on an API server that nothing stands behind."""

    api: ApiServer
    handler: StepPodHandler
    context: StepHandlerContext

    def end(self, status: Object) -> None:
        """Write the Job's last status."""
        name = self.handler._get_k8s_step_job_name(self.context)
        self.api.objects.set_status(self.api.objects.kind("jobs"), "default", name, status)

    def tell(self, data: StepFailureData) -> None:
        """Write a failure as the step's worker does."""
        event = DagsterEvent("STEP_FAILURE", toy.name, STEP.handle, event_specific_data=data)
        run = self.context.dagster_run
        self.context.instance.report_dagster_event(event, run.run_id)

    def health(self) -> CheckStepHealthResult:
        return self.handler.check_step_health(self.context)


@pytest.fixture
def step(api: ApiServer, tmp_path: Path) -> Iterator[Step]:
    config = {
        "instance_config_map": "x", "dagster_home": str(tmp_path), "service_account_name": "x",
        "load_incluster_config": False,
        "kubeconfig_file": str(write_kubeconfig(tmp_path / "kubeconfig", api.url)),
    }  # fmt: skip
    launcher = {"module": "mlops_assets.kubernetes_runs.launcher", "class": "KubernetesRunLauncher"}
    settings = {"run_launcher": {**launcher, "config": config}}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert isinstance(instance.run_launcher, KubernetesRunLauncher)
        run = instance.create_run_for_job(toy, status=dg.DagsterRunStatus.STARTED)
        handler = StepPodHandler(
            instance.run_launcher, 60, image="x", container_context=K8sContainerContext()
        )
        origin = dg.reconstructable(toy).get_python_origin()
        started = ExecuteStepArgs(origin, run.run_id, [STEP.key])
        plan: Any = SimpleNamespace(for_step=lambda step: SimpleNamespace(step=step))
        step = Step(api, handler, StepHandlerContext(instance, plan, [STEP], started, run))
        template: Object = {"spec": {"containers": [{}]}}
        name = handler._get_k8s_step_job_name(step.context)
        job = {"metadata": {"name": name}, "spec": {"template": template}}
        api.objects.create(api.objects.kind("jobs"), "default", job)
        yield step


def test_a_worker_that_ended_without_a_result_is_not_waited_for(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    step.end(COMPLETED)
    assert step.health().is_healthy  # its last event may be on its way
    monkeypatch.setattr(step_pods, "_HEALTH_CHECK_SECONDS", 0)
    assert "completed without a result of the step" in str(step.health().unhealthy_reason)
    decision = step.handler.take_decision(STEP.key)
    assert decision is not None
    assert not decision.again


def test_a_step_that_told_its_end_is_left_to_the_executor(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_pods, "_HEALTH_CHECK_SECONDS", 0)
    step.tell(WRONG)
    for status in (COMPLETED, TAKEN_AWAY):
        step.end(status)
        assert step.health().is_healthy


def test_a_failure_by_a_signal_does_not_hide_an_eviction(step: Step) -> None:
    step.tell(SIGNALLED)
    assert step.health().is_healthy  # it still ends
    step.end(TAKEN_AWAY)
    words = "limit: none); eviction 1, allowed: 0"
    assert words in str(step.health().unhealthy_reason)

"""What dagster-k8s's own executor knows of a step's worker: why there is one of ours.

`test_faults.py` has the same faults with ours.
"""

from pathlib import Path
from typing import Any

import pytest
from dagster_k8s.container_context import K8sContainerContext  # noqa: TID253
from dagster_k8s.executor import K8sStepHandler  # noqa: TID253

from mlops_assets_tests.kubernetes.kinds import Object
from mlops_assets_tests.kubernetes.kubeconfig import write_kubeconfig
from mlops_assets_tests.kubernetes.server import ApiServer


class HandlerByName(K8sStepHandler):  # type: ignore[misc]
    """The stock handler, asked about a Job by its name."""

    def _get_step_key(self, step_handler_context: Any) -> str:
        return f"step of {step_handler_context}"

    def _get_k8s_step_job_name(self, step_handler_context: Any) -> str:
        return str(step_handler_context)

    def _get_container_context(self, _: Any) -> K8sContainerContext:
        return K8sContainerContext(namespace="default")


FAILED = {"failed": 1, "conditions": [{"type": "Failed", "status": "True"}]}
KILLED = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
NO_IMAGE = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}


@pytest.mark.parametrize(
    ("job", "pod", "words"),
    [
        pytest.param(FAILED, ("Failed", KILLED), "Discovered failed Kubernetes job", id="killed"),
        pytest.param({"active": 1}, ("Pending", NO_IMAGE), None, id="never_started_is_healthy"),
    ],
)
def test_it_tells_no_reason_and_waits_for_ever(
    api: ApiServer, tmp_path: Path, job: Object, pod: tuple[str, Object], words: str | None
) -> None:
    jobs, pods, name = api.objects.kind("jobs"), api.objects.kind("pods"), "worker"
    spec = {"template": {"spec": {"containers": [{"name": "dagster"}]}}}
    api.objects.create(jobs, "default", {"metadata": {"name": name}, "spec": spec})
    api.objects.set_status(jobs, "default", name, job)
    labels = {"job-name": name}
    body = {"metadata": {"name": name, "labels": labels}, "spec": {"containers": [{}]}}
    api.objects.create(pods, "default", body)
    statuses = [{"name": "dagster", "state": pod[1]}]
    api.objects.set_status(pods, "default", name, {"phase": pod[0], "containerStatuses": statuses})
    handler = HandlerByName(
        image="x",
        container_context=K8sContainerContext(namespace="default"),
        load_incluster_config=False,
        kubeconfig_file=str(write_kubeconfig(tmp_path / "kubeconfig", api.url)),
    )
    found = handler.check_step_health(name)
    assert found.is_healthy == (words is None)
    if words is not None:
        assert words in found.unhealthy_reason
        assert "OOMKilled" not in found.unhealthy_reason

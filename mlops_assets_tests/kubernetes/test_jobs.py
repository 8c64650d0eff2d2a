"""Jobs and their pods behave to the official client as those of a real cluster do.

Expectations follow a real API server, job controller and kubelet of Kubernetes 1.36.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlops_assets_tests.kubernetes.job_cluster import (
    JobCluster,
    eventually,
    running_job_cluster,
)
from mlops_assets_tests.kubernetes.kinds import Kind, Object
from mlops_assets_tests.kubernetes.namespaces import isolation
from mlops_assets_tests.kubernetes.processes import Image
from mlops_assets_tests.kubernetes.refusal import Refusal

IMAGE = "shell"
# Ends when it is told to, as `sleep`, which is process 1 and has no handler, does not.
WAIT = "trap exit TERM; while :; do sleep 0.1; done"


class Client:
    """The official client's APIs, bound to one cluster."""

    def __init__(self, cluster: JobCluster) -> None:
        from kubernetes import client, config

        self.api = config.new_client_from_config(str(cluster.kubeconfig))
        self.core, self.batch = client.CoreV1Api(self.api), client.BatchV1Api(self.api)

    def start(self, name: str, script: str, container: Any = (), **spec: Any) -> None:
        command = ["/bin/sh", "-c", script]
        main = {"name": "main", "image": IMAGE, "command": command, **dict(container)}
        pod = {"restartPolicy": "Never", "containers": [main]}
        body = {
            "metadata": {"name": name},
            "spec": {"backoffLimit": 0, "template": {"spec": pod}, **spec},
        }
        self.batch.create_namespaced_job("default", body)

    def ended(self, name: str) -> Any:
        def look() -> Any:
            status = self.batch.read_namespaced_job_status(name, "default").status
            kinds = [c.type for c in status.conditions or []]
            return status if {"Complete", "Failed"} & set(kinds) else None

        return eventually(look)

    def pod(self, job: str) -> Any:
        pods = self.core.list_namespaced_pod
        return eventually(lambda: pods("default", label_selector=f"job-name={job}").items)[0]

    def running(self, job: str) -> Any:
        pods = self.core.list_namespaced_pod
        selector = f"job-name={job}"
        return eventually(
            lambda: next(
                (
                    pod
                    for pod in pods("default", label_selector=selector).items
                    if pod.status.phase == "Running"
                ),
                None,
            )
        )

    def log(self, job: str, **more: Any) -> str:
        name = self.pod(job).metadata.name
        answer = self.core.read_namespaced_pod_log(name, "default", _preload_content=False, **more)
        return str(answer.data.decode())


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobCluster]:
    images = {IMAGE: Image({"PATH": os.defpath, "FROM_IMAGE": "yes"})}
    with running_job_cluster(images, tmp_path_factory.mktemp("pods")) as running:
        yield running


@pytest.fixture
def client(cluster: JobCluster) -> Client:
    return Client(cluster)


def test_a_job_runs_its_command_with_its_environment_and_completes(client: Client) -> None:
    client.core.create_namespaced_secret(
        "default", {"metadata": {"name": "s"}, "stringData": {"password": "pw"}}
    )
    env = [
        {"name": "P", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}},
        {"name": "Q", "value": "<$(P)>"},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    source = [{"secretRef": {"name": "s"}, "prefix": "S_"}]
    script = "echo first; echo $FROM_IMAGE $Q $S_password $POD [$HOME]"
    client.start("ok", script, {"env": env, "envFrom": source})
    status = client.ended("ok")
    assert (status.succeeded, status.failed, status.active) == (1, None, None)
    assert [c.type for c in status.conditions] == ["SuccessCriteriaMet", "Complete"]
    pod = client.pod("ok")
    assert pod.metadata.owner_references[0].name == "ok"
    assert pod.status.container_statuses[0].state.terminated.reason == "Completed"
    assert client.log("ok") == f"first\nyes <pw> pw {pod.metadata.name} []\n"
    assert client.log("ok", tail_lines=1).startswith("yes")


def test_a_failed_job_says_so_by_condition_and_count(client: Client) -> None:
    client.start("bad", "exit 3")
    status = client.ended("bad")
    assert (status.failed, status.conditions[-1].reason) == (1, "BackoffLimitExceeded")
    assert client.pod("bad").status.container_statuses[0].state.terminated.exit_code == 3
    client.start("twice", "exit 3", backoffLimit=1)
    assert client.ended("twice").failed == 2


def test_more_memory_than_the_limit_is_killed(client: Client) -> None:
    limit = {"resources": {"limits": {"memory": "30Mi"}}}
    script = "import time; x = bytearray(90 << 20); time.sleep(60)"
    client.start("hungry", "", {"command": [sys.executable, "-c", script], **limit})
    client.ended("hungry")
    terminated = client.pod("hungry").status.container_statuses[0].state.terminated
    assert (terminated.exit_code, terminated.reason) == (137, "OOMKilled")


TELLS_ITS_END = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done"
DISRUPTION = {"type": "DisruptionTarget", "status": "True"}
FAILS_WHEN_TAKEN_AWAY = {"rules": [{"action": "FailJob", "onPodConditions": [DISRUPTION]}]}


def test_an_evicted_pod_gets_sigterm_and_names_its_node_s_distress(
    cluster: JobCluster, client: Client
) -> None:
    client.start("evicted", TELLS_ITS_END)
    pod = client.running("evicted").metadata.name
    eventually(lambda: client.log("evicted") == "up\n")
    cluster.processes.evict(pod)
    assert client.ended("evicted").conditions[-1].reason == "BackoffLimitExceeded"
    status = client.pod("evicted").status
    assert (status.phase, status.reason) == ("Failed", "Evicted")
    assert "low on resource: memory" in status.message
    assert client.log("evicted") == "up\nbye\n"


def test_a_preempted_pod_is_gone_and_its_job_s_policy_tells_why(
    cluster: JobCluster, client: Client
) -> None:
    client.start("preempted", TELLS_ITS_END, podFailurePolicy=FAILS_WHEN_TAKEN_AWAY)
    pod = client.running("preempted").metadata.name
    eventually(lambda: client.log("preempted") == "up\n")
    cluster.processes.preempt(pod)
    condition = client.ended("preempted").conditions[-1]
    assert (condition.type, condition.reason) == ("Failed", "PodFailurePolicy")
    words = f"Pod default/{pod} has condition DisruptionTarget matching FailJob rule at index 0"
    assert condition.message == words
    pods = client.core.list_namespaced_pod
    eventually(lambda: not pods("default", label_selector="job-name=preempted").items)


def test_a_deadline_fails_a_job_without_a_count(client: Client) -> None:
    client.start("late", "true", {"image": "no-such-image"}, activeDeadlineSeconds=1)
    status = client.ended("late")
    assert (status.conditions[-1].reason, status.failed, status.active) == (
        "DeadlineExceeded",
        None,
        None,
    )


def test_a_deleted_pod_gets_sigterm_first_and_stays_until_it_ended(
    client: Client, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    told.touch()
    script = f"trap 'echo bye > {told}; exit 0' TERM; echo up; while :; do sleep 0.1; done"
    client.start("told", script)
    pod = client.running("told")
    eventually(lambda: client.log("told") == "up\n")
    client.core.delete_namespaced_pod(pod.metadata.name, "default")
    found = client.core.list_namespaced_pod("default", label_selector="job-name=told").items
    assert all(p.metadata.deletion_timestamp for p in found)
    eventually(lambda: told.read_text() == "bye\n")
    assert client.ended("told").failed == 1  # a pod that was taken from its Job counts as failed


@pytest.mark.skipif(not isolation(), reason="only root may make name spaces of processes")
def test_a_container_is_process_1_and_leaves_nothing_behind(client: Client, tmp_path: Path) -> None:
    left = tmp_path / "left"
    script = (
        f"setsid sh -c 'touch {left}-begun; sleep 20; touch {left}' & "
        f"while [ ! -e {left}-begun ]; do sleep 0.05; done; echo $$; ls -d /proc/[0-9]* | wc -l"
    )
    client.start("alone", script)
    assert client.ended("alone").succeeded == 1
    pid, n_processes = client.log("alone").split()
    assert pid == "1"
    assert int(n_processes) <= 5
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(left) in str(p.info["cmdline"])]


def test_deleting_a_job_takes_its_pods_along_only_when_told_to(
    cluster: JobCluster, client: Client
) -> None:
    client.start("gone", WAIT)
    pod = client.running("gone")
    process = psutil.Process(cluster.processes.pid(pod.metadata.name))
    client.batch.delete_namespaced_job("gone", "default", propagation_policy="Background")
    eventually(lambda: not process.is_running())
    client.start("orphaned", WAIT)
    pod = client.running("orphaned")
    client.batch.delete_namespaced_job("orphaned", "default")  # the default for Jobs: orphan
    assert client.running("orphaned").metadata.owner_references is None
    client.core.delete_namespaced_pod(pod.metadata.name, "default")


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        ({"image": "no-such-image"}, "ImagePullBackOff"),
        ({"envFrom": [{"secretRef": {"name": "none"}}]}, "CreateContainerConfigError"),
    ],
)
def test_a_container_that_cannot_start_waits_with_a_reason(
    client: Client, container: dict[str, Any], reason: str
) -> None:
    name = reason.lower()
    client.start(name, "true", container)

    def waiting() -> Any:
        statuses = client.pod(name).status.container_statuses
        return statuses and statuses[0].state.waiting

    assert eventually(waiting).reason == reason
    events = client.core.list_namespaced_event(
        "default", field_selector=f"involvedObject.name={client.pod(name).metadata.name}"
    )
    assert reason in events.items[0].message
    client.batch.delete_namespaced_job(name, "default", propagation_policy="Background")


def test_a_pod_without_room_is_unschedulable(client: Client) -> None:
    client.start("big", "true", {"resources": {"limits": {"nvidia.com/gpu": "1"}}})
    condition = eventually(lambda: client.pod("big").status.conditions)[0]
    assert (condition.reason, condition.status) == ("Unschedulable", "False")
    client.batch.delete_namespaced_job("big", "default", propagation_policy="Background")


def test_a_quota_lets_the_job_be_and_refuses_its_pod(cluster: JobCluster, client: Client) -> None:
    def refuse(kind: Kind, new: Object, old: Object | None) -> None:
        if kind.plural == "pods" and old is None:
            raise Refusal(403, "exceeded quota: memory, requested: 12Gi, limited: 8Gi")

    cluster.objects.admission.append(refuse)
    client.start("over", "true")
    events = eventually(
        lambda: (
            client.core.list_namespaced_event(
                "default", field_selector="involvedObject.name=over"
            ).items
        )
    )
    assert events[0].reason == "FailedCreate"
    assert "exceeded quota" in events[0].message
    cluster.objects.admission.clear()
    assert client.ended("over").succeeded == 1


def test_a_caller_is_known_by_its_token(cluster: JobCluster, client: Client) -> None:
    client.batch.list_namespaced_job("default")
    assert cluster.api.calls[-1].user == "tester"

"""What every pod of the platform keeps to, those of runs and predictors included."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from mlops_assets_tests.k8s.made_pods import all_pods
from mlops_assets_tests.k8s.rendering import MIXED, OVERLAYS, Pod

Container = Mapping[str, Any]
_WITHOUT_CPU_LIMIT = {"pod of a run"}  # a limit stretches the imports of each step


@pytest.fixture(params=[*OVERLAYS, *MIXED])
def pods(request: pytest.FixtureRequest) -> list[Pod]:
    """All pods of an overlay."""
    overlay: str = request.param
    return all_pods(overlay)


def told(pods: list[Pod], problem: Callable[[Pod, Container], object]) -> list[str]:
    """The containers that have a problem."""
    return [
        f"{pod.owner}: {container['name']}"
        for pod in pods
        for container in pod.containers
        if problem(pod, container)
    ]


def test_pod_security_restricted_takes_every_pod(pods: list[Pod]) -> None:
    def is_refused(pod: Pod, container: Container) -> bool:
        pod_context = pod.spec.get("securityContext", {})
        context = {**pod_context, **container.get("securityContext", {})}
        seccomp = context.get("seccompProfile", {}).get("type")
        return not (
            context.get("runAsNonRoot") is True
            and context.get("runAsUser") != 0
            and context.get("allowPrivilegeEscalation") is False
            and context.get("capabilities", {}).get("drop") == ["ALL"]
            and not context.get("capabilities", {}).get("add")
            and not context.get("privileged")
            and seccomp in ("RuntimeDefault", "Localhost")
        )

    assert told(pods, is_refused) == []


def test_no_pod_shares_anything_with_its_node(pods: list[Pod]) -> None:
    shared = ("hostNetwork", "hostPID", "hostIPC")
    assert [pod.owner for pod in pods if any(pod.spec.get(name) for name in shared)] == []
    assert told(pods, lambda _, c: [p for p in c.get("ports", ()) if "hostPort" in p]) == []
    allowed = {"configMap", "secret", "emptyDir", "projected", "persistentVolumeClaim"}
    kinds = {
        f"{pod.owner}: {kind}"
        for pod in pods
        for volume in pod.spec.get("volumes", ())
        for kind in volume.keys() - {"name"} - allowed
    }
    assert kinds == set()


def test_no_container_writes_to_its_image(pods: list[Pod]) -> None:
    def writes(_: Pod, container: Container) -> bool:
        is_kserves = container["name"] == "storage-initializer"  # its image is not ours
        context = container.get("securityContext", {})
        return not (context.get("readOnlyRootFilesystem") or is_kserves)

    assert told(pods, writes) == []


def test_every_container_asks_for_cpu_and_memory_and_has_limits(pods: list[Pod]) -> None:
    def lacks(pod: Pod, container: Container) -> bool:
        resources = container.get("resources", {})
        limits = {"memory"} if pod.owner in _WITHOUT_CPU_LIMIT else {"cpu", "memory"}
        has_requests = resources.get("requests", {}).keys() >= {"cpu", "memory"}
        return not (has_requests and resources.get("limits", {}).keys() >= limits)

    assert told(pods, lacks) == []


def test_every_scratch_folder_has_an_end(pods: list[Pod]) -> None:
    endless = [
        f"{pod.owner}: {volume['name']}"
        for pod in pods
        for volume in pod.spec.get("volumes", ())
        if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]
    ]
    assert endless == []


def test_no_image_moves_under_its_name(pods: list[Pod]) -> None:
    def moves(_: Pod, container: Container) -> bool:
        name, _, digest = container["image"].partition("@sha256:")
        tag = name.rsplit("/", 1)[-1].partition(":")[2]
        return tag in ("", "latest", "main", "stable") and not digest

    assert told(pods, moves) == []


def test_only_who_asks_the_api_server_has_a_token(pods: list[Pod]) -> None:
    def asks(pod: Pod) -> bool:
        return pod.labels.get("mlops-assets/uses-api-server") == "true"

    with_token = {p.owner for p in pods if p.spec.get("automountServiceAccountToken") is not False}
    assert with_token == {pod.owner for pod in pods if asks(pod)}


def test_every_pod_says_who_it_is_and_how_much_it_matters(pods: list[Pod]) -> None:
    assert [p.owner for p in pods if not p.spec.get("serviceAccountName")] == []
    assert [p.owner for p in pods if not p.spec.get("priorityClassName")] == []


def test_servers_are_watched_while_they_run(pods: list[Pod]) -> None:
    def is_unwatched(pod: Pod, container: Container) -> bool:
        serves = bool(container.get("ports"))
        return serves and not container.get("readinessProbe")

    assert told(pods, is_unwatched) == []

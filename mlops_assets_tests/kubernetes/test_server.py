"""The emulated server answers the official client as a real one does.

Expectations follow a real API server of Kubernetes 1.36.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mlops_assets_tests.kubernetes.custom_kinds import inference_service
from mlops_assets_tests.kubernetes.faults import Fault
from mlops_assets_tests.kubernetes.server import ApiServer, running_api_server

SERVICES = ("serving.kserve.io", "v1beta1", "default", "inferenceservices")


class Client:
    """The official client's APIs, bound to one server."""

    def __init__(self, url: str) -> None:
        from kubernetes import client

        self.api = client.ApiClient(client.Configuration(host=url))
        self.core = client.CoreV1Api(self.api)
        self.custom = client.CustomObjectsApi(self.api)

    def apply(self, manager: str, spec: dict[str, Any], **more: Any) -> Any:
        body = {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": "toy"},
            "spec": spec,
        }
        more.setdefault("_content_type", "application/apply-patch+yaml")
        return self.custom.patch_namespaced_custom_object(
            *SERVICES, "toy", body, field_manager=manager, **more
        )

    def toy(self) -> dict[str, Any]:
        found: dict[str, Any] = self.custom.get_namespaced_custom_object(*SERVICES, "toy")
        return found


@pytest.fixture(scope="module")
def module_server() -> Iterator[ApiServer]:
    with running_api_server() as server:
        definitions = server.objects.kind("customresourcedefinitions")
        server.objects.create(definitions, "", inference_service("0.20"))
        yield server


@pytest.fixture
def server(module_server: ApiServer) -> Iterator[ApiServer]:
    yield module_server
    for plural in ("pods", "configmaps", "inferenceservices"):
        kind = module_server.objects.kind(plural)
        for found in module_server.objects.list(kind):
            if module_server.objects.find(plural, "default", found["metadata"]["name"]):
                module_server.objects.delete(kind, "default", found["metadata"]["name"])


@pytest.fixture
def client(server: ApiServer) -> Client:
    return Client(server.url)


def refused(code: int, call: Callable[[], Any]) -> dict[str, Any]:
    from kubernetes.client.exceptions import ApiException

    with pytest.raises(ApiException) as caught:
        call()
    assert caught.value.status == code, caught.value.body
    status: dict[str, Any] = json.loads(caught.value.body)
    assert (status["kind"], status["code"]) == ("Status", code)
    return status


def config_map(name: str, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}, "data": {"k": "v"}}


def test_a_created_object_has_what_the_server_adds(client: Client) -> None:
    made = client.core.create_namespaced_config_map("default", config_map("a"))
    assert made.metadata.uid
    assert made.metadata.resource_version.isdigit()
    assert made.metadata.namespace == "default"
    again = refused(
        409, lambda: client.core.create_namespaced_config_map("default", config_map("a"))
    )
    assert again["reason"] == "AlreadyExists"


def test_what_is_not_there_is_not_found(client: Client) -> None:
    missing = refused(404, lambda: client.core.read_namespaced_config_map("nobody", "default"))
    assert missing["reason"] == "NotFound"
    from kubernetes.client.exceptions import ApiException

    with pytest.raises(ApiException, match="404"):
        client.custom.list_namespaced_custom_object("no.group", "v1", "default", "things")


def test_a_stale_resource_version_is_a_conflict(client: Client) -> None:
    made = client.core.create_namespaced_config_map("default", config_map("a"))
    stale = config_map("a", resourceVersion=made.metadata.resource_version)
    client.core.replace_namespaced_config_map("a", "default", {**stale, "data": {"k": "w"}})
    for write in (
        client.core.replace_namespaced_config_map,
        client.core.patch_namespaced_config_map,
    ):
        status = refused(409, lambda: write("a", "default", stale))  # noqa: B023
        assert status["reason"] == "Conflict"


def test_selectors_choose(client: Client) -> None:
    for name in ("a", "b"):
        client.core.create_namespaced_config_map("default", config_map(name, labels={"n": name}))
    found = client.core.list_namespaced_config_map("default", label_selector="n in (a),!gone")
    assert [item.metadata.name for item in found.items] == ["a"]
    found = client.core.list_namespaced_config_map("default", field_selector="metadata.name!=a")
    assert [item.metadata.name for item in found.items] == ["b"]


def test_apply_creates_and_a_second_time_changes_nothing(client: Client) -> None:
    assert client.apply("one", {"predictor": {"minReplicas": 1}}) is None  # the client knows no 201
    before = client.toy()
    client.apply("one", {"predictor": {"minReplicas": 1}})
    assert client.toy() == before
    client.apply("one", {"predictor": {"minReplicas": 2}})
    assert client.toy()["metadata"]["generation"] == 2


def test_apply_of_what_is_not_there_needs_the_right_to_create_it(
    client: Client, server: ApiServer
) -> None:
    """As the API server authorizes it: `patch`, and `create` if it makes the object."""
    server.faults.denied |= {("create", "inferenceservices")}
    refused(403, lambda: client.apply("one", {"predictor": {"minReplicas": 1}}))
    server.faults.denied.clear()
    client.apply("one", {"predictor": {"minReplicas": 1}})
    server.faults.denied |= {("create", "inferenceservices")}
    client.apply("one", {"predictor": {"minReplicas": 2}})
    server.faults.denied.clear()


def test_apply_removes_what_its_manager_no_longer_names_and_keeps_what_others_set(
    client: Client,
) -> None:
    client.apply("one", {"predictor": {"minReplicas": 1, "timeout": 5}, "canary": [{"a": 1}]})
    patch = {"spec": {"predictor": {"maxReplicas": 9}}}
    client.custom.patch_namespaced_custom_object(*SERVICES, "toy", patch, field_manager="hand")
    client.apply("one", {"predictor": {"minReplicas": 1}})
    assert client.toy()["spec"] == {"predictor": {"minReplicas": 1, "maxReplicas": 9}}


def test_two_managers_conflict_until_one_forces(client: Client) -> None:
    client.apply("one", {"predictor": {"minReplicas": 1}})
    patch = {"spec": {"predictor": {"minReplicas": 2}}}
    client.custom.patch_namespaced_custom_object(*SERVICES, "toy", patch, field_manager="hand")
    status = refused(409, lambda: client.apply("one", {"predictor": {"minReplicas": 1}}))
    assert status["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "hand" using serving.kserve.io/v1beta1',
            "field": ".spec.predictor.minReplicas",
        }
    ]
    client.apply("one", {"predictor": {"minReplicas": 1}}, force=True)
    assert client.toy()["spec"]["predictor"]["minReplicas"] == 1
    managers = {entry["manager"] for entry in client.toy()["metadata"]["managedFields"]}
    assert managers == {"one"}


def test_a_dry_run_refuses_as_the_real_one_and_writes_nothing(client: Client) -> None:
    client.apply("one", {"predictor": {}}, dry_run="All")
    refused(404, client.toy)
    status = refused(500, lambda: client.apply("one", {"predictr": {}}, dry_run="All"))
    assert ".spec.predictr: field not declared in schema" in status["message"]


def test_status_is_apart_from_the_rest(client: Client) -> None:
    client.apply("one", {"predictor": {"minReplicas": 1}})
    patch = {"status": {"url": "x"}, "spec": {"predictor": {"minReplicas": 7}}}
    client.custom.patch_namespaced_custom_object(*SERVICES, "toy", {"status": {"url": "x"}})
    assert "status" not in client.toy()
    client.custom.patch_namespaced_custom_object_status(*SERVICES, "toy", patch)
    found = client.toy()
    assert found["status"] == {"url": "x"}
    assert (found["spec"]["predictor"]["minReplicas"], found["metadata"]["generation"]) == (1, 1)


def test_what_an_object_alone_owns_goes_with_it(client: Client) -> None:
    owner = client.core.create_namespaced_config_map("default", config_map("owner"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner"}
    owned = config_map("owned", ownerReferences=[{**reference, "uid": owner.metadata.uid}])
    client.core.create_namespaced_config_map("default", owned)
    client.core.delete_namespaced_config_map("owner", "default")
    refused(404, lambda: client.core.read_namespaced_config_map("owned", "default"))


def test_a_watch_sees_each_change_since_a_version(client: Client) -> None:
    from kubernetes import watch

    since = client.core.list_namespaced_config_map("default").metadata.resource_version

    def change() -> None:
        client.core.create_namespaced_config_map("default", config_map("a", labels={"n": "1"}))
        client.core.patch_namespaced_config_map("a", "default", {"data": {"k": "w"}})
        client.core.create_namespaced_config_map("default", config_map("other"))
        client.core.delete_namespaced_config_map("a", "default")

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(change)
        events = watch.Watch().stream(
            client.core.list_namespaced_config_map,
            "default",
            label_selector="n=1",
            resource_version=since,
            timeout_seconds=5,
        )
        seen = []
        for event in events:
            seen.append(event["type"])
            if event["type"] == "DELETED":
                break
        done.result()
    assert seen == ["ADDED", "MODIFIED", "DELETED"]


def test_ordered_failures_happen_before_or_after_the_write(
    server: ApiServer, client: Client
) -> None:
    server.faults.order(Fault("create", "configmaps", 503))
    refused(503, lambda: client.core.create_namespaced_config_map("default", config_map("a")))
    refused(404, lambda: client.core.read_namespaced_config_map("a", "default"))
    server.faults.order(Fault("create", "configmaps", 504, after_write=True))
    refused(504, lambda: client.core.create_namespaced_config_map("default", config_map("a")))
    client.core.read_namespaced_config_map("a", "default")


def test_a_missing_right_is_forbidden_and_a_review_says_so(
    server: ApiServer, client: Client
) -> None:
    from kubernetes import client as library

    def review(verb: str) -> bool:
        attributes = {"verb": verb, "resource": "pods", "subresource": "log"}
        api = library.AuthorizationV1Api(client.api)
        body = {"spec": {"resourceAttributes": attributes}}
        return bool(api.create_self_subject_access_review(body).status.allowed)

    assert review("get")
    server.faults.denied.add(("get", "pods/log"))
    try:
        assert not review("get")
        spec = {"containers": [{"name": "main", "image": "i"}]}
        client.core.create_namespaced_pod("default", {"metadata": {"name": "p"}, "spec": spec})
        status = refused(403, lambda: client.core.read_namespaced_pod_log("p", "default"))
        assert status["reason"] == "Forbidden"
    finally:
        server.faults.denied.clear()

"""Calls of the API server: what is sent again, what is told, and how long it may take."""

import pickle
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from mlops_assets.errors import AnsweredError, ClusterApiError, ServingError
from mlops_assets.kserve.api import CONFIG_MAPS, ClusterApi, build_api, connect, is_retryable
from mlops_assets_tests.kubernetes.cluster import Cluster, running_cluster
from mlops_assets_tests.kubernetes.faults import Fault
from mlops_assets_tests.kubernetes.running import api_at, api_of


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as running:
        yield running


@pytest.fixture
def api(cluster: Cluster) -> Iterator[ClusterApi]:
    yield api_of(cluster)
    cluster.api.faults.open.clear()


@pytest.mark.parametrize(
    ("status", "again"),
    [
        (0, True), (400, False), (401, True), (403, False), (404, False), (405, False),
        (409, False), (410, False), (415, False), (418, False), (422, False), (429, True),
        (500, True), (501, False), (502, True), (503, True), (504, True),
    ],
)  # fmt: skip
def test_what_may_succeed_a_moment_later(status: int, again: bool) -> None:
    assert is_retryable(ClusterApiError("x", status)) == again


def test_a_field_that_the_schema_does_not_know_is_a_500_that_stays() -> None:
    words = "PATCH: 500 failed to create typed patch object: .spec.x: field not declared in schema"
    assert not is_retryable(ClusterApiError(words, 500))


@pytest.mark.parametrize(("times", "succeeds"), [(3, True), (4, False)])
@pytest.mark.parametrize("code", [0, 503])
def test_a_call_is_sent_four_times_at_most(
    cluster: Cluster, api: ClusterApi, code: int, times: int, succeeds: bool
) -> None:
    cluster.api.faults.order(Fault("list", "configmaps", code, times=times))
    if succeeds:
        assert api.list(CONFIG_MAPS, "") == []
        return
    with pytest.raises(ClusterApiError) as caught:
        api.list(CONFIG_MAPS, "")
    assert caught.value.status == code


@pytest.mark.parametrize(
    ("headers", "n_sent", "kind"),
    [
        pytest.param({"x-model-version": "2"}, 1, AnsweredError, id="by_the_pod"),
        pytest.param({}, 4, ClusterApiError, id="by_the_server"),
    ],
)
@pytest.mark.parametrize("status", [500, 503])
def test_what_a_pod_answered_is_not_asked_again(
    status: int, headers: dict[str, str], n_sent: int, kind: type[ServingError]
) -> None:
    """One failed probe counted four errors in the counters that a rollout reads as evidence."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    path = "/api/v1/namespaces/default/pods/a:8080/proxy/v1/models/toy:predict"
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        api = api_at(f"http://127.0.0.1:{server.server_address[1]}")
        with pytest.raises(kind):
            api.call("POST", path, None, {"instances": []})
        server.shutdown()
    assert asked == [path] * n_sent


def test_a_refusal_is_sent_once(cluster: Cluster, api: ClusterApi) -> None:
    cluster.api.faults.order(Fault("list", "configmaps", 403))
    with pytest.raises(ClusterApiError, match="403"):
        api.list(CONFIG_MAPS, "")
    assert api.list(CONFIG_MAPS, "") == []


def test_an_answer_is_waited_for_no_longer_than_the_timeout(cluster: Cluster) -> None:
    cluster.api.faults.order(Fault("list", "configmaps", 200, times=9, seconds=2.0))
    hasty = api_of(cluster, timeout_seconds=0.3)
    started = time.monotonic()
    with pytest.raises(ClusterApiError, match="did not answer GET"):
        hasty.list(CONFIG_MAPS, "")
    assert time.monotonic() - started < 1.9
    cluster.api.faults.open.clear()


def test_nothing_listens_is_told_with_the_address() -> None:
    from kubernetes import client

    api = build_api(client.Configuration(host="http://127.0.0.1:9"), "x", 1.0)
    with pytest.raises(ClusterApiError, match=r"http://127.0.0.1:9 did not answer"):
        api.get(CONFIG_MAPS, "a")


def test_a_log_may_hold_any_bytes() -> None:
    from kubernetes import client

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"caf\xe9")

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        host = f"http://127.0.0.1:{server.server_address[1]}"
        api = build_api(client.Configuration(host=host), "default", 30.0)
        assert api.read_text("/api/v1/namespaces/default/pods/a/log") == "caf\ufffd"


def test_an_error_survives_the_way_between_processes() -> None:
    error = ClusterApiError("PATCH: 409", 409, "Conflict", [(".spec", "with me")])
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.status, again.reason) == ("PATCH: 409", 409, "Conflict")
    assert again.causes == ((".spec", "with me"),)


def test_an_object_that_is_not_there_is_none_and_may_be_deleted(api: ClusterApi) -> None:
    assert api.get(CONFIG_MAPS, "nobody") is None
    api.delete(CONFIG_MAPS, "nobody")


def test_a_kubeconfig_that_is_not_there_is_named() -> None:
    with pytest.raises(ClusterApiError, match="no cluster: /nowhere cannot be used"):
        connect("default", kubeconfig=Path("/nowhere"))

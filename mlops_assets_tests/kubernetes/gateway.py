"""The data plane: an HTTP proxy that shares requests among ready pods as the router's object says.

Standard: the service's HTTPRoute. Knative: the traffic in the service's status. The n-th request
gets the n-th of a hundred evenly spread tickets, so that shares are exact over a hundred requests.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from mlops_assets.serving.gateway.routing import choose
from mlops_assets_tests.kubernetes.kinds import Object
from mlops_assets_tests.kubernetes.kserve_knative import REVISION
from mlops_assets_tests.kubernetes.objects import Objects
from mlops_assets_tests.kubernetes.workloads import Workloads, is_ready
from mlops_assets_tests.serving.rsgi import Response

_STRIDE = 61  # has no divisor in common with 100


class DataPlane:
    """Answers for all services of a cluster."""

    def __init__(self, objects: Objects, workloads: Workloads) -> None:
        self._objects = objects
        self._workloads = workloads
        self._n_requests = 0
        self._lock = threading.Lock()

    def answer(
        self, host: str, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> Response:
        """One request to the host `<service>-<namespace>.<domain>`."""
        with self._lock:
            ticket = self._n_requests * _STRIDE % 100
            self._n_requests += 1
        for service in self._objects.list(self._objects.kind("inferenceservices")):
            if service.get("status", {}).get("url") == f"http://{host}":
                pod = self._choose(service, ticket)
                if pod is None:
                    return Response(503, {}, b'{"error": "no healthy upstream"}')
                return self._workloads.answer(pod, method, path, body, headers)
        return Response(404, {}, b'{"error": "no route for this host"}')

    def _choose(self, service: Object, ticket: int) -> Object | None:
        namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
        traffic = service["status"].get("components", {}).get("predictor", {}).get("traffic")
        if traffic:
            label = REVISION
            shares = [(target["revisionName"], target["percent"]) for target in traffic]
        else:
            label = "app"
            route = self._objects.find("httproutes", namespace, name)
            if route is None:
                return None
            backends = route["spec"]["rules"][0]["backendRefs"]
            shares = [(f"isvc.{backend['name']}", backend["weight"]) for backend in backends]
        chosen = shares[choose([share for _, share in shares], ticket)][0]
        kind = self._objects.kind("pods")
        pods = self._objects.list(kind, namespace, f"{label}={chosen}")
        return next((pod for pod in pods if is_ready(pod)), None)


@contextmanager
def running_gateway(plane: DataPlane) -> Iterator[str]:
    """The data plane on a free port of loopback; yields its URL."""
    handler = type("Handler", (_Handler,), {"plane": plane})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}"
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    plane: DataPlane

    def log_message(self, *arguments: Any) -> None:
        """Nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        host = self.headers.get("Host", "")
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.plane.answer(host, self.command, self.path, body, headers)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST  # noqa: N815

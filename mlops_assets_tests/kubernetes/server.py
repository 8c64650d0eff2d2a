"""The emulated API server over HTTP on loopback.

Here: a connection, its verbs, watches, logs and proxied calls. Not here: what the verbs do
(`objects.py`), which call a path means (`requests.py`), and whoever runs the pods.
"""

import json
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import urlsplit

from mlops_assets_tests.kubernetes.discovery import describe
from mlops_assets_tests.kubernetes.faults import Fault, Faults
from mlops_assets_tests.kubernetes.kinds import Object
from mlops_assets_tests.kubernetes.objects import APPLY, Event, Objects, Write, selects
from mlops_assets_tests.kubernetes.refusal import Refusal
from mlops_assets_tests.kubernetes.requests import Request, read_request
from mlops_assets_tests.serving.rsgi import Response

_PASSED_ON = ("x-model-version", "x-request-id", "retry-after")
_REVIEW = ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"]


@dataclass(slots=True)
class Call:
    """One request, for tests that ask what was called; its code is 0 until it is answered."""

    verb: str
    resource: str
    name: str
    code: int
    user: str = ""  # as the bearer token says it: `<namespace>:<service account>`


ProxiedCall = tuple[str, str, bytes, dict[str, str]]
"""Method, path, body, and headers by their names in small letters."""


class Pods(Protocol):
    """Whoever runs the pods."""

    def read_log(self, pod: Object, container: str, *, previous: bool) -> str:
        """A container's log, or that of its previous run."""

    def ask(self, pod: Object, port: int, call: ProxiedCall) -> Response:
        """A pod's answer to a call."""


@dataclass(slots=True)
class ApiServer:
    """The server's state and its knobs.

    Attributes:
        objects: What it stores.
        faults: What a test ordered to go wrong.
        calls: What was asked of it.
        url: Where it answers.
        pods: Who runs the pods, if anybody does.
        defects: Tracebacks of the emulator's own failures; a test asserts that there are none.
    """

    objects: Objects = field(default_factory=Objects)
    faults: Faults = field(default_factory=Faults)
    calls: list[Call] = field(default_factory=list)
    url: str = ""
    pods: Pods | None = None
    defects: list[str] = field(default_factory=list)
    stopping: bool = False


@contextmanager
def running_api_server() -> Iterator[ApiServer]:
    """A server on a free port of loopback, with the namespace default."""
    server = ApiServer()
    namespaces = server.objects.kind("namespaces")
    server.objects.create(namespaces, "", {"metadata": {"name": "default"}})
    handler = type("Handler", (_Handler,), {"server_state": server})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopping = True
        with server.objects.changed:
            server.objects.changed.notify_all()
        http.shutdown()
        http.server_close()
        thread.join()
    assert server.defects == []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # 40 ms an answer otherwise
    server_state: ApiServer
    call: Call | None = None  # that is being answered

    def log_message(self, *arguments: Any) -> None:
        """Nothing: `calls` holds what was asked."""

    def send_response(self, code: int, message: str | None = None) -> None:
        """Note what is answered, before the caller knows it."""
        if self.call is not None:
            self.call.code = code
        super().send_response(code, message)

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)  # always, or the connection could not be used again
        self.call = None
        try:
            parts = urlsplit(self.path).path.strip("/").split("/")
            user = self.headers.get("Authorization", "").removeprefix("Bearer ")
            page = self._page(parts, raw, user)
            if page is not None:
                self._send(*page)
                return
            request = read_request(self.command, self.path, self.server_state.objects.kinds)
            self.call = Call(request.verb, request.resource, request.name, 0, user)
            self.server_state.calls.append(self.call)
            if self._makes_by_apply(request):
                created = Call("create", request.resource, request.name, 0, user)
                self.server_state.calls.append(created)
                self._require_right("create", request, user)
            self._serve(request, raw, user)
        except Refusal as refusal:
            if refusal.code == 0:
                self.close_connection = True
            else:
                self._send(refusal.code, refusal.to_status())
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        except Exception:
            self.server_state.defects.append(traceback.format_exc())
            self._send(500, Refusal(500, traceback.format_exc()).to_status())

    def _page(self, parts: list[str], raw: bytes, user: str) -> tuple[int, Object] | None:
        state = self.server_state
        if parts == _REVIEW and self.command == "POST":
            body = json.loads(raw)
            asked = body["spec"]["resourceAttributes"]
            resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
            allowed = not state.faults.refuses(user, asked["verb"], resource)
            return 201, {**body, "status": {"allowed": allowed}}
        found = describe(state.objects, parts) if self.command == "GET" else None
        if found is None:
            return None
        fault = state.faults.take("get", "/".join(parts))
        if fault is not None:
            raise Refusal(fault.code, "ordered failure")
        return 200, found

    def _makes_by_apply(self, request: Request) -> bool:
        """Whether it is a server-side apply of what is not there, which takes two rights."""
        content_type = (self.headers.get("Content-Type") or "").split(";")[0]
        if request.verb != "patch" or content_type != APPLY or request.subresource:
            return False
        objects = self.server_state.objects
        return objects.find(request.kind.plural, request.namespace, request.name) is None

    def _require_right(self, verb: str, request: Request, user: str) -> None:
        if self.server_state.faults.refuses(user, verb, request.resource):
            message = f'{request.kind.resource} "{request.name}" is forbidden: User "{user}" cannot'
            where = f'in the namespace "{request.namespace}"'
            raise Refusal(403, f'{message} {verb} resource "{request.resource}" {where}')

    def _serve(self, request: Request, raw: bytes, user: str) -> None:
        state = self.server_state
        self._require_right(request.verb, request, user)
        fault = state.faults.take(request.verb, request.resource)
        if fault is not None:
            time.sleep(fault.seconds)
            if not fault.after_write and fault.code != 200:
                raise _ordered(fault)
        if request.verb == "watch":
            self._watch(request)
            return
        if request.subresource in ("log", "proxy"):
            self._relay(request, raw)
            return
        code, answer = self._perform(request, json.loads(raw) if raw else {})
        if fault is not None and fault.after_write:
            raise _ordered(fault)
        self._send(code, answer)

    def _perform(self, request: Request, body: Object) -> tuple[int, Object]:
        objects, kind, place = self.server_state.objects, request.kind, request.namespace
        agent = (self.headers.get("User-Agent") or "unknown").split("/")[0]
        write = Write(
            request.query.get("fieldManager") or agent,
            request.query.get("dryRun") == "All",
            request.is_set("force"),
            request.subresource,
        )
        match request.verb:
            case "get":
                return 200, objects.get(kind, place, request.name)
            case "list":
                return 200, self._list(request)
            case "create":
                return 201, objects.create(kind, place, body, write)
            case "update":
                return 200, objects.update(kind, place, body, write)
            case "delete":
                policy = request.query.get("propagationPolicy") or body.get("propagationPolicy")
                orphan = policy == "Orphan" or (policy is None and kind.plural == "jobs")
                return 200, objects.delete(kind, place, request.name, orphan=orphan)
        content_type = (self.headers.get("Content-Type") or "").split(";")[0]
        changed, created = objects.patch(kind, place, request.name, body, content_type, write)
        return (201 if created else 200), changed

    def _list(self, request: Request) -> Object:
        objects, query = self.server_state.objects, request.query
        with objects.changed:
            found = objects.list(
                request.kind,
                request.namespace,
                query.get("labelSelector", ""),
                query.get("fieldSelector", ""),
            )
            version = str(objects.version)
        return {
            "kind": f"{request.kind.kind}List",
            "apiVersion": request.kind.api_version,
            "metadata": {"resourceVersion": version},
            "items": found,
        }

    def _relay(self, request: Request, raw: bytes) -> None:
        state = self.server_state
        name, _, port = request.name.partition(":")
        if state.pods is None:
            raise Refusal(500, "no kubelet runs here")
        pod = state.objects.get(request.kind, request.namespace, name)
        if request.subresource == "log":
            container = request.query.get("container", "")
            text = state.pods.read_log(pod, container, previous=request.is_set("previous"))
            if "tailLines" in request.query:
                text = "".join(text.splitlines(keepends=True)[-int(request.query["tailLines"]) :])
            self._send_bytes(200, text.encode(), "text/plain")
            return
        headers = {header.lower(): value for header, value in self.headers.items()}
        call = (self.command, f"/{request.rest}", raw, headers)
        found = state.pods.ask(pod, int(port or 80), call)
        more = {name: found.headers[name] for name in _PASSED_ON if name in found.headers}
        self._send_bytes(found.status, found.body, "application/json", more)

    def _watch(self, request: Request) -> None:
        """Every change since `resourceVersion`, until the time is over."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in self._events(request):
            line = json.dumps(event).encode() + b"\n"
            self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _events(self, request: Request) -> Iterator[Object]:
        objects, query = self.server_state.objects, request.query
        end = time.monotonic() + float(query.get("timeoutSeconds") or 300)
        since = query.get("resourceVersion", "")
        with objects.changed:
            seen = int(since) if since.isdigit() and since != "0" else objects.version
            oldest = objects.events[0].version if objects.events else 0
            backlog = [] if seen != objects.version or since else self._list(request)["items"]
        if seen < oldest - 1:
            status = Refusal(410, f"too old resource version: {since}").to_status()
            yield {"type": "ERROR", "object": status}
            return
        yield from ({"type": "ADDED", "object": item} for item in backlog)
        while not self.server_state.stopping and time.monotonic() < end:
            with objects.changed:
                fresh = [event for event in objects.events if event.version > seen]
                seen = objects.version
                if not fresh:
                    objects.changed.wait(min(0.5, max(0.0, end - time.monotonic())))
            for event in fresh:
                if event.kind.resource == request.kind.resource:
                    yield from _as_seen(event, request)

    def _send(self, code: int, body: Object) -> None:
        self._send_bytes(code, json.dumps(body).encode(), "application/json")

    def _send_bytes(
        self, code: int, content: bytes, content_type: str, more: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(code)
        for name, value in (more or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _ordered(fault: Fault) -> Refusal:
    return Refusal(fault.code, "ordered failure")


def _as_seen(event: Event, request: Request) -> Iterator[Object]:
    """A change as a watcher with selectors sees it: what comes to fit them is added."""
    labels = request.query.get("labelSelector", "")
    fields = request.query.get("fieldSelector", "")
    if request.namespace not in ("", event.new["metadata"].get("namespace", "")):
        return
    fits = event.type != "DELETED" and selects(event.new, labels, fields)
    fitted = event.old is not None and selects(event.old, labels, fields)
    kind = "ADDED" if fits and not fitted else "MODIFIED" if fits else "DELETED" if fitted else ""
    if kind:
        yield {"type": kind, "object": event.new}

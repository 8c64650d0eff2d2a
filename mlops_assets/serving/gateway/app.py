"""The gateway as an RSGI application: requests by service, and pages about itself."""

import asyncio
import logging
import re
import time
from http import HTTPStatus
from string import punctuation
from urllib.parse import quote

from mlops_assets.serving.gateway.metrics import measure_backlog, render_metrics
from mlops_assets.serving.gateway.mirror import Mirror
from mlops_assets.serving.gateway.page import render_page
from mlops_assets.serving.gateway.replica import Replica
from mlops_assets.serving.gateway.router import Forwarding, Router
from mlops_assets.serving.gateway.settings import GatewaySettings
from mlops_assets.serving.gateway.supervisor import Supervisor
from mlops_assets.serving.gateway.traffic import Traffic
from mlops_assets.serving.gateway.upstream import UpstreamReply
from mlops_assets.serving.home import ServingHome
from mlops_assets.serving.http_server.arrival import Arrival
from mlops_assets.serving.prediction_log.failures import FailureLog
from mlops_assets.serving.prediction_log.truth import TruthLog, read_truths, require_token
from mlops_assets.serving.protocol.http import (
    CLOSING,
    Reply,
    json_reply,
    method_reply,
    metrics_reply,
    refusal_reply,
)
from mlops_assets.serving.protocol.patience import Patience
from mlops_assets.serving.protocol.refusal import RequestError
from mlops_assets.serving.protocol.rsgi import (
    Exchange,
    RequestHeaders,
    Scope,
    is_short,
    read_body,
    send_reply,
)

_LOG = logging.getLogger(__name__)
_is_plain = re.compile(r"[\w/:.~-]*", re.ASCII).fullmatch


class _Early(Arrival):
    """A prediction that is sent on, and answered, without a task."""

    def __init__(
        self,
        app: "GatewayApp",
        service: str,
        scope: Scope,
        exchange: Exchange,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.exchange = exchange
        self.loop = loop
        self.patience = app.patience
        self._app = app
        self._service = service
        self._scope = scope
        self._headers = scope.headers
        self._call: Forwarding | None = None
        app.n_in_flight += 1

    def take(self, body: bytes) -> None:
        """Send it on at once, or else as a task."""
        app, scope = self._app, self._scope
        try:
            target = _target(scope)
            self._call = app.router.open(self._service, "POST", target, self._headers, body)
            if app.router.send_at_once(self._call, self):
                return
        except RequestError as error:
            self.refuse(error)
            return
        except Exception:
            _LOG.exception("request to %s failed", scope.path)
            self._send(json_reply({"error": "the gateway failed on this request"}, 500))
            return
        self._go_on()

    def refuse(self, error: RequestError) -> None:
        """Say what is wrong."""
        self._app.count_refusal(self._service, error)
        self._send(refusal_reply(error))

    def answered(self, reply: UpstreamReply) -> None:
        """Return a revision's answer."""
        call, replica = self._settled()
        self._send(self._app.router.conclude(call, replica, reply))

    def lost(self) -> None:
        """The kept connection was closed, or the process with it: ask once more."""
        self._settled()
        self._go_on()

    def timed_out(self) -> None:
        """There was no answer in time."""
        self.refuse(self._app.router.give_up(*self._settled()))

    def _settled(self) -> tuple[Forwarding, Replica]:
        call = self._call
        assert call is not None  # noqa: S101
        assert call.replica is not None  # noqa: S101
        call.replica.n_in_flight -= 1
        return call, call.replica

    def _go_on(self) -> None:
        task = self.loop.create_task(self._forward())
        self._app.tasks.add(task)
        task.add_done_callback(self._app.tasks.discard)

    async def _forward(self) -> None:
        assert self._call is not None  # noqa: S101
        try:
            self._send(await self._app.router.forward(self._call))
        except RequestError as error:
            self.refuse(error)
        except Exception:  # one request must not take the gateway down
            _LOG.exception("request to %s failed", self._call.path)
            self._send(json_reply({"error": "the gateway failed on this request"}, 500))

    def _send(self, reply: Reply | UpstreamReply) -> None:
        self._app.n_in_flight -= 1
        self._app.send(self.exchange, reply)


class GatewayApp:
    """Answers on the gateway's port. Predictions are sent on as they arrive.

    Attributes:
        router: Sends requests on.
        patience: With bodies.
        tasks: Predictions that wait for something.
        n_in_flight: Requests that are not answered yet.
    """

    def __init__(self, settings: GatewaySettings, supervisor: Supervisor) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._home = ServingHome.under(settings.home)
        self._traffic = Traffic()
        self._failures = FailureLog(self._home.failures)
        self._mirror = Mirror(
            settings.request_timeout_seconds, failures=self._failures, callers=self
        )
        self.router = Router(settings, supervisor, self._traffic, self._mirror, self._failures)
        self._truths = TruthLog(self._home.truths)
        self.patience: Patience = Patience(settings.max_body_seconds)
        self.draining = False
        self.tasks: set[asyncio.Task[None]] = set()
        self.n_in_flight: int = 0
        self.busy_at = 0.0
        self.farewell: asyncio.Task[None] | None = None  # kept, or it could be collected

    def begin(
        self, scope: Scope, exchange: Exchange, loop: asyncio.AbstractEventLoop
    ) -> _Early | None:
        """A prediction, as soon as its head is there; None: `__rsgi__` answers."""
        if scope.method != "POST":
            return None
        service = find_service(scope.path)
        if service is None:
            return None
        if not is_short(scope.headers.get("content-length"), self._settings.max_body_bytes):
            return None
        self.busy_at = time.monotonic()
        return _Early(self, service, scope, exchange, loop)

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        """Any request."""
        self.n_in_flight += 1
        self.busy_at = time.monotonic()
        try:
            reply: Reply | UpstreamReply = await self._answer(scope, exchange)
        except RequestError as error:
            reply = refusal_reply(error)
        except Exception:  # one request must not take the gateway down
            _LOG.exception("request to %s failed", scope.path)
            reply = json_reply({"error": "the gateway failed on this request"}, 500)
        finally:
            self.n_in_flight -= 1
        self.send(exchange, reply, scope.method)

    def send(self, exchange: Exchange, reply: Reply | UpstreamReply, method: str = "POST") -> None:
        """Answer, and tell clients to leave when they should."""
        if isinstance(reply, Reply):
            send_reply(exchange, reply, draining=self.draining, method=method)
            return
        closing = self.draining or reply.status in CLOSING
        more = [("connection", "close")] if closing else []
        exchange.response_bytes(reply.status, reply.headers + more, reply.body)

    def count_refusal(self, service: str, error: RequestError) -> None:
        """Count a request that no revision answered."""
        if error.status != HTTPStatus.GATEWAY_TIMEOUT:  # that one counts for its revision
            declared = service if service in self._supervisor.statuses else ""
            self._traffic.n_refused[declared, error.status] += 1

    async def _answer(self, scope: Scope, exchange: Exchange) -> Reply | UpstreamReply:
        path = scope.path
        service = find_service(path)
        if service is None:
            if path == "/v1/ground-truth":
                return await self._take_truth(scope, exchange)
            return self._page(path, scope.method)
        headers = scope.headers
        declared = RequestHeaders(headers).content_length
        try:
            limit = self._settings.max_body_bytes
            body = await read_body(exchange, declared, limit, self.patience)
            call = self.router.open(service, scope.method, _target(scope), headers, body)
            return await self.router.forward(call)
        except RequestError as error:
            self.count_refusal(service, error)
            raise

    async def _take_truth(self, scope: Scope, exchange: Exchange) -> Reply:
        if scope.method != "POST":
            return method_reply(scope.method, "POST")
        headers = scope.headers
        require_token(self._settings.sink_token, headers.get("authorization"))
        declared = RequestHeaders(headers).content_length
        body = await read_body(exchange, declared, self._settings.max_body_bytes, self.patience)
        items = read_truths(body, self._supervisor.statuses)
        await self._truths.write(items)
        return json_reply({"accepted": len(items)})

    def stop_mirroring(self) -> None:
        """Drop the copies that wait, so that shadows need not be waited for."""
        self._mirror.close()

    def close(self) -> None:
        """Close what is written to."""
        self._truths.close()
        self._failures.close()

    def _page(self, path: str, method: str) -> Reply:
        statuses = self._supervisor.statuses
        if method not in ("GET", "HEAD"):
            return method_reply(method, "GET")
        if path == "/":
            page = render_page(statuses, self._traffic, monotonic=time.monotonic())
            return Reply(200, page.encode(), "text/html; charset=utf-8")
        if path == "/metrics":
            text = self._render_metrics()
            return metrics_reply(text)
        if path == "/healthz":
            return json_reply({"status": "draining" if self.draining else "ok"})
        if path in ("/v1/models", "/v2/models"):
            return json_reply({"models": sorted(statuses)})
        if path == "/v2/health/live":
            return json_reply({"live": True})
        if path == "/v2/health/ready":
            ready = not self.draining and self._all_ready()
            return json_reply({"ready": ready}, 200 if ready else 503)
        if path == "/v2":
            extensions = ["binary_tensor_data"]
            return json_reply({"name": "mlops-gateway", "version": "1", "extensions": extensions})
        if path == "/services":
            return json_reply(statuses)
        status = statuses.get(path.removeprefix("/services/"))
        if path.startswith("/services/") and status is not None:
            return json_reply(status)
        raise RequestError(404, f"no such path: {path}")

    def _render_metrics(self) -> str:
        states = self._supervisor.revision_states()
        backlogs = {
            name: measure_backlog(self._home.predictions / name)
            for name in self._supervisor.statuses
        }
        return render_metrics(states, self._traffic, self._mirror.services, backlogs)

    def _all_ready(self) -> bool:
        routes = self._supervisor.routes
        return all(name in routes and routes[name].replicas for name in self._supervisor.statuses)


def _target(scope: Scope) -> str:
    """Path and query, as they are sent on: in ASCII, as a request's first line has to be."""
    path, query = scope.path, scope.query_string
    if not _is_plain(path):
        path = quote(path, safe="/:")
    return f"{path}?{quote(query, safe=punctuation)}" if query else path


def find_service(path: str) -> str | None:
    """The service that a path of the V1 or V2 protocol is about; None for the gateway's own.

    >>> find_service("/v1/models/flight-delay:predict"), find_service("/v2/models/a/infer")
    ('flight-delay', 'a')
    """
    if not path.startswith(("/v1/models/", "/v2/models/")):
        return None
    return path[11:].split("/", 1)[0].partition(":")[0] or None

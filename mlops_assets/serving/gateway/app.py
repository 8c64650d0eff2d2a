"""The gateway as an RSGI application: requests by service, and pages about itself."""

import asyncio
import logging
import time
from http import HTTPStatus
from urllib.parse import quote

from mlops_assets.serving.gateway.metrics import measure_backlog, render_metrics
from mlops_assets.serving.gateway.mirror import Mirror
from mlops_assets.serving.gateway.page import render_page
from mlops_assets.serving.gateway.router import Router
from mlops_assets.serving.gateway.settings import GatewaySettings
from mlops_assets.serving.gateway.supervisor import Supervisor
from mlops_assets.serving.gateway.traffic import Traffic
from mlops_assets.serving.gateway.upstream import UpstreamReply
from mlops_assets.serving.home import ServingHome
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
    read_body,
    send_reply,
)

_LOG = logging.getLogger(__name__)


class GatewayApp:
    """Answers on the gateway's port."""

    def __init__(self, settings: GatewaySettings, supervisor: Supervisor) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._home = ServingHome.under(settings.home)
        self._traffic = Traffic()
        self._failures = FailureLog(self._home.failures)
        self._mirror = Mirror(
            settings.request_timeout_seconds, failures=self._failures, callers=self
        )
        self._router = Router(settings, supervisor, self._traffic, self._mirror, self._failures)
        self._truths = TruthLog(self._home.truths)
        self._patience = Patience(settings.max_body_seconds)
        self.draining = False
        self.n_in_flight = 0
        self.busy_at = 0.0
        self.farewell: asyncio.Task[None] | None = None  # kept, or it could be collected

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        """One request."""
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
        closing = self.draining or reply.status in CLOSING
        more = [("connection", "close")] if closing else []
        if isinstance(reply, UpstreamReply):
            exchange.response_bytes(reply.status, reply.headers + more, reply.body)
            return
        if scope.method == "HEAD":
            reply.body = b""
        send_reply(exchange, reply, more)

    async def _answer(self, scope: Scope, exchange: Exchange) -> Reply | UpstreamReply:
        path = scope.path
        service = find_service(path)
        if service is None:
            if path == "/v1/ground-truth":
                return await self._take_truth(scope, exchange)
            return self._page(path, scope.method)
        headers = scope.headers
        declared = RequestHeaders(headers).content_length
        body = await read_body(exchange, declared, self._settings.max_body_bytes, self._patience)
        target = quote(path, safe="/:")
        if query := scope.query_string:
            target += f"?{query}"
        try:
            return await self._router.forward(service, scope.method, target, headers, body)
        except RequestError as error:
            if error.status != HTTPStatus.GATEWAY_TIMEOUT:  # that one counts for its revision
                declared_name = service if service in self._supervisor.statuses else ""
                self._traffic.n_refused[declared_name, error.status] += 1
            raise

    async def _take_truth(self, scope: Scope, exchange: Exchange) -> Reply:
        if scope.method != "POST":
            return method_reply(scope.method, "POST")
        headers = scope.headers
        require_token(self._settings.sink_token, headers.get("authorization"))
        declared = RequestHeaders(headers).content_length
        body = await read_body(exchange, declared, self._settings.max_body_bytes, self._patience)
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
            ready = self._all_ready()
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


def find_service(path: str) -> str | None:
    """The service that a path of the V1 or V2 protocol is about; None for the gateway's own.

    >>> find_service("/v1/models/flight-delay:predict"), find_service("/v2/models/a/infer")
    ('flight-delay', 'a')
    """
    if not path.startswith(("/v1/models/", "/v2/models/")):
        return None
    return path[11:].split("/", 1)[0].partition(":")[0] or None

"""The sink as an RSGI application: predictions and ground truth in, durable before the answer."""

import asyncio
import logging

from mlops_assets.serving.home import ServingHome
from mlops_assets.serving.prediction_log.truth import TruthLog, read_truths, require_token
from mlops_assets.serving.protocol.http import (
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
    HeaderValues,
    Scope,
    read_body,
    send_reply,
)
from mlops_assets.serving.sink.cloud_events import read_events
from mlops_assets.serving.sink.event_log import EventLog
from mlops_assets.serving.sink.metrics import SinkMetrics
from mlops_assets.serving.sink.settings import SinkSettings

_LOG = logging.getLogger(__name__)
_TRUTH = "/v1/ground-truth"
_EVENTS = ("/", "/v1/events")


class SinkApp:
    """Answers on the sink's port."""

    def __init__(self, settings: SinkSettings) -> None:
        home = ServingHome.under(settings.home)
        self._settings = settings
        self._events = EventLog(home)
        self._truths = TruthLog(home.truths)
        self._metrics = SinkMetrics(home)
        self._patience = Patience()
        self.draining = False
        self.n_in_flight = 0
        self.farewell: asyncio.Task[None] | None = None  # kept, or it could be collected

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        """One request."""
        self.n_in_flight += 1
        try:
            reply = await self._answer(scope, exchange)
        except RequestError as error:
            self._metrics.count_refused(error.status)
            reply = refusal_reply(error)
        except Exception:  # one request must not take the sink down
            _LOG.exception("request to %s failed", scope.path)
            self._metrics.count_refused(500)
            reply = json_reply({"error": "the sink failed on this request; see its log"}, 500)
        finally:
            self.n_in_flight -= 1
        send_reply(exchange, reply, draining=self.draining, method=scope.method)

    async def _answer(self, scope: Scope, exchange: Exchange) -> Reply:
        path, method, headers = scope.path, scope.method, scope.headers
        if path not in (*_EVENTS, _TRUTH):
            return self._page(path, method)
        if method != "POST":
            return method_reply(method, "POST")
        require_token(self._settings.token, headers.get("authorization"))
        declared = headers.get("content-length")
        limit = self._settings.max_body_bytes
        body = await read_body(exchange, declared, limit, self._patience)
        if path == _TRUTH:
            return await self._take_truth(body)
        return await self._take_events(headers, body)

    async def _take_events(self, headers: HeaderValues, body: bytes) -> Reply:
        events = read_events(headers, body)
        allowed = self._settings.namespaces
        for position, event in enumerate(events):
            if allowed and event.namespace not in allowed:
                raise RequestError(
                    400,
                    f"event {position}: namespace: expected {', '.join(allowed)}, "
                    f"found {event.namespace[:60]!r}",
                )
        await self._events.write(events)
        for event in events:
            self._metrics.count_event(event.type)
        return json_reply({"accepted": len(events)})

    async def _take_truth(self, body: bytes) -> Reply:
        items = read_truths(body)
        await self._truths.write(items)
        self._metrics.count_truths(len(items))
        return json_reply({"accepted": len(items)})

    def _page(self, path: str, method: str) -> Reply:
        if path not in ("/health", "/metrics"):
            here = f"here are /, {_TRUTH}, /health, /metrics"
            raise RequestError(404, f"no such path: {path}; {here}")
        if method not in ("GET", "HEAD"):
            return method_reply(method, "GET")
        if path == "/metrics":
            return metrics_reply(self._metrics.render())
        content = {"status": "draining" if self.draining else "ok"}
        return json_reply(content, 503 if self.draining else 200)

    def close(self) -> None:
        """Close what is written to."""
        self._events.close()
        self._truths.close()

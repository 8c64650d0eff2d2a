"""The predictor as an RSGI application: KServe's V1 and V2 protocols for one model."""

import asyncio

from mlops_assets.serving.predictor.call import V1, V2, Desk, PredictionCall
from mlops_assets.serving.predictor.execution import Execution
from mlops_assets.serving.predictor.log import PredictionLog
from mlops_assets.serving.predictor.metrics import Metrics
from mlops_assets.serving.predictor.model import ServedModel
from mlops_assets.serving.predictor.pages import Pages
from mlops_assets.serving.predictor.settings import PredictorSettings
from mlops_assets.serving.protocol.http import method_reply, refusal_reply
from mlops_assets.serving.protocol.refusal import RequestError
from mlops_assets.serving.protocol.rsgi import (
    Exchange,
    RequestHeaders,
    Scope,
    is_short,
    read_body,
    send_reply,
)


class PredictorApp:
    """Answers for one model. Created in the process that serves, once the model is loaded.

    Predictions whose body is declared and not too long are answered as they arrive; all else is a
    task of the event loop.
    """

    def __init__(
        self,
        settings: PredictorSettings,
        model: ServedModel,
        execution: Execution,
        metrics: Metrics,
        log: PredictionLog | None = None,
    ) -> None:
        self._desk = Desk(settings, model, execution, metrics, log)
        self._pages = Pages(settings, model, metrics)
        self._max_body_bytes = settings.max_body_bytes
        name, version = settings.model_name, settings.model_version
        self._predict_paths = {f"/v1/models/{name}:predict": V1, f"/v2/models/{name}/infer": V2}
        if version is not None:
            self._predict_paths[f"/v2/models/{name}/versions/{version}/infer"] = V2
        self.farewell: asyncio.Task[None] | None = None  # kept, or it could be collected

    @property
    def n_in_flight(self) -> int:
        """Requests that are not answered yet."""
        return self._desk.n_in_flight

    @property
    def draining(self) -> bool:
        """Whether clients are told to leave."""
        return self._desk.draining

    @draining.setter
    def draining(self, value: bool) -> None:
        self._desk.draining = self._pages.draining = value

    def begin(
        self, scope: Scope, exchange: Exchange, loop: asyncio.AbstractEventLoop
    ) -> PredictionCall | None:
        """A prediction, as soon as its head is there; None: `__rsgi__` answers."""
        protocol = self._predict_paths.get(scope.path)
        if protocol is None or scope.method != "POST":
            return None
        headers = RequestHeaders(scope.headers)
        if not is_short(headers.content_length, self._max_body_bytes):
            return None
        return PredictionCall(self._desk, protocol, headers, exchange, loop)

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        """Any request."""
        path, method = scope.path, scope.method
        protocol = self._predict_paths.get(path)
        if protocol is not None and method == "POST":
            await self._predict(protocol, RequestHeaders(scope.headers), exchange)
            return
        try:
            if protocol is not None:
                reply = method_reply(method, "POST")
            else:
                reply = self._pages.render(path, method)
        except RequestError as error:
            reply = refusal_reply(error)
        more = [self._desk.version_header]
        send_reply(exchange, reply, more, draining=self.draining, method=method)

    async def _predict(self, protocol: int, headers: RequestHeaders, exchange: Exchange) -> None:
        desk, loop = self._desk, asyncio.get_running_loop()
        call = PredictionCall(desk, protocol, headers, exchange, loop)
        try:
            declared, limit = headers.content_length, self._max_body_bytes
            body = await read_body(exchange, declared, limit, desk.patience)
        except RequestError as error:
            call.refuse(error)
            return
        await call.answer(body)

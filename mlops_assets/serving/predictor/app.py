"""The predictor as an RSGI application: KServe's V1 and V2 protocols for one model."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from mlops_assets.serving.predictor.execution import Execution
from mlops_assets.serving.predictor.log import PredictionLog
from mlops_assets.serving.predictor.metrics import PROTOCOLS, Metrics
from mlops_assets.serving.predictor.model import ServedModel
from mlops_assets.serving.predictor.settings import PredictorSettings
from mlops_assets.serving.protocol import v1, v2
from mlops_assets.serving.protocol.batch import Answer, Batch
from mlops_assets.serving.protocol.http import (
    CLOSING,
    MAX_ID_LENGTH,
    Reply,
    json_reply,
    method_reply,
    refusal_reply,
)
from mlops_assets.serving.protocol.patience import Patience
from mlops_assets.serving.protocol.refusal import RequestError
from mlops_assets.serving.protocol.rsgi import (
    Exchange,
    RequestHeaders,
    Scope,
    make_id,
    read_body,
    send_reply,
)

_LOG = logging.getLogger(__name__)
_V1, _V2 = 0, 1
_TENSOR_KINDS = {"number": "FP64", "category": "BYTES", "boolean": "BOOL"}


class PredictorApp:
    """Answers for one model. Created in the process that serves, once the model is loaded."""

    def __init__(
        self,
        settings: PredictorSettings,
        model: ServedModel,
        execution: Execution,
        metrics: Metrics,
        log: PredictionLog | None = None,
    ) -> None:
        self._log = log
        self._settings = settings
        self._manifest = model.manifest
        self._engine = model.engine
        self._execution = execution
        self._metrics = metrics
        self._v1 = v1.V1Decoder(model.manifest.features)
        self._outputs = (
            (v2.LABELS,) if model.manifest.classes is None else (v2.LABELS, v2.PROBABILITIES)
        )
        self._identity = {
            "model_name": settings.model_name,
            "model_version": settings.model_version,
        }
        classes = model.manifest.classes
        named = self._identity if classes is None else {"classes": classes, **self._identity}
        self._encode_v1 = v1.AnswerEncoder(named).encode
        self._version_header = ("x-model-version", settings.model_version or "unknown")
        self._predict_paths = self._name_predict_paths()
        self._pages = self._name_pages()
        self._patience = Patience(settings.max_body_seconds)
        self.n_in_flight = 0
        self.draining = False
        self.farewell: asyncio.Task[None] | None = None  # kept, or it could be collected

    def _name_predict_paths(self) -> dict[str, int]:
        name, version = self._settings.model_name, self._settings.model_version
        paths = {f"/v1/models/{name}:predict": _V1, f"/v2/models/{name}/infer": _V2}
        if version is not None:
            paths[f"/v2/models/{name}/versions/{version}/infer"] = _V2
        return paths

    def _name_pages(self) -> dict[str, Callable[[], Reply]]:
        name, version = self._settings.model_name, self._settings.model_version
        pages: dict[str, Callable[[], Reply]] = {
            "/": lambda: json_reply({"status": "alive"}),
            "/v1/models": lambda: json_reply({"models": [name]}),
            f"/v1/models/{name}": self._ready_v1,
            "/v2": self._server_metadata,
            "/v2/health/live": lambda: json_reply({"live": True}),
            "/v2/health/ready": lambda: json_reply({"ready": not self.draining}, self._status()),
            "/v2/models": lambda: json_reply({"models": [name]}),
            f"/v2/models/{name}": self._model_metadata,
            f"/v2/models/{name}/ready": self._ready_v1,
            "/metrics": self._render_metrics,
            "/openapi.json": self._openapi,
        }
        if version is not None:
            pages[f"/v2/models/{name}/versions/{version}"] = self._model_metadata
            pages[f"/v2/models/{name}/versions/{version}/ready"] = self._ready_v1
        return pages

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        """One request."""
        path, method = scope.path, scope.method
        protocol = self._predict_paths.get(path)
        if protocol is not None and method == "POST":
            await self._predict(protocol, scope, exchange)
            return
        try:
            reply = self._page(path, method)
        except RequestError as error:
            reply = refusal_reply(error)
        if method == "HEAD":
            reply.body = b""
        send_reply(exchange, reply, [self._version_header])

    async def _predict(self, protocol: int, scope: Scope, exchange: Exchange) -> None:
        """Few awaits and calls: together they cost as much as the model takes for a row."""
        call = _Call(protocol, time.perf_counter(), RequestHeaders(scope.headers))
        self.n_in_flight += 1
        try:
            headers = call.headers
            headers.require_json(binary=protocol == _V2)
            call.prediction_id = headers.caller_id() or ""
            limit = self._settings.max_body_bytes
            body = await read_body(exchange, headers.content_length, limit, self._patience)
            batch = self._decode(call, body)
            answer = self._execution.score_at_once(batch)
            if answer is None:
                answer = await self._execution.score(batch)
            reply = self._encode(call, answer)
            if self._log is not None and not headers.is_probe:
                self._write_log(self._log, call, answer, batch, body)
        except RequestError as error:
            reply = refusal_reply(error)
        except Exception:  # the server must outlive a model's defect
            _LOG.exception("prediction %s failed", call.prediction_id)
            reply = json_reply({"error": "the model failed on this request; see its log"}, 500)
        finally:
            self.n_in_flight -= 1
        self._metrics.count(protocol, reply.status, time.perf_counter() - call.started, call.n_rows)
        self._send(call, reply, exchange)

    def _send(self, call: "_Call", reply: Reply, exchange: Exchange) -> None:
        more = [self._version_header]
        if call.prediction_id:
            more.append(("x-request-id", call.prediction_id))
        if call.unlogged:
            more.append(("x-prediction-log", "dropped: the disk is full"))
        if self.draining or reply.status in CLOSING:
            more.append(("connection", "close"))
        send_reply(exchange, reply, more)

    def _decode(self, call: "_Call", body: bytes) -> Batch:
        if call.protocol == _V1:
            batch = self._v1.decode(body, max_rows=self._settings.max_rows)
        else:
            call.json_length = call.headers.json_size()
            call.request = v2.decode_request(
                body,
                self._manifest.features,
                json_length=call.json_length,
                max_rows=self._settings.max_rows,
                outputs=self._outputs,
            )
            batch = call.request.batch
        call.n_rows = batch.n_rows
        return batch

    def _encode(self, call: "_Call", answer: Answer) -> Reply:
        request = call.request
        if request is None:
            call.prediction_id = call.prediction_id or make_id()
            return Reply(200, self._encode_v1(answer, call.prediction_id))
        call.prediction_id = call.prediction_id or _usable_id(request.id) or make_id()
        content, json_length = v2.encode_answer(
            answer,
            request,
            classes=self._manifest.classes,
            identity={**self._identity, "id": request.id or call.prediction_id},
        )
        if json_length is None:
            return Reply(200, content)
        size = (b"inference-header-content-length", str(json_length).encode())
        return Reply(200, content, b"application/octet-stream", [size])

    def _write_log(
        self, log: PredictionLog, call: "_Call", answer: Answer, batch: Batch, body: bytes
    ) -> None:
        """Before the answer is sent, so that what was answered is logged."""
        written = log.write(
            answer,
            batch,
            prediction_id=call.prediction_id,
            protocol=PROTOCOLS[call.protocol],
            body=body,
            json_length=call.json_length,
            started=call.started,
            shadow=call.headers.is_shadow,
            unit=call.headers.unit,
        )
        if not written:
            call.unlogged = True
            self._metrics.count_unlogged()

    def _page(self, path: str, method: str) -> Reply:
        page = self._pages.get(path.rstrip("/") or "/")
        if page is not None:
            if method in ("GET", "HEAD"):
                return page()
            return method_reply(method, "GET")
        if path in self._predict_paths:
            return method_reply(method, "POST")
        parts = path.split("/")
        if path.startswith(("/v1/models/", "/v2/models/")):
            asked = parts[3].split(":")[0]
            if asked != self._settings.model_name:
                raise RequestError(
                    404,
                    f"Model with name {asked} does not exist; here is {self._settings.model_name}",
                )
        raise RequestError(404, f"no such path: {path}; see /openapi.json")

    def _status(self) -> int:
        return 503 if self.draining else 200

    def _ready_v1(self) -> Reply:
        content = {"name": self._settings.model_name, "ready": not self.draining}
        return json_reply(content, self._status())

    def _server_metadata(self) -> Reply:
        return json_reply(
            {
                "name": "mlops-predictor",
                "version": "1",
                "extensions": ["binary_tensor_data"],
            }
        )

    def _model_metadata(self) -> Reply:
        classes = self._manifest.classes
        outputs = [{"name": v2.LABELS, "datatype": v2.datatype_of(classes), "shape": [-1]}]
        if classes is not None:
            outputs.append(
                {"name": v2.PROBABILITIES, "datatype": "FP64", "shape": [-1, len(classes)]}
            )
        version = self._settings.model_version
        return json_reply(
            {
                "name": self._settings.model_name,
                "versions": [] if version is None else [version],
                "platform": self._engine,
                "inputs": [
                    {"name": field.name, "datatype": _TENSOR_KINDS[field.kind], "shape": [-1, 1]}
                    for field in self._manifest.features
                ],
                "outputs": outputs,
                "properties": {"classes": msgspec.json.encode(classes).decode()},
            }
        )

    def _render_metrics(self) -> Reply:
        settings, unshipped_bytes = self._settings, None
        if settings.log_sink is not None and settings.log_dir is not None:
            from mlops_assets.serving.prediction_log.shipping import count_unshipped_bytes

            unshipped_bytes = count_unshipped_bytes(settings.log_dir)
        text = self._metrics.render(
            settings.model_name,
            settings.model_version or "unknown",
            unshipped_bytes=unshipped_bytes,
        )
        return Reply(200, text.encode(), b"text/plain; version=0.0.4; charset=utf-8")

    def _openapi(self) -> Reply:
        from mlops_assets.serving.predictor.openapi import build_openapi

        settings = self._settings
        return json_reply(
            build_openapi(
                settings.model_name, settings.model_version, self._manifest, settings.max_rows
            )
        )


@dataclass(slots=True)
class _Call:
    """One prediction request on its way."""

    protocol: int
    started: float
    headers: RequestHeaders
    prediction_id: str = ""
    n_rows: int = 0
    json_length: int | None = None
    request: v2.InferBatch | None = None
    unlogged: bool = False


def _usable_id(text: str | None) -> str | None:
    """The id of a V2 body, if it can be a header's value too."""
    usable = text and len(text) <= MAX_ID_LENGTH and text.isascii() and text.isprintable()
    return text if usable else None

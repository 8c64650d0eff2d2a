"""One prediction request, from its body to its answer.

Few calls and nothing that waits: for a single row they cost half as much as the model takes.
Not here: which paths there are (`app.py`), how rows are read (`protocol/`) and when a batch is
computed (`execution.py`).
"""

import asyncio
import logging
import time

from mlops_assets.serving.http_server.arrival import Arrival
from mlops_assets.serving.prediction_log.records import PredictionRecord
from mlops_assets.serving.predictor.execution import Execution
from mlops_assets.serving.predictor.group_commit import (
    PATIENT_BYTES,
    PATIENT_SECONDS,
    GroupCommit,
)
from mlops_assets.serving.predictor.log import PredictionLog
from mlops_assets.serving.predictor.metrics import PROTOCOLS, Metrics
from mlops_assets.serving.predictor.model import ServedModel
from mlops_assets.serving.predictor.settings import PredictorSettings
from mlops_assets.serving.predictor.turn import Turn
from mlops_assets.serving.protocol import v1, v2
from mlops_assets.serving.protocol.batch import Answer, Batch
from mlops_assets.serving.protocol.http import (
    JSON,
    VERSION_HEADER,
    Reply,
    json_reply,
    refusal_reply,
)
from mlops_assets.serving.protocol.patience import Patience
from mlops_assets.serving.protocol.refusal import RequestError
from mlops_assets.serving.protocol.rsgi import (
    Exchange,
    RequestHeaders,
    make_id,
    send_reply,
    usable_id,
)

_LOG = logging.getLogger(__name__)
V1, V2 = 0, 1


class Desk:
    """What all calls of one process share.

    Attributes:
        n_in_flight: Requests that are not answered yet.
        draining: From now on answers tell clients to leave.
        patience: With bodies.
        is_behind_gateway: Whether nobody else can reach us, so that what it says of a request is
            true. Elsewhere a caller could keep itself out of the log.
    """

    def __init__(
        self,
        settings: PredictorSettings,
        model: ServedModel,
        execution: Execution,
        metrics: Metrics,
        log: PredictionLog | None,
    ) -> None:
        features, classes = model.manifest.features, model.manifest.classes
        self.draining = False
        self.patience = Patience(settings.max_body_seconds)
        self.is_behind_gateway = settings.socket_path is not None
        self.execution = execution
        self.log = log
        self.group_commit = GroupCommit(_append_nothing if log is None else log.append)
        self.max_rows = settings.max_rows
        self.classes = classes
        self.identity = {
            "model_name": settings.model_name,
            "model_version": settings.model_version,
        }
        named = self.identity if classes is None else {"classes": classes, **self.identity}
        outputs = (v2.LABELS,) if classes is None else (v2.LABELS, v2.PROBABILITIES)
        self.decode_v1 = v1.V1Decoder(features).decode
        self.decode_v2 = v2.V2Decoder(features, outputs).decode
        self.encode_v1 = v1.AnswerEncoder(named).encode
        self.version_header = (VERSION_HEADER, settings.model_version or "unknown")
        self.turn = Turn()
        self.counters = metrics.counters()
        self.n_in_flight = 0
        self.tasks: set[asyncio.Task[None]] = set()  # kept, or they could be collected


def _append_nothing(*_records: bytes) -> bool:
    """What a predictor without a log writes."""
    return True


class PredictionCall(Arrival):
    """One prediction request on its way.

    Args:
        desk: What it shares with others.
        protocol: Position in PROTOCOLS.
        headers: Of the request.
        exchange: The way to its body and to its answer.
        loop: The event loop.
    """

    _id = ""
    _n_rows = 0
    _unlogged = False
    _json_length: int | None = None
    _request: v2.InferBatch | None = None
    _batch: Batch
    _request_body: bytes
    _reply: Reply

    def __init__(
        self,
        desk: Desk,
        protocol: int,
        headers: RequestHeaders,
        exchange: Exchange,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._started = time.perf_counter()
        self.exchange = exchange
        self.loop = loop
        self.patience = desk.patience
        self._desk = desk
        self._protocol = protocol
        self._headers = headers
        desk.n_in_flight += 1

    def take(self, body: bytes) -> None:
        """Answer now or in the next turn, and what is slow as a task."""
        if self._desk.turn.puts_off(self, body):
            return
        if not self._is_answered_at_once(body):
            task = self.loop.create_task(self._answer_slowly())
            self._desk.tasks.add(task)
            task.add_done_callback(self._desk.tasks.discard)

    def refuse(self, error: RequestError) -> None:
        """Say what is wrong."""
        self._send(refusal_reply(error))

    async def answer(self, body: bytes) -> None:
        """Answer a request that is a task already."""
        if not self._is_answered_at_once(body):
            await self._answer_slowly()

    def _is_answered_at_once(self, body: bytes) -> bool:
        desk = self._desk
        others = desk.group_commit
        try:
            if others.n_waiting and len(body) > PATIENT_BYTES:
                others.commit()
            batch = self._decode(body)
            if others.n_waiting and desk.execution.cost.seconds(batch.n_rows) > PATIENT_SECONDS:
                others.commit()
            answer = desk.execution.score_at_once(batch)
            if answer is None:
                self._batch, self._request_body = batch, body
                return False
            self._conclude(answer, batch, body)
        except RequestError as error:
            self.refuse(error)
        except Exception:  # the server must outlive a model's defect
            self.fail()
        return True

    async def _answer_slowly(self) -> None:
        try:
            answer = await self._desk.execution.score(self._batch)
            self._conclude(answer, self._batch, self._request_body)
        except RequestError as error:
            self.refuse(error)
        except Exception:
            self.fail()

    def fail(self) -> None:
        """Say that it failed, by the exception under way: the model's, or the log's."""
        _LOG.exception("prediction %s failed", self._id)
        self._send(json_reply({"error": "the model failed on this request; see its log"}, 500))

    def _decode(self, body: bytes) -> Batch:
        desk, headers = self._desk, self._headers
        if not headers.is_plain_json:
            headers.require_json(binary=self._protocol == V2)
        self._id = headers.caller_id() or ""
        if self._protocol == V1:
            batch = desk.decode_v1(body, desk.max_rows)
        else:
            self._json_length = headers.json_size()
            self._request = desk.decode_v2(body, desk.max_rows, self._json_length)
            batch = self._request.batch
        self._n_rows = batch.n_rows
        return batch

    def _conclude(self, answer: Answer, batch: Batch, body: bytes) -> None:
        """Encode, log, send: in this order, so that what was answered is logged."""
        desk, request, more, kind = self._desk, self._request, None, JSON
        if request is None:
            self._id = self._id or make_id()
            content = desk.encode_v1(answer, self._id)
        else:
            self._id = self._id or usable_id(request.id) or make_id()
            content, json_length = v2.encode_answer(
                answer,
                request,
                classes=desk.classes,
                identity={**desk.identity, "id": request.id or self._id},
            )
            if json_length is not None:
                kind = "application/octet-stream"
                more = [("inference-header-content-length", str(json_length))]
        reply = Reply(200, content, kind, more)
        if desk.is_behind_gateway and self._headers.is_probe:
            self._send(reply)
            return
        self._reply = reply
        log = desk.log
        record = b"" if log is None else log.encode(self._record(answer, body), batch)
        desk.group_commit.send_soon(self, record, self.loop)

    def _record(self, answer: Answer, body: bytes) -> PredictionRecord:
        shares, is_shadow, unit = answer.probabilities, False, ""
        if self._desk.is_behind_gateway:
            is_shadow, unit = self._headers.is_shadow, self._headers.unit
        latency_ns = int((time.perf_counter() - self._started) * 1e9)
        return PredictionRecord(
            self._id,
            time.time_ns() - latency_ns,
            PROTOCOLS[self._protocol],
            latency_ns,
            body,
            self._json_length,
            answer.labels,
            None if shares is None else shares.tobytes(),
            is_shadow,
            unit,
        )

    def send_logged(self, *, is_logged: bool) -> None:
        """Send the answer, whose record is in the log, or had no room there."""
        if not is_logged:
            self._unlogged = True
            self._desk.counters.count_unlogged()
        try:
            self._send(self._reply)
        except Exception:  # the others that were logged with it must be sent, too
            self.fail()

    def _send(self, reply: Reply) -> None:
        desk = self._desk
        seconds = time.perf_counter() - self._started
        desk.counters.count(self._protocol, reply.status, seconds, self._n_rows)
        more = [desk.version_header]
        if self._id:
            more.append(("x-request-id", self._id))
        if self._unlogged:
            more.append(("x-prediction-log", "dropped: the disk is full"))
        send_reply(self.exchange, reply, more, draining=desk.draining)
        desk.n_in_flight -= 1

"""One prediction request, from its body to its answer.

Few calls and nothing that waits: for a single row they cost half as much as the model takes.
Not here: which paths there are (`app.py`), how rows are read (`protocol/`) and when a batch is
computed (`execution.py`).
"""

import asyncio
import logging
import time

from mlops_assets.serving.eager import Arrival
from mlops_assets.serving.prediction_log.records import PredictionRecord
from mlops_assets.serving.predictor.execution import Execution
from mlops_assets.serving.predictor.group_commit import GroupCommit
from mlops_assets.serving.predictor.log import PredictionLog
from mlops_assets.serving.predictor.metrics import EVENT_LOOP, PROTOCOLS, SERVER_THREAD, Metrics
from mlops_assets.serving.predictor.model import ServedModel
from mlops_assets.serving.predictor.settings import PredictorSettings
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
        self.group_commit = GroupCommit(log, self.patience) if log is not None else None
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
        self.counters = [metrics.counters(thread) for thread in (SERVER_THREAD, EVENT_LOOP)]
        # Each item is changed by one thread only.
        self.n_begun, self.n_ended = [0, 0], [0, 0]
        self.tasks: set[asyncio.Task[None]] = set()  # kept, or they could be collected

    @property
    def n_in_flight(self) -> int:
        """Requests that are not answered yet."""
        n_ended = sum(self.n_ended)  # first: what begins and ends meanwhile must hide no other
        return sum(self.n_begun) - n_ended


class PredictionCall(Arrival):
    """One prediction request on its way.

    Args:
        desk: What it shares with others.
        protocol: Position in PROTOCOLS.
        headers: Of the request.
        exchange: The way to its body and to its answer.
        loop: The event loop.
        thread: Which thread it is made in.
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
        thread: int = SERVER_THREAD,
    ) -> None:
        self._started = time.perf_counter()
        self.exchange = exchange
        self.loop = loop
        self.patience = desk.patience
        self._desk = desk
        self._protocol = protocol
        self._headers = headers
        self._thread = thread
        desk.n_begun[thread] += 1

    def take(self, body: bytes) -> None:
        """Answer at once, or else in the event loop."""
        if not self._is_answered_at_once(body):
            self.loop.call_soon_threadsafe(self._go_on)

    def give_up(self) -> None:
        """The body did not come in time."""
        self._thread = EVENT_LOOP
        super().give_up()

    def refuse(self, error: RequestError) -> None:
        """Say what is wrong."""
        self._send(refusal_reply(error))

    async def answer(self, body: bytes) -> None:
        """Answer a request that is a task of the event loop."""
        if not self._is_answered_at_once(body):
            await self._answer_slowly()

    def _go_on(self) -> None:
        self._thread = EVENT_LOOP
        task = self.loop.create_task(self._answer_slowly())
        self._desk.tasks.add(task)
        task.add_done_callback(self._desk.tasks.discard)

    def _is_answered_at_once(self, body: bytes) -> bool:
        try:
            batch = self._decode(body)
            answer = self._desk.execution.score_at_once(batch)
            if answer is None:
                self._batch, self._request_body = batch, body
                return False
            self._conclude(answer, batch, body)
        except RequestError as error:
            self.refuse(error)
        except Exception:  # the server must outlive a model's defect
            self._fail()
        return True

    async def _answer_slowly(self) -> None:
        try:
            answer = await self._desk.execution.score(self._batch)
            self._conclude(answer, self._batch, self._request_body)
        except RequestError as error:
            self.refuse(error)
        except Exception:
            self._fail()

    def _fail(self) -> None:
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
        commit = desk.group_commit
        if commit is None or (desk.is_behind_gateway and self._headers.is_probe):
            self._send(reply)
            return
        self._reply = reply
        record = commit.log.encode(self._record(answer, body), batch)
        if self._thread == SERVER_THREAD:
            commit.send_soon(self, record, self.loop)
        else:
            commit.send_now(self, record)

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

    def send_logged(self, thread: int, *, is_logged: bool) -> None:
        """Send the answer, whose record is in the log, or had no room there."""
        self._thread = thread
        if not is_logged:
            self._unlogged = True
            self._desk.counters[thread].count_unlogged()
        try:
            self._send(self._reply)
        except Exception:  # the others that were logged with it must be sent, too
            self._fail()

    def fail(self, thread: int) -> None:
        """Say that the log cannot be written, by the exception under way."""
        self._thread = thread
        self._fail()

    def _send(self, reply: Reply) -> None:
        desk, thread = self._desk, self._thread
        seconds = time.perf_counter() - self._started
        desk.counters[thread].count(self._protocol, reply.status, seconds, self._n_rows)
        more = [desk.version_header]
        if self._id:
            more.append(("x-request-id", self._id))
        if self._unlogged:
            more.append(("x-prediction-log", "dropped: the disk is full"))
        send_reply(self.exchange, reply, more, draining=desk.draining)
        desk.n_ended[thread] += 1

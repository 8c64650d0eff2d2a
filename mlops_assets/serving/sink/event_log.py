"""Events on the sink's own disk: appended, then synced for many requests at once."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from mlops_assets.errors import ServingError
from mlops_assets.kserve.manifest import MODEL_VERSION
from mlops_assets.serving.home import ServingHome
from mlops_assets.serving.prediction_log.halves import HalfRecord
from mlops_assets.serving.prediction_log.records import Preamble, RecordReader, encode
from mlops_assets.serving.prediction_log.segments import SegmentWriter
from mlops_assets.serving.prediction_log.wire import PREDICTION, REQUEST, decode_prediction
from mlops_assets.serving.protocol.refusal import UNREADABLE, RequestError, shown
from mlops_assets.serving.sink.cloud_events import Event

_MOST_OPEN = 64
_ANNOTATIONS = msgspec.json.Decoder(dict[str, str])


class EventLog:
    """Segments of what came in, one series for each revision that predicts."""

    def __init__(self, home: ServingHome) -> None:
        self._home = home
        self._writers: OrderedDict[Path, SegmentWriter] = OrderedDict()
        self._usable: set[bytes] = set()
        self._waiting: set[SegmentWriter] = set()
        self._next: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None

    async def write(self, events: Collection[Event]) -> None:
        """Returns once the disk holds all of the events.

        Raises:
            RequestError: 400, an event is wrong and nothing was written; 503, the disk is full or
                cannot be written, and sending all again does no harm.
        """
        places = [self._place(event, position) for position, event in enumerate(events)]
        try:
            await self._sync(self._append(places))
        except OSError as error:
            raise RequestError(503, f"the sink's disk: {error}", retry_after_seconds=10) from error

    def _append(self, places: list[tuple[Path, bytes, bytes]]) -> set[SegmentWriter]:
        """Write records where they belong. Returns whose files have to be synced."""
        touched = set()
        for folder, preamble, record in places:
            writer = self._writer(folder, preamble)
            if not writer.append(record):
                raise RequestError(503, "the sink's disk is full", retry_after_seconds=60)
            touched.add(writer)
        return touched

    def _place(self, event: Event, position: int) -> tuple[Path, bytes, bytes]:
        """Folder, preamble and record of an event."""
        if event.type != PREDICTION:
            preamble = encode(Preamble(event.inferenceservicename, "", None, [], None))
            return self._home.events / event.inferenceservicename, preamble, _half(event)
        where = f"event {position}: data"
        try:
            of, prediction = decode_prediction(event.payload)
        except UNREADABLE as error:
            raise RequestError(400, f"{where}: {error}") from error
        if (of.service, prediction.prediction_id) != (event.inferenceservicename, event.id):
            raise RequestError(
                400,
                f"{where}: expected service and id of the event, found {shown(of.service)} and "
                f"{shown(prediction.prediction_id)}",
            )
        preamble = encode(of)
        self._require_usable(of, preamble, where)
        folder = self._home.predictions / of.service / hashlib.sha256(preamble).hexdigest()[:16]
        return folder, preamble, encode(prediction)

    def _require_usable(self, of: Preamble, preamble: bytes, where: str) -> None:
        if preamble in self._usable:
            return
        try:
            RecordReader(of)
        except (ServingError, ValueError, TypeError) as error:
            raise RequestError(400, f"{where}: features: {error}") from error
        self._usable.add(preamble)

    def _writer(self, folder: Path, preamble: bytes) -> SegmentWriter:
        """The writer of a folder; the one that was used longest ago is closed when many are."""
        if folder in self._writers:
            self._writers.move_to_end(folder)
            return self._writers[folder]
        self._writers[folder] = SegmentWriter(folder, preamble)
        if len(self._writers) > _MOST_OPEN:
            self._writers.popitem(last=False)[1].close()
        return self._writers[folder]

    async def _sync(self, writers: set[SegmentWriter]) -> None:
        """Wait for a sync that begins after this call; requests that come meanwhile share it."""
        self._waiting |= writers
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._sync_waiting())
        await asyncio.shield(self._next)

    async def _sync_waiting(self) -> None:
        if self._running is not None and not self._running.done():
            await asyncio.wait([self._running])
        self._running, self._next = self._next, None
        writers, self._waiting = self._waiting, set()
        await asyncio.to_thread(_sync_all, writers)

    def close(self) -> None:
        """Close the segments."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()


def _sync_all(writers: set[SegmentWriter]) -> None:
    for writer in writers:
        writer.sync()


def _half(event: Event) -> bytes:
    now = time.time_ns()
    version, at_ns = None, now
    if event.annotations:
        try:
            version = _ANNOTATIONS.decode(event.annotations).get(MODEL_VERSION)
        except UNREADABLE:
            version = None  # the annotations of a pod are not ours to judge
    if event.time is not None:
        aware = event.time if event.time.tzinfo else event.time.replace(tzinfo=UTC)
        at_ns = int((aware - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6) * 1000
    return encode(
        HalfRecord(
            event_id=event.id,
            kind="request" if event.type == REQUEST else "response",
            at_ns=at_ns,
            received_ns=now,
            namespace=event.namespace,
            component=event.component,
            revision=event.endpoint,
            model_version=version,
            content_type=event.datacontenttype,
            body=event.payload,
        )
    )

"""Ground truth as callers post it: checked, and durable before it is acknowledged."""

import asyncio
import base64
import hmac
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from mlops_assets.errors import PlatformError
from mlops_assets.serving.prediction_log.records import (
    Preamble,
    TruthRecord,
    encode,
    label_text,
)
from mlops_assets.serving.prediction_log.segments import SegmentWriter
from mlops_assets.serving.prediction_log.wire import is_service_name, is_storable
from mlops_assets.serving.protocol.http import MAX_ID_LENGTH
from mlops_assets.serving.protocol.refusal import UNREADABLE, RequestError

TOKEN_VARIABLE = "MLOPS_SINK_TOKEN"
_MAX_ITEMS = 10_000
_MOST_OPEN = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TruthItem(msgspec.Struct, forbid_unknown_fields=True):
    """What turned out to be true of one prediction.

    Attributes:
        service: Whose prediction it was.
        id: Id of the prediction.
        value: The true label or number.
        time: When it became true; by default now. Without a zone it is UTC.
        row: Row of the request, when it had several.
    """

    service: str
    id: str
    value: str | int | float | bool
    time: datetime | None = None
    row: int = 0


class TruthBatch(msgspec.Struct, forbid_unknown_fields=True):
    """Several at once."""

    items: list[TruthItem]


_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_DECODER = msgspec.json.Decoder(TruthItem)
_BATCHES = msgspec.json.Decoder(TruthBatch)


def read_truths(body: bytes, services: Collection[str] | None = None) -> list[TruthItem]:
    """The truths of a request's body: one object, or `{"items": [...]}`.

    Args:
        body: The request's.
        services: The services that there are; None when nobody knows, and any name will do.

    Raises:
        RequestError: 400 with the place, the expected and the found.
    """
    try:
        several = b'"items"' in body and "items" in _FIELDS.decode(body)
        items = _BATCHES.decode(body).items if several else [_DECODER.decode(body)]
    except UNREADABLE as error:
        raise RequestError(400, f"ground truth: {error}") from error
    if not 0 < len(items) <= _MAX_ITEMS:
        raise RequestError(400, f"items: expected 1 to {_MAX_ITEMS:,}, found {len(items):,}")
    for position, item in enumerate(items):
        if not is_service_name(item.service) if services is None else item.service not in services:
            known = "the services" if services is None else ", ".join(sorted(services)) or "none"
            raise RequestError(
                400, f"items[{position}].service: expected one of {known}, found {item.service!r}"
            )
        if not 0 < len(item.id) <= MAX_ID_LENGTH or not 0 <= item.row < 2**31:
            raise RequestError(
                400, f"items[{position}]: expected an id of 1 to {MAX_ID_LENGTH} letters, row ≥ 0"
            )
        if item.time is not None and not is_storable(item.time):
            raise RequestError(
                400, f"items[{position}].time: expected 1700 to 2199, found {item.time.isoformat()}"
            )
    return items


def read_token(file: Path | None, environment: Mapping[str, str]) -> str | None:
    """The token of the sink: what a file holds, else `MLOPS_SINK_TOKEN`; None when neither is set.

    Raises:
        PlatformError: the file cannot be read, or the token is no printable ASCII.
    """
    try:
        token = environment.get(TOKEN_VARIABLE) if file is None else file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PlatformError(f"the sink's token cannot be read: {error}") from error
    if file is None and not token:
        return None
    if not token or not (token.isascii() and token.isprintable()):
        raise PlatformError(
            f"{file or TOKEN_VARIABLE}: expected a token of printable ASCII, found none"
        )
    return token


def require_token(token: str | None, sent: str | None) -> None:
    """Raises RequestError 401 when a token is set and the request does not bear it.

    It may come as the password of basic authentication too: KServe's agent has only its URL.

    Args:
        token: What is set.
        sent: The request's header `authorization`.
    """
    if token is None:
        return
    borne = (sent or "").encode()
    if borne[:6].lower() == b"basic ":
        borne = b"Bearer " + _decode_base64(borne[6:]).partition(b":")[2]
    if not hmac.compare_digest(borne, b"Bearer " + token.encode()):
        raise RequestError(401, "authorization: expected the bearer token of the sink")


def _decode_base64(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


class TruthLog:
    """Segments of ground truth, one series for each service."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, SegmentWriter] = {}

    async def write(self, items: list[TruthItem]) -> None:
        """Write truths and have the disk hold them. A slow disk holds up no other caller.

        Raises:
            RequestError: 503, the disk is full or fails; those before the first that failed are
                written, and writing them again does no harm.
        """
        now = time.time_ns()
        used = {item.service for item in items}
        try:
            for item in items:
                text, at_ns = label_text(item.value), _at_ns(item, now)
                record = TruthRecord(item.id, item.row, text, at_ns, now)
                if not self._writer(item.service).append(encode(record)):
                    raise RequestError(503, "the disk is full", retry_after_seconds=60)
            await asyncio.to_thread(_sync_all, [self._writers[service] for service in used])
        except OSError as error:
            raise RequestError(503, f"the disk: {error}", retry_after_seconds=10) from error
        n_spare = max(0, len(self._writers) - _MOST_OPEN)
        for service in sorted(self._writers.keys() - used)[:n_spare]:
            self._writers.pop(service).close()

    def _writer(self, service: str) -> SegmentWriter:
        if service not in self._writers:
            preamble = encode(Preamble(service, "", None, [], None))
            self._writers[service] = SegmentWriter(self._folder / service, preamble)
        return self._writers[service]

    def close(self) -> None:
        """Close the segments."""
        for writer in self._writers.values():
            writer.close()


def _sync_all(writers: list[SegmentWriter]) -> None:
    for writer in writers:
        writer.sync()


def _at_ns(item: TruthItem, now: int) -> int:
    if item.time is None:
        return now
    return (_aware(item.time) - _EPOCH) // timedelta(microseconds=1) * 1_000


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

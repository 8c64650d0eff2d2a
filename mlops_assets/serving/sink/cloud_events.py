"""CloudEvents 1.0 over HTTP: structured, batched and binary mode, as JSON.

KServe's agent sends binary mode: the attributes are headers `ce-…`, the body is the payload of the
predictor as it was, so its content type says nothing of an event.
"""

from datetime import datetime
from urllib.parse import unquote

import msgspec

from mlops_assets.serving.prediction_log.wire import TYPES, is_service_name, is_storable
from mlops_assets.serving.protocol.http import MAX_ID_LENGTH
from mlops_assets.serving.protocol.refusal import UNREADABLE, RequestError, shown
from mlops_assets.serving.protocol.rsgi import HeaderValues

_STRUCTURED = "application/cloudevents+json"
_BATCHED = "application/cloudevents-batch+json"
_MAX_EVENTS = 20_000


class Event(msgspec.Struct, kw_only=True):
    """One event. Attributes that mean nothing here are passed over.

    Attributes:
        endpoint: The revision, where somebody said so; KServe's agent takes it from a pod's label.
        annotations: JSON text; KServe's agent takes it from a pod's annotations.
    """

    specversion: str
    type: str
    id: str
    source: str
    inferenceservicename: str
    time: datetime | None = None
    namespace: str = ""
    component: str = ""
    endpoint: str = ""
    annotations: str = ""
    datacontenttype: str = "application/json"
    data: msgspec.Raw = msgspec.Raw(b"")
    data_base64: bytes | None = None

    @property
    def payload(self) -> bytes:
        """The data as it was sent."""
        return bytes(self.data) if self.data_base64 is None else self.data_base64


_ONE = msgspec.json.Decoder(Event)
_MANY = msgspec.json.Decoder(list[Event])
_ATTRIBUTES = frozenset(Event.__struct_fields__) - {"data", "data_base64", "datacontenttype"}


def read_events(headers: HeaderValues, body: bytes) -> list[Event]:
    """The events of a request.

    Raises:
        RequestError: 400 or 415, names the event, the attribute, the expected and the found.
    """
    encoding = headers.get("content-encoding")
    if encoding not in (None, "", "identity"):
        raise RequestError(415, f"content-encoding: expected none, found {encoding!r}")
    content_type = headers.get("content-type") or ""
    kind = content_type.split(";", 1)[0].strip().lower()
    try:
        if kind == _BATCHED:
            events = _MANY.decode(body)
        elif kind == _STRUCTURED:
            events = [_ONE.decode(body)]
        elif "ce-specversion" in headers:
            events = [_read_binary(headers, content_type, body)]
        else:
            raise RequestError(
                415,
                f"content-type: expected {_STRUCTURED}, {_BATCHED} or the headers ce-specversion, "
                f"ce-type, ce-id and ce-source, found {content_type or 'none'}",
            )
    except UNREADABLE as error:
        raise RequestError(400, f"CloudEvents: {error}") from error
    if not 0 < len(events) <= _MAX_EVENTS:
        raise RequestError(400, f"expected 1 to {_MAX_EVENTS:,} events, found {len(events):,}")
    for position, event in enumerate(events):
        _require_usable(event, f"event {position}: ")
    return events


def _read_binary(headers: HeaderValues, content_type: str, body: bytes) -> Event:
    known: dict[str, str] = {}
    for name in _ATTRIBUTES:
        header = f"ce-{name}"
        value = headers.get(header)
        if value is not None:
            known[name] = unquote(value)
        elif header in headers:
            raise RequestError(400, f"{header}: expected ASCII, percent-encoded beyond it")
    known["datacontenttype"] = content_type or "application/json"
    event = msgspec.convert(known, Event)
    event.data_base64 = body
    return event


def _require_usable(event: Event, where: str) -> None:
    if event.specversion != "1.0":
        raise RequestError(
            400, f"{where}specversion: expected 1.0, found {shown(event.specversion)}"
        )
    if event.type not in TYPES:
        raise RequestError(
            400, f"{where}type: expected one of {', '.join(TYPES)}, found {shown(event.type)}"
        )
    if not 0 < len(event.id) <= MAX_ID_LENGTH or not event.id.isprintable():
        raise RequestError(
            400,
            f"{where}id: expected 1 to {MAX_ID_LENGTH} printable characters, "
            f"found {shown(event.id)}",
        )
    if event.time is not None and not is_storable(event.time):
        raise RequestError(
            400, f"{where}time: expected 1700 to 2199, found {event.time.isoformat()}"
        )
    if not is_service_name(event.inferenceservicename):
        raise RequestError(
            400,
            f"{where}inferenceservicename: expected the name of a service, "
            f"found {shown(event.inferenceservicename)}",
        )

"""Predictions as CloudEvents 1.0, as predictors ship them and the sink takes them.

Here: our own event, one for each answered request, with all that the log keeps of it, and the names
of KServe's. Ours carries the attributes that KServe's agent sets (`inferenceservicename`,
`namespace`, `component`, `endpoint`), so whoever reads those reads these.
Not here: how events lie in HTTP requests (`sink/cloud_events.py`).
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from mlops_assets.serving.prediction_log.records import Preamble, PredictionRecord

PREDICTION = "mlops-assets.prediction"
REQUEST = "org.kubeflow.serving.inference.request"
RESPONSE = "org.kubeflow.serving.inference.response"
TYPES = (PREDICTION, REQUEST, RESPONSE)
BATCH_TYPE = b"application/cloudevents-batch+json"
_MAX_NAME_LENGTH = 63
_NAME_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")

# The record with named fields: what lies on the wire is read by other programs and by people.
_Named: Any = msgspec.defstruct(
    "Prediction",
    [
        (field.name, field.type)
        if field.default is msgspec.NODEFAULT
        else (field.name, field.type, field.default)
        for field in msgspec.structs.fields(PredictionRecord)
    ],
)
_Data: Any = msgspec.defstruct("PredictionData", [("of", Preamble), ("prediction", _Named)])
_DECODER = msgspec.json.Decoder(_Data)
_RECORDS = msgspec.msgpack.Decoder(PredictionRecord)
_ENCODER = msgspec.json.Encoder()


class PredictionEvent(msgspec.Struct):
    """One answered request on the wire."""

    specversion: str
    type: str
    id: str
    source: str
    time: datetime
    inferenceservicename: str
    namespace: str
    component: str
    endpoint: str
    datacontenttype: str
    data: Any


def encode_batch(preamble: Preamble, records: list[bytes], namespace: str) -> bytes:
    """The body of a request (batched mode) that carries records of one segment.

    Raises:
        msgspec.DecodeError: a record is none that this version writes.
    """
    return _ENCODER.encode([_event(preamble, _RECORDS.decode(r), namespace) for r in records])


def _event(preamble: Preamble, record: PredictionRecord, namespace: str) -> PredictionEvent:
    named = _Named(*(getattr(record, name) for name in PredictionRecord.__struct_fields__))
    return PredictionEvent(
        specversion="1.0",
        type=PREDICTION,
        id=record.prediction_id,
        source=f"/{namespace}/{preamble.service}/{preamble.revision}",
        time=datetime.fromtimestamp(record.at_ns // 1000 / 1e6, UTC),
        inferenceservicename=preamble.service,
        namespace=namespace,
        component="predictor",
        endpoint=preamble.revision,
        datacontenttype="application/json",
        data=_Data(preamble, named),
    )


def decode_prediction(data: bytes) -> tuple[Preamble, PredictionRecord]:
    """What an event of ours carries.

    Raises:
        msgspec.DecodeError: names the field, the expected and the found.
    """
    found = _DECODER.decode(data)
    named = found.prediction
    values = (getattr(named, name) for name in PredictionRecord.__struct_fields__)
    return found.of, PredictionRecord(*values)


def is_storable(moment: datetime) -> bool:
    """Whether a time fits the nanoseconds of a record, with room for any zone.

    >>> [is_storable(datetime(year, 1, 1, tzinfo=UTC)) for year in (1699, 1700, 2199, 2200)]
    [False, True, True, False]
    """
    return 1700 <= moment.year < 2200


def is_service_name(name: str) -> bool:
    """Whether a service may be called so; its tables are, and a name must not leave their folder.

    >>> [is_service_name(name) for name in ("flight-delay", "../etc", "a/b", "")]
    [True, False, False, False]
    """
    fits = 0 < len(name) <= _MAX_NAME_LENGTH and _NAME_LETTERS.issuperset(name)
    return fits and name[0] != "-" != name[-1]

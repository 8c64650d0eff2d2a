"""What is logged of a prediction, and how it is read again."""

import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlops_assets.errors import ServingError
from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.serving.protocol.batch import Batch, Row
from mlops_assets.serving.protocol.refusal import RequestError
from mlops_assets.serving.protocol.v1 import V1Decoder
from mlops_assets.serving.protocol.v2 import LABELS, PROBABILITIES, V2Decoder

FEATURE_PREFIX = "feature__"
PROBE_PREFIX = "mlops-probe-"
"""Begin of the id of a request that the platform itself sent, to see whether a service answers."""
_NO_LIMIT = 2**40


class Preamble(msgspec.Struct, frozen=True):
    """First record of a segment: whose predictions follow.

    Attributes:
        service: Name of the InferenceService.
        revision: Name of the revision, or of the model where there is none.
        model_version: Version in the registry, if known.
        features: Name and kind of each feature.
        classes: Labels in the order of the probabilities.
        redacted: Whether bodies are columns that a `Redaction` wrote, not requests as they came.
    """

    service: str
    revision: str
    model_version: str | None
    features: list[tuple[str, str]]
    classes: list[str | int | bool] | None
    redacted: bool = False


class PredictionRecord(msgspec.Struct, array_like=True, frozen=True):
    """One answered request, with the request as it was sent.

    `probabilities` are the floats as the model gave them, rows by classes, of 4 or 8 bytes each.
    """

    prediction_id: str
    at_ns: int
    protocol: str
    latency_ns: int
    body: bytes
    json_length: int | None
    labels: list[Any]
    probabilities: bytes | None
    shadow: bool = False
    unit: str = ""  # hash of the sticky header or the entity; empty when nothing is sticky


LOST = 0


class FailureRecord(msgspec.Struct, array_like=True, frozen=True):
    """One request that a revision did not answer as it should.

    `status` is what it answered: 4xx or 5xx; 504 when it took too long; `LOST` when its process
    died with the request, which another revision may have answered then.
    """

    revision: str
    prediction_id: str
    at_ns: int
    status: int
    latency_ns: int
    unit: str = ""
    shadow: bool = False


class TruthRecord(msgspec.Struct, array_like=True, frozen=True):
    """What turned out to be true of a prediction."""

    prediction_id: str
    row: int
    value: str
    at_ns: int
    received_ns: int


encode: Callable[[msgspec.Struct], bytes] = msgspec.msgpack.Encoder().encode
"""The bytes of a record. No function around it: each call of one costs every answer."""

_PREAMBLE = msgspec.msgpack.Decoder(Preamble)
_COLUMNS = msgspec.msgpack.Decoder(list[list[Any]])
_RECORD = msgspec.msgpack.Decoder(PredictionRecord)


def read_preamble(record: bytes) -> Preamble:
    """The first record of a segment.

    Raises:
        ServingError: it is none that this version reads.
    """
    try:
        return _PREAMBLE.decode(record)
    except msgspec.DecodeError as error:
        raise ServingError(f"a segment begins with no preamble: {error}") from error


class LoggedAnswer(NamedTuple):
    """A record that was read.

    Attributes:
        record: As it was written.
        rows: Plain values of the features in the order of the preamble, None where missing.
        shares: Probabilities, rows by classes; None where the model gave none.
    """

    record: PredictionRecord
    rows: Sequence[Row]
    shares: NDArray[Any] | None


class RecordReader:
    """Reads the records of one segment.

    Raises:
        ValueError: a feature of the preamble is none.
    """

    def __init__(self, preamble: Preamble) -> None:
        self.preamble = preamble
        self._features = [
            FeatureField.model_validate({"name": name, "kind": kind})
            for name, kind in preamble.features
        ]
        self._v1 = V1Decoder(self._features)
        self._v2 = V2Decoder(self._features, (LABELS, PROBABILITIES))

    def read(self, record: bytes) -> LoggedAnswer:
        """One record.

        Raises:
            ServingError: it is none that this version reads.
        """
        try:
            found = _RECORD.decode(record)
            rows = self._rows(found)
            if len(rows) != len(found.labels):
                raise ValueError(f"{len(found.labels)} labels of {len(rows)} rows")
            return LoggedAnswer(found, rows, self._shares(found.probabilities, len(rows)))
        except (msgspec.DecodeError, RequestError, ValueError) as error:
            raise ServingError(f"a logged prediction cannot be read: {error}") from error

    def _shares(self, probabilities: bytes | None, n_rows: int) -> NDArray[Any] | None:
        classes = self.preamble.classes
        if probabilities is None or classes is None:
            return None
        n = n_rows * len(classes)
        dtype = np.float32 if len(probabilities) == 4 * n else np.float64
        return np.frombuffer(probabilities, dtype).reshape(n_rows, len(classes))

    def _rows(self, record: PredictionRecord) -> Sequence[Row]:
        if self.preamble.redacted:
            columns = _COLUMNS.decode(record.body)
            return list(zip(*columns, strict=True)) if columns else [()] * len(record.labels)
        batch = self._batch(record)
        if batch.rows is not None:
            return batch.rows
        pairs = zip(self._features, batch.columns, strict=True)
        return list(zip(*(plain_values(*pair) for pair in pairs), strict=True))

    def _batch(self, record: PredictionRecord) -> Batch:
        if record.protocol == "v1":
            return self._v1.decode(record.body, _NO_LIMIT)
        return self._v2.decode(record.body, _NO_LIMIT, record.json_length).batch


def probe_id() -> str:
    """An id for a request of the platform's own."""
    return f"{PROBE_PREFIX}{uuid.uuid4().hex}"


def label_text(label: object) -> str:
    """A label as it stands in the log, the same for a prediction and its truth.

    >>> label_text(True), label_text(1), label_text(1.0), label_text(0.5), label_text("late")
    ('true', '1', '1', '0.5', 'late')
    """
    if isinstance(label, bool):
        return str(label).lower()
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label)


def plain_values(field: FeatureField, column: Any) -> list[Any]:
    """A batch's column as plain values, None where missing."""
    if field.kind == "category":
        values: list[Any] = column.tolist()
        return values
    missing = np.isnan(column)
    kind = bool if field.kind == "boolean" else float
    return [None if gone else kind(v) for v, gone in zip(column.tolist(), missing, strict=True)]

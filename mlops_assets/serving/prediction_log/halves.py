"""Requests and responses that came apart, as KServe's agent sends them, and how two become one.

The agent knows nothing of the model, so names and kinds of features are read off the request: names
where it gives them, else the column's number. A half whose other half never comes stays in its
table.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mlops_assets.errors import ServingError
from mlops_assets.serving.prediction_log.records import FEATURE_PREFIX, label_text
from mlops_assets.serving.protocol.refusal import UNREADABLE

_MOST_COLUMNS = 10_000


class HalfRecord(msgspec.Struct, array_like=True, frozen=True):
    """A request or a response, as it was sent.

    Attributes:
        event_id: Id of the CloudEvent, the same for both halves.
        kind: request or response.
        at_ns: When the agent saw it.
        received_ns: When the sink did.
        namespace: Of the service.
        component: predictor, transformer or explainer.
        revision: Label `endpoint` of the pod; often empty.
        model_version: Annotation of the pod, if the agent sends annotations.
        content_type: Of the body.
        body: What was sent.
    """

    event_id: str
    kind: str
    at_ns: int
    received_ns: int
    namespace: str
    component: str
    revision: str
    model_version: str | None
    content_type: str
    body: bytes


def join_halves(
    request: Mapping[str, Any], response: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The rows that a request and its response make, and the kind of each feature.

    Args:
        request: Row of the table of halves.
        response: The same.

    Raises:
        ServingError: one of the bodies is no V1 or V2 JSON, or they differ in their rows.
    """
    asked, said = _read(request), _read(response)
    labels, shares = _answers(said)
    protocol, columns = _columns(asked, len(labels))
    version = request["model_version"] or said.get("model_version")
    kinds = {name: _kind(values) for name, values in columns.items()}
    latency = response["event_time"] - request["event_time"]
    rows = []
    for row, label in enumerate(labels):
        known = shares[row] if shares is not None else None
        rows.append(
            {
                "prediction_id": request["event_id"],
                "row": row,
                "event_us": round(request["event_time"].timestamp() * 1e6),
                "revision": request["revision"] or (f"v{version}" if version else "unknown"),
                "model_version": None if version is None else str(version),
                "protocol": protocol,
                "latency_ms": latency.total_seconds() * 1e3,
                "prediction": label_text(_plain(label)),
                "probability": None if not known else known[1] if len(known) == 2 else max(known),
                "probabilities": known,
                "shadow": False,
                "unit": "",
                **{FEATURE_PREFIX + name: values[row] for name, values in columns.items()},
            }
        )
    return rows, kinds


def align_rows(
    parts: Sequence[tuple[list[dict[str, Any]], dict[str, str]]],
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Rows of several requests as one batch: every row has every feature, each of one kind."""
    kinds: dict[str, str] = {}
    for _, found in parts:
        for name, kind in found.items():
            known = kinds.setdefault(name, kind)
            kinds[name] = kind if known in (kind, "missing") else known
            if "missing" not in (known, kind) and known != kind:
                kinds[name] = "category"
    kinds = {n: "category" if kind == "missing" else kind for n, kind in kinds.items()}
    rows = [row for found, _ in parts for row in found]
    for row in rows:
        for name, kind in kinds.items():
            value = row.setdefault(FEATURE_PREFIX + name, None)
            row[FEATURE_PREFIX + name] = None if value is None else _as_kind(value, kind)
    return rows, list(kinds.items())


def _read(half: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return msgspec.json.decode(half["body"], type=dict[str, Any])
    except UNREADABLE as error:
        raise ServingError(f"{half['kind']} {half['event_id']}: {error}") from error


def _answers(said: dict[str, Any]) -> tuple[list[Any], list[list[float]] | None]:
    if isinstance(said.get("outputs"), list):
        outputs = {str(o.get("name")): o for o in said["outputs"] if isinstance(o, dict)}
        chosen = outputs.get("predict") or next(iter(outputs.values()), None)
        if chosen is None:
            raise ServingError("a response without outputs")
        rows = _tensor_rows(chosen)
        shares = _tensor_rows(outputs["predict_proba"]) if "predict_proba" in outputs else None
        return rows, _shares(shares, len(rows))
    labels = said.get("predictions")
    if not isinstance(labels, list):
        raise ServingError("a response has neither predictions nor outputs")
    return labels, _shares(said.get("probabilities"), len(labels))


def _shares(found: Any, n_rows: int) -> list[list[float]] | None:
    """Probabilities, if what is found are some."""
    if not isinstance(found, list) or len(found) != n_rows:
        return None
    try:
        shares = msgspec.convert(found, list[list[float]])
    except msgspec.ValidationError:
        return None
    return shares if all(shares) else None


def _columns(asked: dict[str, Any], n_rows: int) -> tuple[str, dict[str, list[Any]]]:
    found = asked.get("instances", asked.get("inputs"))
    if isinstance(found, dict):
        found = [found]
    if not isinstance(found, list) or not found:
        raise ServingError("a request has neither instances nor inputs")
    first = found[0]
    if "instances" not in asked and isinstance(first, dict) and "datatype" in first:
        columns = _tensor_columns(found)
        protocol = "v2"
    else:
        rows = [found] if n_rows == 1 < len(found) else found
        columns, protocol = _row_columns(rows), "v1"
    if any(len(values) != n_rows for values in columns.values()):
        raise ServingError(f"a request has other rows than the {n_rows} of its response")
    return protocol, columns


def _row_columns(rows: list[Any]) -> dict[str, list[Any]]:
    named: list[dict[str, Any]] = [
        row
        if isinstance(row, dict)
        else {str(n): value for n, value in enumerate(row if isinstance(row, list) else [row])}
        for row in rows
    ]
    names = list(dict.fromkeys(name for row in named for name in row))
    if len(names) > _MOST_COLUMNS:
        raise ServingError(f"a request has {len(names):,} columns")
    return {name: [_plain(row.get(name)) for row in named] for name in names}


def _tensor_columns(tensors: list[Any]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for tensor in tensors:
        rows = _tensor_rows(tensor)
        name = str(tensor.get("name"))
        wide = rows and all(isinstance(row, list) and len(row) > 1 for row in rows)
        if not wide:
            columns[name] = [
                _plain(row[0] if isinstance(row, list) and len(row) == 1 else row) for row in rows
            ]
            continue
        for position in range(min(len(row) for row in rows)):
            columns[f"{name}[{position}]"] = [_plain(row[position]) for row in rows]
    return columns


def _tensor_rows(tensor: Any) -> list[Any]:
    """The rows of a V2 tensor, whether its data is nested or flat."""
    found = tensor if isinstance(tensor, dict) else {}
    data, shape = found.get("data"), found.get("shape")
    if not isinstance(data, list) or not isinstance(shape, list) or not shape:
        raise ServingError("a tensor without data or shape; binary data is not read here")
    if not all(isinstance(size, int) for size in shape):
        raise ServingError(f"a tensor whose shape is no list of whole numbers: {shape[:8]}")
    n_rows = shape[0]
    if len(data) == n_rows:
        return data
    width = math.prod(shape[1:])
    if not n_rows or len(data) != n_rows * width:
        raise ServingError(f"a tensor of shape {shape} with {len(data)} values")
    return [data[at : at + width] for at in range(0, len(data), width)]


def _plain(value: Any) -> Any:
    """A value as a column holds it; what is nested becomes its JSON."""
    if isinstance(value, list | dict):
        return msgspec.json.encode(value).decode()
    if isinstance(value, int):
        try:
            float(value)
        except OverflowError as error:  # JSON has whole numbers of any length
            raise ServingError("a whole number that no column holds: it is too long") from error
    return value


def _kind(values: list[Any]) -> str:
    found = {bool if isinstance(v, bool) else type(v) for v in values if v is not None}
    if not found:
        return "missing"
    if found == {bool}:
        return "boolean"
    return "number" if found <= {int, float} else "category"


def _as_kind(value: Any, kind: str) -> Any:
    if kind == "category":
        return value if isinstance(value, str) else label_text(value)
    return float(value) if kind == "number" else value

"""The Open Inference Protocol (V2): tensors in, tensors out, as JSON or with binary tensors.

Raw features come as one tensor for each feature, by name and of shape [n] or [n, 1], or as one
tensor of shape [n, features] in the order of training. The answer has the tensors `predict` and,
for classes, `predict_proba`, the names that KServe's V2 scikit-learn runtime uses.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.serving.protocol.batch import (
    FEW,
    LARGEST,
    Answer,
    Batch,
    Row,
    build_column,
    check_numbers,
    expected,
    plain_rows_type,
)
from mlops_assets.serving.protocol.refusal import UNREADABLE, RequestError, shown
from mlops_assets.serving.protocol.tensors import (
    DTYPES,
    Parameters,
    TensorIn,
    TensorOut,
    count_elements,
    flatten,
    read_binary,
    write_binary,
)
from mlops_assets.serving.protocol.v1 import refuse_json

LABELS = "predict"
PROBABILITIES = "predict_proba"
_TEXTS = ("BYTES",)


class RequestedOutput(msgspec.Struct):
    """An output that the caller asks for."""

    name: str
    parameters: Parameters = {}


class InferRequest(msgspec.Struct):
    """The JSON of a V2 request."""

    inputs: list[TensorIn]
    id: str | None = None
    parameters: Parameters = {}
    outputs: list[RequestedOutput] | None = None


_DECODER = msgspec.json.Decoder(InferRequest)


@dataclass(frozen=True, slots=True)
class InferBatch:
    """A V2 request as the predictor needs it.

    Attributes:
        batch: The rows.
        id: The caller's id, if any.
        binary: For each output to send, in order, whether it goes as a binary tensor.
    """

    batch: Batch
    id: str | None
    binary: dict[str, bool]


class V2Decoder:
    """Reads V2 requests for one model. Built once: it knows the features' types.

    Args:
        features: What the model takes.
        outputs: Names of the outputs that it has.
    """

    def __init__(self, features: Sequence[FeatureField], outputs: tuple[str, ...]) -> None:
        self._features = features
        self._outputs = outputs
        self._are_texts = [(field.name, field.kind == "category") for field in features]
        self._plain_rows_type = plain_rows_type(features)

    def decode(self, body: bytes, max_rows: int, json_length: int | None = None) -> InferBatch:
        """The batch of a request's body.

        Args:
            body: JSON, with the binary tensors behind it when `json_length` is given.
            max_rows: Most rows in one request.
            json_length: Length of the JSON in bytes: the header `Inference-Header-Content-Length`.

        Raises:
            RequestError: 400 with the place, the expected and the found; 413 too many rows.
        """
        if json_length is not None and not 0 <= json_length <= len(body):
            raise RequestError(
                400,
                f"Inference-Header-Content-Length: {json_length} of a body of {len(body)} bytes",
            )
        text = body if json_length is None else body[:json_length]
        try:
            request = _DECODER.decode(text)
        except msgspec.ValidationError as error:
            raise RequestError(400, str(error).replace("`$.", "`")) from error
        except UNREADABLE as error:
            raise refuse_json(text, error) from error
        rows = self._plain_rows(request.inputs, max_rows) if len(text) == len(body) else None
        if rows is not None:
            batch = Batch(len(rows), None, rows, self._features)
        else:
            values = _read_tensors(request, body, len(text), max_rows * max(len(self._features), 1))
            batch = _to_batch(request.inputs, values, self._features, max_rows)
        return InferBatch(batch, request.id, _requested(request, self._outputs))

    def _plain_rows(self, tensors: list[TensorIn], max_rows: int) -> list[Row] | None:
        """The rows of a request that needs no other look, as most are; None: it does."""
        n_features = len(self._features)
        try:
            if _is_matrix(tensors, n_features):
                (tensor,) = tensors
                is_text = any(is_text for _, is_text in self._are_texts)
                flat = _flat_data(tensor, is_text=is_text, shapes=([tensor.shape[0], n_features],))
                rows: list[Row] = [
                    flat[at : at + n_features] for at in range(0, len(flat), n_features)
                ]
            else:
                by_name = {tensor.name: tensor for tensor in tensors}
                if not len(by_name) == len(tensors) == n_features:
                    return None
                n_rows = tensors[0].shape[0]
                shapes = ([n_rows], [n_rows, 1])
                columns = [
                    _flat_data(by_name[name], is_text=is_text, shapes=shapes)
                    for name, is_text in self._are_texts
                ]
                rows = list(zip(*columns, strict=True))
            if len(rows) > max_rows:
                return None
            plain: list[Row] = msgspec.convert(rows, self._plain_rows_type)
        except (LookupError, ValueError):  # msgspec.ValidationError is one
            return None
        return plain


def _is_matrix(tensors: list[TensorIn], n_features: int) -> bool:
    """Whether a request is one tensor of rows, in place of one for each feature."""
    shape = tensors[0].shape
    return len(tensors) == 1 and len(shape) == 2 and (shape[1] > 1 or n_features == 1)


def _flat_data(tensor: TensorIn, *, is_text: bool, shapes: tuple[list[int], ...]) -> list[Any]:
    """What a tensor holds as a flat list.

    Raises:
        ValueError: it needs another look.
    """
    data = tensor.data
    if data is msgspec.UNSET or tensor.shape not in shapes or tensor.parameters:
        raise ValueError(tensor.name)
    datatypes = _TEXTS if is_text else DTYPES
    if len(data) != math.prod(tensor.shape) or tensor.datatype not in datatypes:
        raise ValueError(tensor.name)
    return data


def _read_tensors(request: InferRequest, body: bytes, at: int, limit: int) -> list[Any]:
    values: list[Any] = []
    for tensor in request.inputs:
        n = count_elements(tensor, limit=limit)
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            if tensor.data is msgspec.UNSET:
                raise RequestError(400, f"inputs.{tensor.name}: expected data, found none")
            values.append(flatten(tensor, n))
            continue
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(body) - at:
            raise RequestError(
                400,
                f"inputs.{tensor.name}.parameters.binary_data_size: expected at most the "
                f"{len(body) - at} bytes that follow, found {shown(size)}",
            )
        values.append(read_binary(tensor, n, body[at : at + size]))
        at += size
    if at < len(body):
        raise RequestError(400, f"{len(body) - at} bytes follow the last binary tensor")
    return values


def _to_batch(
    tensors: list[TensorIn], values: list[Any], features: Sequence[FeatureField], max_rows: int
) -> Batch:
    by_name = {tensor.name: index for index, tensor in enumerate(tensors)}
    names = [field.name for field in features]
    if not tensors:
        raise RequestError(400, "inputs: expected at least one tensor, found none")
    one = tensors[0]
    if _is_matrix(tensors, len(features)):
        return _from_matrix(one, values[0], features, max_rows)
    if len(by_name) < len(tensors) or set(by_name) != set(names):
        raise _wrong_names(by_name, names, len(tensors))
    n_rows = one.shape[0]
    columns = []
    for field in features:
        tensor = tensors[by_name[field.name]]
        if tensor.shape not in ([n_rows], [n_rows, 1]):
            raise RequestError(
                400,
                f"inputs.{field.name}.shape: expected [{n_rows}] or [{n_rows}, 1] as the first "
                f"input has, found {tensor.shape[:8]}",
            )
        columns.append(_column(field, tensor, values[by_name[field.name]]))
    return Batch(_require_rows(n_rows, max_rows), tuple(columns))


def _wrong_names(found: dict[str, int], names: list[str], n_tensors: int) -> RequestError:
    if len(found) < n_tensors:
        return RequestError(400, "inputs: a name stands twice")
    missing = [name for name in names if name not in found]
    unknown = [name for name in found if name not in names]
    parts = []
    if missing:
        parts.append(f"missing {', '.join(missing[:10])}")
    if unknown:
        parts.append(f"not known {', '.join(unknown[:10])}")
    return RequestError(
        400,
        f"inputs: expected one tensor for each of the {len(names)} features, or one of shape "
        f"[n, {len(names)}]; {'; '.join(parts)}",
    )


def _from_matrix(
    tensor: TensorIn, values: Any, features: Sequence[FeatureField], max_rows: int
) -> Batch:
    n_rows, n_columns = tensor.shape
    if n_columns != len(features):
        raise RequestError(
            400,
            f"inputs.{tensor.name}.shape: expected [n, {len(features)}] for the features "
            f"{', '.join(field.name for field in features[:20])}; found {tensor.shape}",
        )
    _require_rows(n_rows, max_rows)
    if isinstance(values, np.ndarray) and all(field.kind == "number" for field in features):
        matrix = values.astype(np.float64).reshape(n_rows, n_columns)
        sizes = np.abs(matrix)  # a missing value compares false
        if matrix.size <= FEW and (sizes <= LARGEST).all():
            return Batch(n_rows, None, list[Row](matrix.tolist()), features)
        if not (sizes > LARGEST).any():
            return Batch(n_rows, tuple(matrix.T))
    columns = [
        _column(field, tensor, values[index::n_columns]) for index, field in enumerate(features)
    ]
    return Batch(n_rows, tuple(columns))


def _require_rows(n_rows: int, max_rows: int) -> int:
    if n_rows < 1:
        raise RequestError(400, "inputs: expected at least one row, found none")
    if n_rows > max_rows:
        raise RequestError(413, f"inputs: expected at most {max_rows:,} rows, found {n_rows:,}")
    return n_rows


def _column(field: FeatureField, tensor: TensorIn, values: Any) -> Any:
    where = f"inputs.{tensor.name}[{{row}}] {field.name!r}"
    if (tensor.datatype == "BYTES") != (field.kind == "category"):
        whole = tensor.datatype.lstrip("U").startswith(("INT", "BOOL"))
        if tensor.datatype == "BYTES" or not whole:
            raise RequestError(
                400,
                f"inputs.{tensor.name}.datatype: feature {field.name!r} takes {expected(field)}, "
                f"found {tensor.datatype}",
            )
    if isinstance(values, np.ndarray):
        if field.kind == "category":
            return build_column(field, values.tolist(), where)
        return check_numbers(field, values.astype(np.float64), where)
    return build_column(field, values, where)


def _requested(request: InferRequest, outputs: tuple[str, ...]) -> dict[str, bool]:
    everything = bool(request.parameters.get("binary_data_output", False))
    if not request.outputs:
        return dict.fromkeys(outputs, everything)
    chosen = {}
    for output in request.outputs:
        if output.name not in outputs:
            raise RequestError(
                400,
                f"outputs: expected {' or '.join(outputs)}, found {shown(output.name)}",
            )
        chosen[output.name] = bool(output.parameters.get("binary_data", everything))
    return chosen


def datatype_of(classes: list[str | int | bool] | None) -> str:
    """Data type of the tensor `predict`."""
    if classes is None:
        return "FP64"
    if all(isinstance(label, bool) for label in classes):
        return "BOOL"
    return "INT64" if all(type(label) is int for label in classes) else "BYTES"


def encode_answer(
    answer: Answer,
    request: InferBatch,
    *,
    classes: list[str | int | bool] | None,
    identity: dict[str, Any],
) -> tuple[bytes, int | None]:
    """The body of an answer, and the length of its JSON when binary tensors follow.

    Args:
        answer: What the model said.
        request: What was asked for.
        classes: The model's classes.
        identity: `model_name`, `model_version` and `id`.
    """
    tensors, tails = [], []
    for name, binary in request.binary.items():
        tensor, values = _tensor(name, answer, classes)
        if binary:
            tail = write_binary(tensor.datatype, values)
            tensor.parameters = {**tensor.parameters, "binary_data_size": len(tail)}
            tails.append(tail)
        else:
            tensor.data = values
        tensors.append(tensor)
    head = msgspec.json.encode({**identity, "outputs": tensors})
    return (head + b"".join(tails), len(head)) if tails else (head, None)


def _tensor(
    name: str, answer: Answer, classes: list[str | int | bool] | None
) -> tuple[TensorOut, list[Any]]:
    if name == LABELS:
        datatype = datatype_of(classes)
        labels = [str(label) for label in answer.labels] if datatype == "BYTES" else answer.labels
        return TensorOut(LABELS, [len(labels)], datatype), labels
    probabilities = answer.probabilities
    if probabilities is None:
        raise AssertionError("requested outputs are checked against the model's")
    # Parameters of the protocol hold no lists, so the class names stand as JSON text.
    names = {"classes": msgspec.json.encode(classes).decode()}
    shape = list(probabilities.shape)
    return TensorOut(PROBABILITIES, shape, "FP64", parameters=names), probabilities.ravel().tolist()

"""Whom a request is about: the value of a service's entity key, as the request carries it. Pure.

Read only when it decides something: several revisions share the requests and the service has an
entity key. The first row speaks for the request. What cannot be read has no entity; the predictor
says what is wrong with it.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from mlops_assets.serving.prediction_log.records import label_text
from mlops_assets.serving.protocol.refusal import RequestError
from mlops_assets.serving.protocol.rsgi import RequestHeaders
from mlops_assets.serving.protocol.tensors import TensorIn, count_elements, read_binary

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ROWS = msgspec.json.Decoder(list[msgspec.Raw])
_TENSORS = msgspec.json.Decoder(list[TensorIn])
_PARAMETERS = msgspec.json.Decoder(dict[str, Any])
_MOST_VALUES = 2**31


def find_entity(
    body: bytes, headers: RequestHeaders, *, key: str, features: Sequence[str]
) -> str | None:
    """The entity of a V1 or V2 request; None when it names none.

    Args:
        body: As it came.
        headers: Of the request; they tell where binary tensors begin.
        key: A feature (of the first row), or else a field of the body or of V2's `parameters`.
        features: Names of the model's features in order, for rows that are lists.

    >>> headers = RequestHeaders({})
    >>> find_entity(b'{"instances": [["u1", 2]]}', headers, key="user", features=["user", "n"])
    'u1'
    >>> find_entity(b'{"user": 7, "instances": [[2]]}', headers, key="user", features=["n"])
    '7'
    """
    try:
        size = headers.json_size()
        fields = _FIELDS.decode(body if size is None else body[:size])
        position = features.index(key) if key in features else None
        found = None
        if position is not None or key not in fields:
            tail = b"" if size is None else body[size:]
            found = _of_first_row(fields, tail, key, position)
        return _text(_beside(fields, key) if found is None else found)
    except (msgspec.DecodeError, RequestError, RecursionError, ValueError):
        return None


def _of_first_row(
    fields: dict[str, msgspec.Raw], tail: bytes, key: str, position: int | None
) -> Any:
    try:
        if _may_be_tensors(fields):
            found = _of_tensors(fields, tail, key, position)
            if found is not None:
                return found
        rows = fields.get("instances", fields.get("inputs"))
        return None if rows is None else _of_row(rows, key, position)
    except IndexError:  # no row, or a short one
        return None


def _beside(fields: dict[str, msgspec.Raw], key: str) -> Any:
    if key in fields:
        return msgspec.json.decode(fields[key])
    if "parameters" in fields and _may_be_tensors(fields):
        return _PARAMETERS.decode(fields["parameters"]).get(key)
    return None


def _may_be_tensors(fields: dict[str, msgspec.Raw]) -> bool:
    """Whether it may be of V2; V1 takes rows under the name of `inputs`, too."""
    if "inputs" not in fields or "instances" in fields:
        return False
    return bytes(memoryview(fields["inputs"])[:2]) != b"[["


def _text(value: Any) -> str | None:
    return label_text(value) if isinstance(value, str | int | float | bool) else None


def _of_row(rows: msgspec.Raw, key: str, position: int | None) -> Any:
    if memoryview(rows)[0] == ord("{"):  # a single row without the list around it
        return msgspec.json.decode(rows).get(key)
    first = msgspec.json.decode(_ROWS.decode(rows)[0])
    if isinstance(first, dict):
        return first.get(key)
    if position is None:
        return None
    if isinstance(first, list):
        return first[position]
    return msgspec.json.decode(rows)[position]  # a single row without the list around it


def _of_tensors(fields: dict[str, msgspec.Raw], tail: bytes, key: str, position: int | None) -> Any:
    try:
        tensors = _TENSORS.decode(fields["inputs"])
    except msgspec.ValidationError:
        return None  # rows of V1 under the name of `inputs`
    matrix = len(tensors) == 1 and len(tensors[0].shape) == 2 and tensors[0].shape[1] > 1
    at = 0
    for tensor in tensors:
        size = tensor.parameters.get("binary_data_size")
        length = size if isinstance(size, int) else 0
        if tensor.name == key or (matrix and position is not None):
            values: Any = tensor.data
            if size is not None:
                n = count_elements(tensor, limit=_MOST_VALUES)
                values = read_binary(tensor, n, tail[at : at + length])
            elif values is msgspec.UNSET:
                return None
            return _first(values, (position or 0) if matrix else 0)
        at += length
    return None


def _first(values: Any, position: int) -> Any:
    """A value of the first row of a tensor's values, flat or nested."""
    if isinstance(values, list) and values and isinstance(values[0], list):
        values = values[0]
    value = values[position]
    return value.item() if hasattr(value, "item") else value

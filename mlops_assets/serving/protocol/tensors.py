"""Tensors of the Open Inference Protocol: their data types, in JSON and in binary.

The binary tensor extension puts raw little-endian values behind the JSON; a BYTES tensor is a
sequence of elements, each with its length in 4 bytes before it.
"""

import struct
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlops_assets.serving.protocol.refusal import RequestError, shown

DTYPES: dict[str, str] = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
"""NumPy's name of each numeric data type; BYTES is the other one."""

Datatype = str
Parameters = dict[str, str | int | float | bool | None]


class TensorIn(msgspec.Struct):
    """One tensor of a request."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | msgspec.UnsetType = msgspec.UNSET
    parameters: Parameters = {}


class TensorOut(msgspec.Struct, omit_defaults=True):
    """One tensor of an answer."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | msgspec.UnsetType = msgspec.UNSET
    parameters: dict[str, Any] = {}


def count_elements(tensor: TensorIn, *, limit: int) -> int:
    """How many values the shape promises.

    Raises:
        RequestError: 400 a negative or missing dimension, 413 more than the limit.
    """
    where = f"inputs.{tensor.name}"
    if not tensor.shape or min(tensor.shape) < 0:
        raise RequestError(400, f"{where}.shape: expected sizes ≥ 0, found {tensor.shape[:8]}")
    n = 1
    for size in tensor.shape:
        n *= size
        if n > limit:
            raise RequestError(413, f"{where}.shape: expected at most {limit:,} values")
    if tensor.datatype != "BYTES" and tensor.datatype not in DTYPES:
        known = ", ".join([*DTYPES, "BYTES"])
        raise RequestError(
            400, f"{where}.datatype: expected one of {known}, found {shown(tensor.datatype)}"
        )
    return n


def flatten(tensor: TensorIn, n: int) -> list[Any]:
    """The JSON values of a tensor, row by row; nested lists must have its shape.

    Raises:
        RequestError: 400, the number of values or the nesting is not the shape's.
    """
    values: list[Any] = tensor.data or []
    where = f"inputs.{tensor.name}.data"
    if values and isinstance(values[0], list):
        for size in tensor.shape[1:]:
            if any(not isinstance(value, list) or len(value) != size for value in values):
                raise RequestError(
                    400, f"{where}: expected values nested as {tensor.shape}, found another nesting"
                )
            values = [item for value in values for item in value]
    if len(values) != n:
        raise RequestError(
            400, f"{where}: shape {tensor.shape} promises {n} values, found {len(values)}"
        )
    return values


def read_binary(tensor: TensorIn, n: int, raw: bytes) -> NDArray[Any] | list[str | None]:
    """The values of a tensor from its bytes: an array, or the texts of a BYTES tensor.

    Raises:
        RequestError: 400, the bytes do not hold n values of the data type.
    """
    where = f"inputs.{tensor.name}"
    if tensor.datatype == "BYTES":
        return _read_texts(raw, n, where)
    dtype = np.dtype(DTYPES[tensor.datatype])
    if len(raw) != n * dtype.itemsize:
        raise RequestError(
            400,
            f"{where}.parameters.binary_data_size: {n} {tensor.datatype} values take "
            f"{n * dtype.itemsize} bytes, found {len(raw)}",
        )
    return np.frombuffer(raw, dtype=dtype)


def _read_texts(raw: bytes, n: int, where: str) -> list[str | None]:
    texts: list[str | None] = []
    at = 0
    try:
        while at < len(raw):
            (size,) = struct.unpack_from("<I", raw, at)
            at += 4 + size
            if at > len(raw):
                raise RequestError(400, f"{where}: element {len(texts)} reaches past the data")
            texts.append(raw[at - size : at].decode())
    except (struct.error, UnicodeDecodeError) as error:
        raise RequestError(
            400, f"{where}: element {len(texts)} is no length and UTF-8 text: {error}"
        ) from error
    if len(texts) != n:
        raise RequestError(400, f"{where}: shape promises {n} texts, found {len(texts)}")
    return texts


def write_binary(datatype: Datatype, values: list[Any]) -> bytes:
    """The bytes of a tensor: what `read_binary` reads."""
    if datatype == "BYTES":
        encoded = [str(value).encode() for value in values]
        return b"".join(struct.pack("<I", len(item)) + item for item in encoded)
    return np.array(values, dtype=DTYPES[datatype]).tobytes()

"""The digest that names a dataset's content: same rows in the same order, same digest.

Here: `ContentDigest`, fed batch by batch, and `digest_of_parts`. Held by a property test: it does
not depend on how rows are cut into batches, on the process, or on how Arrow lays values out.

Each column is hashed on its own as three streams: which values are present (one byte a row), how
long they are (texts and lists), and the values, little-endian, zero where missing. So no boundary
between batches leaves a trace, and nothing is held back.
"""

import hashlib
import json
from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray


class ContentDigest:
    """SHA-256 of columns' names, types and values."""

    def __init__(self, schema: Mapping[str, pl.DataType]) -> None:
        self._columns = {name: _ColumnDigest() for name in schema}
        self._types = {name: str(dtype) for name, dtype in schema.items()}
        self.n_rows = 0
        self.null_counts = dict.fromkeys(schema, 0)

    def update(self, rows: pl.DataFrame) -> None:
        """Adds the next rows, which have the schema given at the start."""
        self.n_rows += len(rows)
        for name, column in self._columns.items():
            self.null_counts[name] += rows[name].null_count()
            column.update(rows[name])

    def hexdigest(self) -> str:
        """The digest of all rows so far, in hexadecimal."""
        columns = [
            [name, self._types[name], column.hexdigest()] for name, column in self._columns.items()
        ]
        return _sha256([self.n_rows, columns])


def digest_of_parts(parts: Mapping[str, str]) -> str:
    """The digest of a dataset in partitions, of the digests of its partitions."""
    return _sha256(sorted(parts.items()))


class _ColumnDigest:
    """SHA-256 of one column, and of what lies inside its lists or structs."""

    def __init__(self) -> None:
        self._presence, self._lengths, self._values = (hashlib.sha256() for _ in range(3))
        self._inner: dict[str, _ColumnDigest] = {}

    def update(self, values: pl.Series) -> None:
        self._presence.update(_bytes(values.is_not_null().cast(pl.UInt8)))
        dtype = values.dtype
        if isinstance(dtype, pl.String | pl.Binary):
            offsets, data = _text(values)
            self._lengths.update(np.diff(offsets).astype("<i8").tobytes())
            self._values.update(data)
        elif isinstance(dtype, pl.List):
            self._lengths.update(_bytes(values.list.len().fill_null(0).cast(pl.Int64)))
            self._inside("item", values.filter(values.list.len() > 0).explode())
        elif isinstance(dtype, pl.Struct):
            for field in dtype.fields:
                self._inside(field.name, values.struct.field(field.name))
        elif isinstance(dtype, pl.Decimal):
            self._inside("text", values.cast(pl.String))
        elif dtype.is_float():
            numbers = values.fill_nan(float("nan")).fill_null(0.0)  # NaN has many bit patterns
            self._values.update(_bytes(numbers))
        else:
            self._values.update(_bytes(values.to_physical().cast(_integer(dtype)).fill_null(0)))

    def hexdigest(self) -> str:
        streams = (self._presence, self._lengths, self._values)
        inner = [[name, column.hexdigest()] for name, column in self._inner.items()]
        return _sha256([*(stream.hexdigest() for stream in streams), inner])

    def _inside(self, name: str, values: pl.Series) -> None:
        self._inner.setdefault(name, _ColumnDigest()).update(values)


def _integer(dtype: pl.DataType) -> pl.DataType:
    return pl.UInt8() if isinstance(dtype, pl.Boolean) else pl.Int64()


def _bytes(values: pl.Series) -> bytes:
    array: NDArray[np.generic] = values.to_numpy()
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _text(values: pl.Series) -> tuple[NDArray[np.int64], memoryview]:
    """Offsets and bytes of texts, one after the other; nothing where one is missing."""
    empty = b"" if isinstance(values.dtype, pl.Binary) else ""  # Arrow may keep bytes under a null
    arrow = values.fill_null(pl.lit(empty)).to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets_buffer, data = arrow.buffers()
    at = arrow.offset
    offsets = np.frombuffer(offsets_buffer, np.int64)[at : at + len(arrow) + 1]
    if data is None or not len(arrow):
        return np.zeros(len(arrow) + 1, np.int64), memoryview(b"")
    return offsets, memoryview(data)[offsets[0] : offsets[-1]]


def _sha256(content: object) -> str:
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()

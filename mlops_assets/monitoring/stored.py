"""The stored form of a sketch: one JSON document with a format number.

Counts are packed as zlib and base64, so an hour of 20 columns takes about 100 kB.
"""

import base64
import json
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_assets.errors import MonitoringError
from mlops_assets.monitoring.layout import ColumnLayout, Layout, Slice, WatchedColumn
from mlops_assets.monitoring.sketch import ColumnCounts, RowSample, Sketch

FORMAT = 1

_ARRAYS = ("by_block", "by_slice", "fine", "sums")


def write_sketch(sketch: Sketch) -> str:
    """A sketch as JSON."""
    layout = sketch.layout
    return json.dumps(
        {
            "format": FORMAT,
            "digest": layout.digest,
            "time_column": layout.time_column,
            "block": layout.block,
            "layouts": [_column_layout(column) for column in layout.columns.values()],
            "slices": [[part.column, part.value, part.bins] for part in layout.slices],
            "n_rows": sketch.n_rows,
            "blocks": _pack(sketch.blocks),
            "columns": {name: _column(counts) for name, counts in sketch.columns.items()},
            "sample": [
                _pack(sketch.sample.keys),
                _pack(sketch.sample.blocks),
                _pack(sketch.sample.codes),
            ],
            "unknown_columns": sorted(sketch.unknown_columns),
        }
    )


def read_sketch(text: str) -> Sketch:
    """The sketch that was written.

    Raises:
        MonitoringError: it is of another format, or damaged.
    """
    try:
        document = json.loads(text)
        found = document["format"]
        if found != FORMAT:
            raise MonitoringError(
                f"a sketch of format {found}, this version reads {FORMAT}; count the rows again"
            )
        return _sketch(document)
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
        raise MonitoringError(
            f"a stored sketch cannot be read ({error!r}); count the rows again"
        ) from error


def _sketch(document: dict[str, Any]) -> Sketch:
    columns = [_read_layout(*fields) for fields in document["layouts"]]
    layout = Layout(
        {column.column.name: column for column in columns},
        tuple(Slice(column, value, tuple(bins)) for column, value, bins in document["slices"]),
        document["time_column"],
        document["block"],
    )
    if layout.digest != document["digest"]:
        raise ValueError("its bins do not fit its digest")
    return Sketch(
        layout,
        document["n_rows"],
        _unpack(document["blocks"]),
        {name: _read_column(found) for name, found in document["columns"].items()},
        RowSample(*(_unpack(packed) for packed in document["sample"])),
        frozenset(document["unknown_columns"]),
    )


def _column_layout(layout: ColumnLayout) -> list[Any]:
    column = layout.column
    watched = [column.name, column.kind, column.role]
    edges, judged = _pack(layout.edges), _pack(layout.judged)
    return [watched, edges, judged, list(layout.names), sorted(layout.tracked)]


def _read_layout(
    watched: list[Any], edges: list[Any], judged: list[Any], names: list[str], tracked: list[str]
) -> ColumnLayout:
    column = WatchedColumn(*watched)
    return ColumnLayout(column, _unpack(edges), _unpack(judged), tuple(names), frozenset(tracked))


def _column(counts: ColumnCounts) -> dict[str, Any]:
    return {
        "by_block": _pack(counts.by_block),
        "by_slice": _pack(counts.by_slice),
        "fine": _pack(counts.fine),
        "sums": _pack(counts.sums),
        "mean": counts.mean,
        "squares": counts.squares,
        "names": dict(counts.names),
        "n_unnamed": counts.n_unnamed,
        "problem": counts.problem,
    }


def _read_column(found: dict[str, Any]) -> ColumnCounts:
    read: dict[str, Any] = {**found, **{key: _unpack(found[key]) for key in _ARRAYS}}
    return ColumnCounts(**read)


def _pack(array: NDArray[Any]) -> list[Any]:
    data = base64.b64encode(zlib.compress(array.tobytes(), 1)).decode()
    return [array.dtype.str, list(array.shape), data]


def _unpack(packed: list[Any]) -> NDArray[Any]:
    kind, shape, data = packed
    if kind not in ("<i8", "<f8", "|u1"):
        raise ValueError(f"an array of the type {kind!r}")
    raw = zlib.decompress(base64.b64decode(data))
    return np.frombuffer(raw, dtype=np.dtype(kind)).reshape(shape)

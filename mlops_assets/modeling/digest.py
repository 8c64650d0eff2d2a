"""Names of content: the same content has the same SHA-256, in any process.

A file's bytes will not do: skops numbers objects by their address in memory and stamps its archive
with the time, and NumPy's structured arrays have padding that nobody wrote.
"""

import hashlib
import io
import json
import zipfile
from typing import Any

import numpy as np
import polars as pl

_OF_THE_WRITER = {"__id__", "_skops_version", "protocol"}  # in skops's nodes, no part of the model


def skops_digest(archive: bytes) -> str:
    """SHA-256 of the content of a skops file: a model's structure, its settings and its arrays.

    The schema counts without ids (an object stands in full wherever it is used, so they add
    nothing); files of the archive count by their content, not by their name, which is an id.
    """
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        schema = json.loads(opened.read("schema.json"))
        names = {
            name: _member_digest(name, opened.read(name))
            for name in opened.namelist()
            if name != "schema.json"
        }
    canonical = json.dumps(_canonical(schema, names), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _canonical(node: Any, names: dict[str, str]) -> Any:
    if isinstance(node, list):
        return [_canonical(item, names) for item in node]
    if not isinstance(node, dict):
        return node
    if "__loader__" not in node:  # attributes of an object, or items of a dict
        return {key: _canonical(value, names) for key, value in node.items()}
    kept = {
        key: names[value] if key == "file" else _canonical(value, names)
        for key, value in node.items()
        if key not in _OF_THE_WRITER
    }
    if node["__loader__"] == "SetNode":  # a set's order depends on the process
        kept["content"] = sorted(kept["content"], key=lambda item: json.dumps(item, sort_keys=True))
    return kept


def _member_digest(name: str, content: bytes) -> str:
    """SHA-256 of one file of a skops archive; arrays count without their padding."""
    if not name.endswith(".npy"):
        return hashlib.sha256(content).hexdigest()
    values = np.load(io.BytesIO(content), allow_pickle=False)
    digest = hashlib.sha256(f"{values.dtype.descr}{values.shape}".encode())
    for part in [values[field] for field in values.dtype.names or ()] or [values]:
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def frame_digest(frame: pl.DataFrame) -> str:
    """SHA-256 of a frame's names, types and values, in order. No library's hash is part of it."""
    digest = hashlib.sha256()
    for column in frame:
        digest.update(f"{column.name}\n{column.dtype}\n{column.len()}\n".encode())
        digest.update(column.is_null().cast(pl.UInt8).to_numpy().tobytes())
        if column.dtype == pl.String:
            lengths = column.str.len_bytes().fill_null(0).cast(pl.UInt32)
            digest.update(lengths.to_numpy().tobytes())
            digest.update("".join(column.drop_nulls().to_list()).encode())
        else:
            digest.update(column.to_physical().fill_null(0).to_numpy().tobytes())
    return digest.hexdigest()

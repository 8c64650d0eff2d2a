"""Names of content: the same content has the same SHA-256, in any process.

A file's bytes will not do: they hold ids of the process that wrote them, times and padding.
"""

import hashlib

import polars as pl


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

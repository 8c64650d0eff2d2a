"""Parquet files that lie in a table's folder before any version of the table names them.

Here: `Stage`, a writer of such files, and `clear_left_stages`. A stage's files carry its name, and
a marker `_staged/<stage>.json` names the process. The marker is written first and goes last, so a
file without marker is part of the table, and what a killed process left is found and removed.
"""

import secrets
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import polars as pl
from pydantic import ValidationError

from mlops_assets.data.owners import Owner
from mlops_assets.data.table_folder import TableFolder, store_errors
from mlops_assets.errors import LakeError

MARKERS = "_staged"

_ROWS_PER_FILE = 4_000_000
_OPEN_FILES = 32


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file that is ready to become part of the table.

    Attributes:
        path: Relative to the table. Sorted by it, the files give back the order of rows.
        part: The partition, or `rows`.
        n_bytes: Its size.
        n_rows: Rows in it.
        null_counts: Missing values of each column.
    """

    path: str
    part: str
    n_bytes: int
    n_rows: int
    null_counts: dict[str, int]


class Stage:
    """One writer's files, gone when its `with` block ends, unless `release` gave them away."""

    def __init__(self, folder: TableFolder) -> None:
        self._folder = folder
        self.name = f"stage-{secrets.token_hex(8)}"
        self._open: dict[str, _OpenFile] = {}
        self._paths: list[str] = []  # of every file that was begun
        self._n_files: dict[str, int] = {}
        self._closed: list[StagedFile] = []
        self._is_over = False
        folder.write(self._marker, Owner.this_process().model_dump_json().encode())

    def write(self, part: str, rows: pl.DataFrame) -> None:
        """Adds rows to a part, after those that it has."""
        if rows.is_empty():
            return
        file = self._open.pop(part, None) or self._new_file(part, rows)
        self._open[part] = file  # the last one written stands last
        file.write(rows)
        if file.n_rows >= _ROWS_PER_FILE:
            self._close(part)
        if len(self._open) > _OPEN_FILES:
            self._close(next(iter(self._open)))

    def close(self) -> list[StagedFile]:
        """Finishes every file and tells what was written."""
        for part in list(self._open):
            self._close(part)
        return sorted(self._closed, key=lambda file: file.path)

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(LakeError):  # a marker that stays leads a later stage to the files
            self.discard()

    def release(self) -> None:
        """The files belong to the table now; nothing here removes them any more."""
        self._is_over = True
        with suppress(LakeError):
            self._folder.delete(self._marker)

    def leave(self) -> None:
        """Nobody knows yet whose the files are; the next stage after this process finds out."""
        self._is_over = True

    def discard(self) -> None:
        """Removes the files. Does nothing after `release` or `leave`."""
        if self._is_over:
            return
        for file in self._open.values():
            file.abandon()
        for path in self._paths:
            self._folder.delete(path)
        self._folder.delete_unfinished(self.name)
        self._folder.delete(self._marker)
        self._is_over = True

    @property
    def _marker(self) -> str:
        return f"{MARKERS}/{self.name}.json"

    def _new_file(self, part: str, rows: pl.DataFrame) -> "_OpenFile":
        number = self._n_files.get(part, 0)
        self._n_files[part] = number + 1
        path = f"{part}-{number:05d}-{self.name}.parquet"
        self._paths.append(path)
        return _OpenFile(self._folder, path, part, rows)

    def _close(self, part: str) -> None:
        self._closed.append(self._open[part].close())
        del self._open[part]


class _OpenFile:
    def __init__(self, folder: TableFolder, path: str, part: str, rows: pl.DataFrame) -> None:
        import pyarrow.parquet as pq

        self._folder, self._path, self._part = folder, path, part
        self._stream = folder.open_output(path)
        self._writer = pq.ParquetWriter(
            self._stream, arrow_table(rows).schema, compression="zstd", compression_level=1
        )
        self.n_rows = 0
        self._null_counts = dict.fromkeys(rows.columns, 0)

    def write(self, rows: pl.DataFrame) -> None:
        with store_errors(self._path):
            self._writer.write_table(arrow_table(rows))
        self.n_rows += len(rows)
        for name in rows.columns:
            self._null_counts[name] += rows[name].null_count()

    def close(self) -> StagedFile:
        with store_errors(self._path):
            self._writer.close()
            self._stream.close()
        n_bytes = self._folder.size(self._path)
        return StagedFile(self._path, self._part, n_bytes, self.n_rows, self._null_counts)

    def abandon(self) -> None:
        """Lets go of a file that is not wanted, also when a write to it was broken off."""
        for part in (self._writer, self._stream):
            with suppress(OSError, ValueError):
                part.close()


def arrow_table(rows: pl.DataFrame) -> Any:
    """Rows in Arrow's oldest layout, which every reader of Parquet knows."""
    return rows.to_arrow(compat_level=pl.CompatLevel.oldest())


def clear_left_stages(folder: TableFolder, committed: Callable[[], Collection[str]]) -> None:
    """Removes the stages of processes that have ended.

    Args:
        folder: The table's.
        committed: Asks for the names of stages that some version of the table holds; only their
            marker goes. Asked once those processes have ended, so that their last commit counts.
    """
    left = [marker for marker in folder.files(MARKERS) if _is_left(folder, marker)]
    kept = committed() if left else ()
    for marker in left:
        stage = PurePosixPath(marker).stem
        if stage not in kept:
            for file in folder.files(""):
                if file.endswith(f"-{stage}.parquet"):
                    folder.delete(file)
            folder.delete_unfinished(stage)
        folder.delete(marker)


def _is_left(folder: TableFolder, marker: str) -> bool:
    try:
        return Owner.model_validate_json(folder.read(marker)).is_gone()
    except (LakeError, ValidationError):
        return False  # gone this moment, or being written

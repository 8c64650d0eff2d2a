"""Reads a table that grows, each file once: a tick on a busy log costs what came since the last.

What was read is kept reduced in a folder (a few columns of the rows that matter), with a note of
its parts and of the newest files that they hold. A folder that is lost, or a part of it that is
lost or damaged, is made again from the table.

A file into which others were moved (`prediction_log/compaction.py`) is read like a new one, since
it may hold what nobody read before; so a row may be kept twice, and whoever asks takes each once.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import polars as pl

from mlops_assets.errors import ServingError
from mlops_assets.whole_files import alone, replace_file

if TYPE_CHECKING:
    from deltalake import DeltaTable

_NOTE = "note.json"
_MOST_PARTS = 24  # then they are made one
_LATE_MS = 300_000
"""How much older than the newest file a file may be that comes into the table after it: sinks write
at the same time, by clocks of their own, and a commit that meets another one is tried again."""


@dataclass(frozen=True, slots=True)
class Tail:
    """One table's kept part.

    Attributes:
        folder: Where it is kept; another question needs another folder.
        uri: The table.
        reduce: From a file's rows to what is kept of them.
        storage_options: As deltalake takes them.
    """

    folder: Path
    uri: str
    reduce: Callable[[pl.LazyFrame], pl.LazyFrame]
    storage_options: dict[str, str]

    def read(self, table: "DeltaTable") -> pl.DataFrame | None:
        """All that is kept, after the files that are new were read; None when there is none yet.

        Raises:
            ServingError: a file of the table cannot be read.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with alone(self.folder / ".lock"):
            try:
                return self._read(table)
            except (pl.exceptions.PolarsError, FileNotFoundError):  # a part, as after a power cut
                (self.folder / _NOTE).unlink(missing_ok=True)
                return self._read(table)

    def _read(self, table: "DeltaTable") -> pl.DataFrame | None:
        note, files = self._note(), _files(table)
        fresh = [path for path, at in files if at >= note["since"] and path not in note["recent"]]
        parts: list[int] = note["parts"]
        if fresh:
            parts = [*parts, _next(parts)]
            self._append(fresh, parts[-1])
            since = max(note["since"], max(at for _, at in files) - _LATE_MS)
            recent = [path for path, at in files if at >= since]
            self._write_note({"since": since, "recent": recent, "parts": parts})
        frames = [pl.read_parquet(self._part(number)) for number in parts]
        frame = pl.concat(frames, how="diagonal_relaxed") if frames else None
        if frame is not None and len(frames) > _MOST_PARTS:
            whole = _next(parts)
            _write(self._part(whole), frame)
            self._write_note({**self._note(), "parts": [whole]})
            for part in self.folder.glob("*.parquet"):
                if part != self._part(whole):
                    part.unlink()
        return frame

    def _append(self, paths: list[str], number: int) -> None:
        frames = []
        for path in paths:
            place = f"{self.uri}/{unquote(path)}"
            options = self.storage_options or None
            try:
                rows = pl.scan_parquet(place, storage_options=options)
                frames.append(self.reduce(rows).collect())
            except (pl.exceptions.PolarsError, OSError) as error:
                raise ServingError(f"{place} cannot be read: {error}") from error
        _write(self._part(number), pl.concat(frames, how="diagonal_relaxed"))

    def _part(self, number: int) -> Path:
        return self.folder / f"{number:06d}.parquet"

    def _write_note(self, note: dict[str, Any]) -> None:
        replace_file(self.folder / _NOTE, json.dumps(note))

    def _note(self) -> dict[str, Any]:
        nothing: dict[str, Any] = {"since": -1, "recent": [], "parts": []}
        try:
            found = json.loads((self.folder / _NOTE).read_text())
        except (FileNotFoundError, ValueError):
            return nothing
        return found if isinstance(found, dict) and found.keys() == nothing.keys() else nothing


def _files(table: "DeltaTable") -> list[tuple[str, int]]:
    """The files of a table and when each was written, in milliseconds since 1970."""
    actions = pl.DataFrame(table.get_add_actions(flatten=True))
    return list(zip(actions["path"], actions["modification_time"].dt.epoch("ms"), strict=True))


def _next(parts: list[int]) -> int:
    return max(parts, default=-1) + 1


def _write(path: Path, frame: pl.DataFrame) -> None:
    aside = path.with_suffix(".aside")
    frame.write_parquet(aside)
    aside.replace(path)

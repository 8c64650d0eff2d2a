"""Reads a table that grows, each file once: a tick on a busy log costs what came since the last.

What was read is kept reduced in a folder (a few columns of the rows that matter), with a note of
the newest file that it holds. A folder that is lost, or half written, is made again from the table.
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
            note = self._note()
            fresh = [
                (path, at)
                for path, at in _files(table)
                if at > note["at"] or (at == note["at"] and path not in note["last"])
            ]
            if fresh:
                self._append([path for path, _ in fresh], note["n_parts"])
                newest = max(at for _, at in fresh)
                last = [path for path, at in fresh if at == newest]
                if newest == note["at"]:
                    last += note["last"]
                note = {"at": newest, "last": last, "n_parts": note["n_parts"] + 1}
                replace_file(self.folder / _NOTE, json.dumps(note))
            parts = [self.folder / f"{n:06d}.parquet" for n in range(note["n_parts"])]
            frames = [pl.read_parquet(part) for part in parts if part.exists()]
            frame = pl.concat(frames, how="diagonal_relaxed") if frames else None
            if frame is not None and len(frames) > _MOST_PARTS:
                _write(self.folder / f"{note['n_parts'] - 1:06d}.parquet", frame)
                for part in parts[:-1]:  # a kill in between leaves rows twice; they count once
                    part.unlink(missing_ok=True)
            return frame

    def _append(self, paths: list[str], position: int) -> None:
        frames = []
        for path in paths:
            place = f"{self.uri}/{unquote(path)}"
            options = self.storage_options or None
            try:
                rows = pl.scan_parquet(place, storage_options=options)
                frames.append(self.reduce(rows).collect())
            except (pl.exceptions.PolarsError, OSError) as error:
                raise ServingError(f"{place} cannot be read: {error}") from error
        _write(self.folder / f"{position:06d}.parquet", pl.concat(frames, how="diagonal_relaxed"))

    def _note(self) -> dict[str, Any]:
        nothing: dict[str, Any] = {"at": -1, "last": [], "n_parts": 0}
        try:
            found = json.loads((self.folder / _NOTE).read_text())
        except (FileNotFoundError, ValueError):
            return nothing
        return found if isinstance(found, dict) and found.keys() == nothing.keys() else nothing


def _files(table: "DeltaTable") -> list[tuple[str, int]]:
    """The files of a table and when each was added."""
    actions = pl.DataFrame(table.get_add_actions(flatten=True))
    return list(zip(actions["path"], actions["modification_time"].cast(pl.Int64), strict=True))


def _write(path: Path, frame: pl.DataFrame) -> None:
    aside = path.with_suffix(".aside")
    frame.write_parquet(aside)
    aside.replace(path)

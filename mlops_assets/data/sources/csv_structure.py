"""What a CSV file is before any value is read: encoding, header, and as many fields in each row.

Here: `read_header` and `read_structure`, one pass over the bytes. CSV readers fill short rows up,
rename duplicate headers and read on after a lost quote, so that a broken file becomes wrong rows
without a word; here it becomes an error that names the line.
"""

import codecs
import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlops_assets.errors import SourceError

_BLOCK_BYTES = 4 * 2**20
_LONGEST_ROW_BYTES = 64 * 2**20
_SHOWN = 5
_NEWLINE, _RETURN, _QUOTE = 10, 13, 34


@dataclass(frozen=True, slots=True)
class CsvStructure:
    """A file whose rows can be read.

    Attributes:
        header: Names of the columns.
        n_blank_lines: Lines without anything in them, which are no rows.
    """

    header: list[str]
    n_blank_lines: int


def read_structure(file: Path, *, name: str, separator: str) -> CsvStructure:
    """The structure of a CSV file.

    Args:
        file: Where it lies.
        name: What messages call it.
        separator: One ASCII character.

    Raises:
        SourceError: empty, not UTF-8, a header that cannot be used, rows of different lengths, a
            lost quote, or no rows. Names the file, the line and what to do.
    """
    header = read_header(file, name=name, separator=separator)
    scan = _Scan(name, ord(separator), n_fields=len(header))
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK_BYTES):
            scan.add(block)
    scan.finish()
    return CsvStructure(header, scan.n_blank_lines)


def read_header(file: Path, *, name: str, separator: str) -> list[str]:
    """The names of a CSV file's columns, which are its first line.

    Raises:
        SourceError: the file is empty or not UTF-8, or its header cannot be used.
    """
    if not separator.isascii() or separator in '"\r\n':
        raise SourceError(f"source.separator: found {separator!r}, allowed: an ASCII character")
    with file.open("rb") as opened:
        if opened.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise SourceError(f"{name} is UTF-16; save it as UTF-8")
    if file.stat().st_size == 0:
        raise SourceError(f"{name} is empty; check what wrote it")
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            header = next(csv.reader(text, delimiter=separator), [])
    except UnicodeDecodeError:
        return []  # the scan finds the line and the byte
    except csv.Error as error:
        raise SourceError(f"{name}: the header cannot be read: {error}") from error
    if not any(column.strip() for column in header):
        raise SourceError(f"{name}: the first line is blank; it must name the columns")
    _require_names(header, name=name, separator=separator)
    return header


def _require_names(header: list[str], *, name: str, separator: str) -> None:
    others = {";": ";", "\t": "\\t", "|": "|", ",": ","}
    for other, written in others.items():
        if len(header) == 1 and other != separator and other in header[0]:
            raise SourceError(
                f"{name} has a single column, {header[0][:80]!r}: the separator seems to be "
                f'another one; set source.separator: "{written}"'
            )
    nameless = [place for place, column in enumerate(header, start=1) if not column.strip()]
    if nameless:
        raise SourceError(
            f"{name}: column {nameless[0]} of {len(header)} has no name; name it or leave it out "
            "(pandas writes its index so, unless told index=False)"
        )
    if twice := sorted({column for column in header if header.count(column) > 1}):
        raise SourceError(
            f"{name}: the header names columns twice: {', '.join(twice)}; rename them"
        )


@dataclass(slots=True)
class _Scan:
    """Looks at all complete rows of each block; an open row waits for the next block."""

    name: str
    separator: int
    n_fields: int  # 0: the header could not be decoded
    n_rows: int = 0
    n_blank_lines: int = 0
    _rest: bytes = b""  # the row that is still open
    _line: int = 1  # where the rest begins
    _offset: int = 0
    _n_ragged: int = 0
    _ragged: list[str] = field(default_factory=list)

    def add(self, block: bytes) -> None:
        """Looks at the next bytes."""
        if not self._offset and block.startswith(codecs.BOM_UTF8):
            block, self._offset = block[3:], 3
        self._look(self._rest + block)
        if len(self._rest) > _LONGEST_ROW_BYTES:
            raise SourceError(self._lost_quote())

    def finish(self) -> None:
        """Looks at the last row and refuses what is wrong with the file."""
        if self._rest:
            if self._rest.count(b'"') % 2:
                raise SourceError(self._lost_quote())
            if self.n_rows == 0 and b"\r" in self._rest:
                raise SourceError(f"{self.name}: lines end with CR only; save it with LF or CRLF")
            self._look(self._rest + b"\n")
        if self._n_ragged:
            more = f" and {self._n_ragged - _SHOWN:,} more" if self._n_ragged > _SHOWN else ""
            raise SourceError(
                f"{self.name}: the header has {self.n_fields} fields, but "
                f"{', '.join(self._ragged)}{more}; quote fields that hold the separator, "
                "and repair rows that were cut"
            )
        if self.n_rows < 2:
            raise SourceError(f"{self.name} has a header and no rows; check what wrote it")

    def _look(self, buffer: bytes) -> None:
        data = np.frombuffer(buffer, np.uint8)
        inside = (np.cumsum(data == _QUOTE, dtype=np.uint8) & 1).astype(bool)
        newlines = np.flatnonzero(data == _NEWLINE)
        ends = newlines[~inside[newlines]]
        if not len(ends):
            self._rest = buffer
            return
        rows = buffer[: ends[-1] + 1]
        self._require_utf8(rows)
        data, inside = data[: len(rows)], inside[: len(rows)]
        self._require_quotes_around_fields(data, inside, newlines)
        separators = np.flatnonzero((data == self.separator) & ~inside)
        self._count(data, separators, ends, newlines)
        self._rest = buffer[len(rows) :]
        self._line += int(np.searchsorted(newlines, ends[-1])) + 1
        self._offset += len(rows)

    def _count(
        self,
        data: NDArray[np.uint8],
        separators: NDArray[np.intp],
        ends: NDArray[np.intp],
        newlines: NDArray[np.intp],
    ) -> None:
        starts = np.concatenate(([0], ends[:-1] + 1))
        lengths = ends - starts
        n_fields = np.diff(np.searchsorted(separators, ends), prepend=0) + 1
        blank = (lengths == 0) | ((lengths == 1) & (data[starts] == _RETURN))
        blank &= self.n_fields != 1  # in a single column it is a missing value
        ragged = np.flatnonzero((n_fields != self.n_fields) & ~blank)
        for row in ragged[: _SHOWN - len(self._ragged)]:
            line = self._line + int(np.searchsorted(newlines, starts[row]))
            self._ragged.append(f"line {line:,} has {n_fields[row]}")
        self._n_ragged += len(ragged)
        self.n_blank_lines += int(blank.sum())
        self.n_rows += len(ends) - int(blank.sum())

    def _require_utf8(self, rows: bytes) -> None:
        try:
            rows.decode()
        except UnicodeDecodeError as error:
            line = self._line + rows.count(b"\n", 0, error.start)
            raise SourceError(
                f"{self.name} is not UTF-8: line {line:,}, byte {self._offset + error.start:,} of "
                "the file; save it as UTF-8 (it may be Windows-1252 or Latin-1)"
            ) from error

    def _require_quotes_around_fields(
        self, data: NDArray[np.uint8], inside: NDArray[np.bool_], newlines: NDArray[np.intp]
    ) -> None:
        """A quote may open a field or follow another quote; `5" disk` makes readers lose rows."""
        at = np.flatnonzero((data == _QUOTE) & inside)
        before = np.where(at > 0, data[at - 1], _NEWLINE)
        strange = at[~np.isin(before, (self.separator, _NEWLINE, _QUOTE))]
        if len(strange):
            line = self._line + int(np.searchsorted(newlines, strange[0]))
            raise SourceError(
                f"{self.name}: line {line:,} has a quote inside a field that does not begin with "
                'one; write such a field as "5"" disk"'
            )

    def _lost_quote(self) -> str:
        return f"{self.name}: a quote in the row that begins in line {self._line:,} is never closed"

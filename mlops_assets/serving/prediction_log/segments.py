"""Append-only files that a kill cannot harm: what is appended is there, whole, or not at all.

A record is its length and CRC-32, then its bytes, written by one write(2). So a killed process
loses nothing that was appended, and a power loss at most what `sync` had not reached yet. A reader
stops at a record that is cut or damaged, which can only be the last one.
"""

import errno
import os
import struct
import threading
import time
import zlib
from pathlib import Path

_HEADER = struct.Struct("<II")
_SUFFIX = ".segment"
SYNC_SECONDS = 0.1


class SegmentWriter:
    """Appends records to segments in a folder, from one thread.

    Args:
        folder: Where segments stand; made when missing.
        preamble: First record of each segment: what a reader needs to know.
        max_bytes: A longer segment is closed and the next begun.
        max_seconds: So is an older one, that a reader may delete what it has read.
    """

    def __init__(
        self,
        folder: Path,
        preamble: bytes,
        *,
        max_bytes: int = 64_000_000,
        max_seconds: float = 3_600.0,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._preamble = preamble
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._descriptor = -1
        self._size = 0
        self._born = 0.0
        self._dirty = False
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._begin()
        threading.Thread(target=self._sync_often, name="segment-sync", daemon=True).start()

    def append(self, record: bytes) -> bool:
        """Write a record. False: the disk is full, and the record is dropped.

        Raises:
            OSError: the file cannot be written for another reason.
        """
        if self._size > self._max_bytes or time.monotonic() - self._born > self._max_seconds:
            self._begin()
        framed = _HEADER.pack(len(record), zlib.crc32(record)) + record
        try:
            written = os.write(self._descriptor, framed)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return False
            raise
        if written < len(framed):  # the disk filled up within the record
            os.ftruncate(self._descriptor, self._size)
            return False
        self._size += written
        self._dirty = True
        return True

    def _begin(self) -> None:
        name = f"{time.time_ns():020d}-{os.getpid()}{_SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        descriptor = os.open(self._folder / name, flags, 0o600)
        with self._lock:
            if self._descriptor >= 0:
                os.fdatasync(self._descriptor)
                os.close(self._descriptor)
            self._descriptor = descriptor
        self._size, self._born = 0, time.monotonic()
        framed = _HEADER.pack(len(self._preamble), zlib.crc32(self._preamble)) + self._preamble
        self._size = os.write(descriptor, framed)

    def sync(self) -> None:
        """Have the disk hold what was appended."""
        with self._lock:
            if self._dirty and self._descriptor >= 0:
                self._dirty = False
                os.fdatasync(self._descriptor)

    def _sync_often(self) -> None:
        while not self._closed.wait(SYNC_SECONDS):
            self.sync()

    def close(self) -> None:
        """Sync and close."""
        self._closed.set()
        self.sync()
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1


def list_segments(folder: Path) -> list[Path]:
    """Segments of a folder and those below it, oldest first."""
    return sorted(folder.rglob(f"*{_SUFFIX}"), key=lambda path: path.name)


def read_records(
    path: Path, offset: int = 0, max_bytes: int = 16_000_000
) -> tuple[list[bytes], int]:
    """Whole records from an offset on, and the offset behind them."""
    with path.open("rb") as opened:
        opened.seek(offset)
        data = opened.read(max_bytes)
    records, at = [], 0
    while at + _HEADER.size <= len(data):
        length, checksum = _HEADER.unpack_from(data, at)
        end = at + _HEADER.size + length
        if end > len(data):
            break
        record = data[at + _HEADER.size : end]
        if zlib.crc32(record) != checksum:
            break
        records.append(record)
        at = end
    if not records and len(data) == max_bytes:  # one record longer than the limit
        return read_records(path, offset, max_bytes * 4)
    return records, offset + at


def read_first(path: Path) -> tuple[bytes | None, int]:
    """The first record of a segment and the offset behind it; None when it is not there yet."""
    with path.open("rb") as opened:
        head = opened.read(_HEADER.size)
        if len(head) < _HEADER.size:
            return None, 0
        length, checksum = _HEADER.unpack(head)
        record = opened.read(length)
    if len(record) < length or zlib.crc32(record) != checksum:
        return None, 0
    return record, _HEADER.size + length


def is_complete(path: Path) -> bool:
    """Whether nobody appends to a segment: its writer ended, or began another one since.

    A process that happens to have the number of an ended writer only delays this.
    """
    pid = path.stem.rpartition("-")[2]
    if any(other.name > path.name for other in path.parent.glob(f"*-{pid}{_SUFFIX}")):
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False

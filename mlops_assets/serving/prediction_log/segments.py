"""Append-only files that a kill cannot harm: what is appended is there, whole, or not at all.

A record is its length and CRC-32, then its bytes; one write(2) writes it, alone or with others. So
a killed process loses nothing that was appended, and a power loss at most what `sync` had not
reached yet. A reader stops at a record that is cut or damaged, which can only be the last one.
Whoever appends holds the file's lock (flock), which the kernel takes back when that process ends,
however it does.
"""

import errno
import fcntl
import logging
import os
import struct
import threading
import time
import zlib
from pathlib import Path

_LOG = logging.getLogger(__name__)
_HEADER = struct.Struct("<II")
_SUFFIX = ".segment"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
SYNC_SECONDS = 0.1


class SegmentWriter:
    """Appends records to segments in a folder. Safe to use from several threads.

    A disk that is full when a segment is to begin is no error: `append` says so and tries again.

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
        self._ends_at = 0.0  # of `time.monotonic`
        self._is_due = True  # the next segment
        self._is_dirty = False
        self._appending = threading.Lock()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._begin()
        threading.Thread(target=self._sync_often, name="segment-sync", daemon=True).start()

    def append(self, *records: bytes) -> bool:
        """Write records, all or none. False: the disk is full, and they are dropped.

        Raises:
            OSError: the file cannot be written for another reason.
        """
        framed = b"".join(map(frame_record, records))
        with self._appending:
            if self._is_due and not self._begin() and self._descriptor < 0:
                return False
            try:
                written = os.write(self._descriptor, framed)
            except OSError as error:
                if error.errno in _FULL:
                    return False
                raise
            if written < len(framed):  # the disk filled up within them
                os.ftruncate(self._descriptor, self._size)
                return False
            self._size += written
            self._is_dirty = True
            if self._size > self._max_bytes:
                self._is_due = True
            return True

    def _begin(self) -> bool:
        """Go on in a new segment. False: the disk is full, and the former one stays in use."""
        framed = frame_record(self._preamble)
        path = self._folder / f"{time.time_ns():020d}-{os.getpid()}{_SUFFIX}"
        try:
            descriptor = _create(path, framed)
        except OSError as error:
            if error.errno in _FULL:
                return False
            raise
        with self._lock:
            if self._descriptor >= 0:
                os.fdatasync(self._descriptor)
                os.close(self._descriptor)
            self._descriptor = descriptor
        self._size, self._ends_at = len(framed), time.monotonic() + self._max_seconds
        self._is_due = False
        return True

    def sync(self) -> None:
        """Have the disk hold what was appended.

        Raises:
            OSError: it does not, and what was appended since the last time may be lost.
        """
        with self._lock:
            if self._is_dirty and self._descriptor >= 0:
                self._is_dirty = False
                try:
                    os.fdatasync(self._descriptor)
                except OSError:
                    self._is_dirty = True
                    raise

    def _sync_often(self) -> None:
        while not self._closed.wait(SYNC_SECONDS):
            if time.monotonic() > self._ends_at:
                self._is_due = True
            try:
                self.sync()
            except OSError as error:
                _LOG.error("%s: the disk does not hold what was appended: %s", self._folder, error)

    def close(self) -> None:
        """Sync and close."""
        self._closed.set()
        self.sync()
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor, self._is_due = -1, True


def frame_record(record: bytes) -> bytes:
    """A record as it stands in a segment."""
    return _HEADER.pack(len(record), zlib.crc32(record)) + record


def _create(path: Path, first: bytes) -> int:
    """Descriptor of a new, locked segment with its first record; it appears whole."""
    aside = path.with_suffix(".new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.write(descriptor, first) < len(first):
            raise OSError(errno.ENOSPC, "no room for a first record", str(aside))
        aside.rename(path)
        _sync_folder(path.parent)
    except BaseException:
        os.close(descriptor)
        aside.unlink(missing_ok=True)
        raise
    return descriptor


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


def skip_damaged(path: Path, offset: int, end: int) -> int | None:
    """Where the record after a damaged one begins.

    Args:
        path: The segment.
        offset: Where the damaged record begins.
        end: Size of the segment before that record was read. What reaches beyond was still being
            written then, and is not damaged.

    Returns:
        None when nothing says where: the record is cut, or what follows is no record either.
    """
    with path.open("rb") as opened:
        opened.seek(offset)
        head = opened.read(_HEADER.size)
    if len(head) < _HEADER.size:
        return None
    behind: int = offset + _HEADER.size + _HEADER.unpack(head)[0]
    if behind > end or (behind < end and not read_records(path, behind)[0]):
        return None
    return behind


def put_aside(path: Path) -> None:
    """Keep a segment that could not be read to its end, where nobody reads it again."""
    aside = path.with_suffix(".damaged")
    path.replace(aside)
    _LOG.error("%s could not all be read; it is kept as %s", path, aside)


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
    """Whether nobody appends to a segment: its writer ended, or began another one since."""
    with path.open("rb") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True

"""What a segment promises after kills and cuts."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.serving.prediction_log.segments import (
    SegmentWriter,
    is_complete,
    list_segments,
    read_first,
    read_records,
    skip_damaged,
)


def test_records_come_back_whole_and_in_order(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, b"who")
    assert all(writer.append(bytes([n]) * n) for n in range(50))
    (path,) = list_segments(tmp_path)
    first, offset = read_first(path)
    records, end = read_records(path, offset)
    assert first == b"who"
    assert records == [bytes([n]) * n for n in range(50)]
    assert end == path.stat().st_size
    assert read_records(path, end) == ([], end)
    writer.close()


@pytest.mark.parametrize("cut", [1, 4, 8, 9, 15])
def test_a_cut_record_is_left_for_later(tmp_path: Path, cut: int) -> None:
    writer = SegmentWriter(tmp_path, b"who")
    writer.append(b"one")
    writer.append(b"12345678")
    writer.close()
    (path,) = list_segments(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    assert read_records(path)[0] == [b"who", b"one"]


def test_a_damaged_record_ends_the_reading(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, b"who")
    writer.append(b"one")
    writer.close()
    (path,) = list_segments(tmp_path)
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    assert read_records(path)[0] == [b"who"]


def test_a_record_that_was_being_written_is_not_damaged(tmp_path: Path) -> None:
    """It was read half, and whole a moment later; then it was passed over, and lost."""
    writer = SegmentWriter(tmp_path, b"who")
    (path,) = list_segments(tmp_path)
    begin = path.stat().st_size
    writer.append(b"x" * 1_000)
    end = path.stat().st_size
    assert [skip_damaged(path, begin, seen) for seen in (begin + 4, end - 1)] == [None, None]
    assert skip_damaged(path, begin, end) == end  # all of it was there, and it could not be read
    writer.append(b"next")
    assert skip_damaged(path, begin, path.stat().st_size) == end
    writer.close()


def test_a_long_segment_is_followed_by_another_and_is_complete_then(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, b"who", max_bytes=100)
    for _ in range(30):
        writer.append(b"0123456789")
    *older, newest = list_segments(tmp_path)
    assert len(older) >= 2
    assert all(is_complete(path) for path in older)
    assert not is_complete(newest)
    writer.close()


def test_a_record_longer_than_one_read_comes_back(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, b"who")
    writer.append(b"x" * 5_000)
    (path,) = list_segments(tmp_path)
    _, offset = read_first(path)
    assert read_records(path, offset, max_bytes=100)[0] == [b"x" * 5_000]
    writer.close()


def test_nothing_that_was_appended_is_lost_by_kill_9(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from mlops_assets.serving.prediction_log.segments import SegmentWriter\n"
        f"writer = SegmentWriter(Path({str(tmp_path)!r}), b'who')\n"
        "for n in range(1000): writer.append(b'%d' % n)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    (path,) = list_segments(tmp_path)
    assert is_complete(path)
    assert len(read_records(path)[0]) == 1001


def test_a_full_disk_drops_whole_records_and_takes_those_that_fit_again(tmp_path: Path) -> None:
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from mlops_assets.serving.prediction_log.segments import SegmentWriter\n"
        "def limit(n): resource.setrlimit(resource.RLIMIT_FSIZE, (n, -1))\n"
        "limit(0)\n"  # the kernel refuses to write on, as on a full disk
        f"writer = SegmentWriter(Path({str(tmp_path)!r}), b'who')\n"
        "assert not writer.append(b'dropped')\n"
        "limit(11 + 18 + 17)\n"
        "assert writer.append(b'0123456789')\n"
        "assert not writer.append(b'0123456789')\n"  # a byte short
        "assert writer.append(b'012345678')\n"
        "assert not writer.append(b'')\n"
        "limit(11 + 18 + 17 + 2 * 9 + 8)\n"
        "assert not writer.append(b'1', b'2', b'3')\n"  # all or none
        "limit(-1)\n"
        "assert writer.append(b'last')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    (path,) = list_segments(tmp_path)
    assert read_records(path)[0] == [b"who", b"0123456789", b"012345678", b"last"]
    assert list(tmp_path.iterdir()) == [path]

"""Segments of a predictor on their way to the sink, in batches, by a process of their own.

It is beside the predictor, so no answer waits for it. How far a segment was shipped stands in
`<segment>.shipped`; a batch that was taken and not yet noted is shipped again, and counts once by
its ids. Where the sink is slow or gone, segments grow. A record that the sink refuses for what is
in it goes to `<segment>.refused`, so that it holds up nothing.
"""

import logging
import os
import random
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import msgspec

from mlops_assets.errors import ServingError
from mlops_assets.serving.prediction_log.records import Preamble, read_preamble
from mlops_assets.serving.prediction_log.segments import (
    frame_record,
    is_complete,
    list_segments,
    put_aside,
    read_first,
    read_records,
    skip_damaged,
)
from mlops_assets.serving.prediction_log.sink_client import (
    SinkClient,
    SinkRefusedError,
    SinkUnavailableError,
)
from mlops_assets.serving.prediction_log.wire import encode_batch
from mlops_assets.whole_files import alone

_LOG = logging.getLogger(__name__)
_BATCH_BYTES = 1_000_000
_MOST_RECORDS = 2_000
_PAUSE_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 30.0
_FAREWELL_SECONDS = 5.0
_NICENESS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippingSettings:
    """What is shipped, and where to.

    Attributes:
        folder: The predictor's segments stand here and below.
        url: Where the sink takes events.
        token_file: File with the sink's token; None: `MLOPS_SINK_TOKEN`, where that is set.
        namespace: Of the service.
    """

    folder: Path
    url: str
    token_file: Path | None = None
    namespace: str = "default"


def run_shipper(settings: ShippingSettings) -> int:
    """Ship until SIGTERM, then what is left, for 5 s at most. Returns the exit code 0."""
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the predictor says when
    os.nice(_NICENESS)
    settings.folder.mkdir(parents=True, exist_ok=True)
    with alone(settings.folder / "shipping.lock"):
        shipper = Shipper(settings)
        n_failures = 0
        while not stopped.is_set():
            wait_seconds = _PAUSE_SECONDS
            try:
                shipper.ship(stopped)
                n_failures = 0
            except SinkUnavailableError as error:
                n_failures += 1
                wait_seconds = _wait_seconds(n_failures, error.retry_after_seconds)
                _LOG.warning("%s; segments grow, asking again in %.0f s", error, wait_seconds)
            stopped.wait(wait_seconds)
        return shipper.say_farewell(time.monotonic() + _FAREWELL_SECONDS)


def _wait_seconds(n_failures: int, asked: float | None) -> float:
    """Longer with each failure, and never the same for all predictors of a sink."""
    seconds = asked if asked is not None else 2.0 ** min(n_failures, 10) / 2
    return min(_LONGEST_WAIT_SECONDS, seconds) * random.uniform(0.75, 1.25)


class Shipper:
    """Ships the segments of a folder."""

    def __init__(self, settings: ShippingSettings) -> None:
        self._settings = settings
        self._client = SinkClient(settings.url, settings.token_file)
        self._offsets: dict[Path, int] = {}  # what a full disk has no room for

    def ship(self, stopped: threading.Event | None = None) -> int:
        """Ship what there is; returns how many records the sink took.

        Raises:
            SinkUnavailableError: it took no more; what it took before is noted.
        """
        n_taken = 0
        for path in list_segments(self._settings.folder):
            try:
                n_taken += self._ship_segment(path, stopped)
            except FileNotFoundError:
                continue  # removed by hand
            except SinkUnavailableError:
                raise
            except (ServingError, OSError) as error:  # the other segments are not to blame
                _LOG.error("%s stays: %s", path, error)
        return n_taken

    def say_farewell(self, deadline: float) -> int:
        """Ship what was written last, unless the sink is gone. Returns the exit code 0."""
        late = threading.Event()
        timer = threading.Timer(deadline - time.monotonic(), late.set)
        timer.daemon = True
        timer.start()
        try:
            self.ship(late)
        except SinkUnavailableError as error:
            _LOG.warning("%s; segments stay for the next predictor of this folder", error)
        timer.cancel()
        return 0

    def _ship_segment(self, path: Path, stopped: threading.Event | None) -> int:
        complete = is_complete(path)  # asked first, so that nothing is appended after the last read
        end = path.stat().st_size
        first, offset = read_first(path)
        n_taken = 0
        whole = True
        if first is not None:
            preamble = read_preamble(first)
            offset = max(offset, self._offsets.get(path, 0), _read_offset(path))
            while offset < end:
                if stopped is not None and stopped.is_set():
                    return n_taken
                records, after = read_records(path, offset, _BATCH_BYTES)
                if not records:
                    behind = skip_damaged(path, offset, end)
                    if behind is None:
                        break
                    _LOG.error("%s: the record at %d is damaged and not shipped", path, offset)
                    whole, offset = False, behind
                    continue
                for at in range(0, len(records), _MOST_RECORDS):
                    n_taken += self._send(path, preamble, records[at : at + _MOST_RECORDS])
                offset = self._offsets[path] = after
                _write_offset(path, offset)
        if complete:
            if whole and offset >= end:
                path.unlink()
            else:
                put_aside(path)
            _offset_file(path).unlink(missing_ok=True)
            self._offsets.pop(path, None)
        return n_taken

    def _send(self, path: Path, preamble: Preamble, records: Sequence[bytes]) -> int:
        """Send some records; those that are wrong are found by halving, and put aside."""
        try:
            self._client.post(encode_batch(preamble, list(records), self._settings.namespace))
        except (SinkRefusedError, msgspec.DecodeError) as error:
            if len(records) == 1:
                _LOG.error("%s: a record is put aside: %s", path.name, error)
                with path.with_suffix(".refused").open("ab") as aside:
                    aside.write(frame_record(records[0]))
                return 0
            middle = len(records) // 2
            return self._send(path, preamble, records[:middle]) + self._send(
                path, preamble, records[middle:]
            )
        return len(records)


def _offset_file(path: Path) -> Path:
    return path.with_suffix(".shipped")


def _read_offset(path: Path) -> int:
    """Where the next batch begins; 0 when that is not known."""
    try:
        return int(_offset_file(path).read_text())
    except (FileNotFoundError, ValueError):
        return 0


def _write_offset(path: Path, offset: int) -> None:
    aside = path.with_suffix(".shipped-new")
    try:
        aside.write_text(str(offset))
        aside.replace(_offset_file(path))
    except OSError as error:  # what it would spare is shipped again after a restart
        _LOG.warning("%s: how far it was shipped was not noted: %s", path.name, error)


def count_unshipped_bytes(folder: Path) -> int:
    """Bytes in segments that the sink has not acknowledged."""
    total = 0
    for path in list_segments(folder):
        try:
            total += max(0, path.stat().st_size - max(_read_offset(path), read_first(path)[1]))
        except FileNotFoundError:
            continue  # shipped and removed meanwhile
    return total

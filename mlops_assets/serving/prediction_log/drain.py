"""Segments into tables: each record exactly once, however often this is killed.

A batch and the offset behind it are one commit of the table, and reading begins at the offset that
the table holds. A segment is deleted once it is read to its end and nobody appends to it; one of
which a part cannot be read is kept as `*.damaged`.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from mlops_assets.errors import ServingError
from mlops_assets.serving.home import ServingHome
from mlops_assets.serving.prediction_log.frames import build_frame, read_frame
from mlops_assets.serving.prediction_log.halves import HalfRecord, align_rows, join_halves
from mlops_assets.serving.prediction_log.records import (
    FailureRecord,
    Preamble,
    RecordReader,
    TruthRecord,
    read_preamble,
)
from mlops_assets.serving.prediction_log.segments import (
    is_complete,
    list_segments,
    put_aside,
    read_first,
    read_records,
    skip_damaged,
)
from mlops_assets.serving.prediction_log.store import PredictionStore
from mlops_assets.serving.prediction_log.tables import FAILURES, HALVES, PREDICTIONS, TRUTH
from mlops_assets.serving.prediction_log.timeline import Timeline, read_timeline

_LOG = logging.getLogger(__name__)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TRUTHS = msgspec.msgpack.Decoder(TruthRecord)
_HALVES = msgspec.msgpack.Decoder(HalfRecord)
_FAILURES = msgspec.msgpack.Decoder(FailureRecord)
_Record = TypeVar("_Record")


@dataclass(frozen=True, slots=True)
class Drained:
    """What one pass did. Unreadable records are logged and left out."""

    n_rows: int = 0
    n_unreadable: int = 0
    n_failed_segments: int = 0


def drain(
    folder: Path, store: PredictionStore, *, table: str, home: ServingHome | None = None
) -> Drained:
    """Move all that stands in a folder's segments into tables.

    Args:
        folder: Segments stand here and below.
        store: Where the tables are.
        table: What the segments hold: `prediction_log`, `inference_event`, `failed_requests` or
            `ground_truth`.
        home: Holds the timelines of services whose past is played; None: all live in real time.
    """
    n_rows = n_bad = n_failed = 0
    for path in list_segments(folder):
        try:
            rows, bad = _drain_segment(path, store, table, home)
        except ServingError as error:  # the other segments are not to blame
            _LOG.error("%s stays: %s", path, error)
            n_failed += 1
            continue
        n_rows, n_bad = n_rows + rows, n_bad + bad
    return Drained(n_rows, n_bad, n_failed)


def _drain_segment(
    path: Path, store: PredictionStore, table: str, home: ServingHome | None
) -> tuple[int, int]:
    complete = is_complete(path)  # asked first, so that nothing is appended after the last read
    end = path.stat().st_size  # or one that is appended to without pause would never end
    n_rows = n_bad = 0
    first, offset = read_first(path)
    if first is not None:
        preamble = read_preamble(first)
        reader = RecordReader(preamble)
        last = PREDICTIONS if table == HALVES else table  # the one that is written last
        offset = max(offset, store.committed_offset(preamble.service, last, path.name))
        while offset < end:
            records, after = read_records(path, offset)
            if not records:
                behind = skip_damaged(path, offset, end)
                if behind is None:
                    break
                _LOG.error("%s: the record at %d is damaged; those after it are read", path, offset)
                n_bad, offset = n_bad + 1, behind
                continue
            # read after the records: the stretch that they belong to was written before they were
            played = Timeline() if home is None else read_timeline(home, preamble.service)
            if table == PREDICTIONS:
                bad = _append_predictions(records, reader, store, path.name, after, played)
            elif table == HALVES:
                bad = _append_halves(records, preamble, store, path.name, after)
            elif table == FAILURES:
                bad = _append_failures(records, preamble, store, path.name, after, played)
            else:
                bad = _append_truths(records, preamble, store, path.name, after, played)
            n_rows, n_bad, offset = n_rows + len(records) - bad, n_bad + bad, after
    if complete and n_bad == 0 and offset >= end:
        path.unlink(missing_ok=True)
    elif complete:
        put_aside(path)
        n_bad += offset < end
    return n_rows, n_bad


def _append_predictions(
    records: Sequence[bytes],
    reader: RecordReader,
    store: PredictionStore,
    source: str,
    offset: int,
    played: Timeline,
) -> int:
    """Append one batch; returns how many records could not be read."""
    frame, problems = read_frame(reader, records, played)
    for problem in problems:
        _LOG.error("%s: %s", source, problem)
    if frame.height:
        of = reader.preamble
        store.append_predictions(of.service, frame, of.features, source=source, offset=offset)
    return len(problems)


def _decode(
    records: Sequence[bytes], decoder: msgspec.msgpack.Decoder[_Record], source: str
) -> tuple[list[_Record], int]:
    """The records that this version reads, and how many it cannot."""
    found = []
    for record in records:
        try:
            found.append(decoder.decode(record))
        except msgspec.DecodeError as error:
            _LOG.error("%s: a record cannot be read: %s", source, error)
    return found, len(records) - len(found)


def _append_truths(
    records: Sequence[bytes],
    preamble: Preamble,
    store: PredictionStore,
    source: str,
    offset: int,
    played: Timeline,
) -> int:
    found, n_bad = _decode(records, _TRUTHS, source)
    rows = [_truth_row(truth, played) for truth in found]
    store.append_truth(preamble.service, rows, source=source, offset=offset)
    return n_bad


def _append_halves(
    records: Sequence[bytes], preamble: Preamble, store: PredictionStore, source: str, offset: int
) -> int:
    """Keep requests and responses, and log the predictions that are whole by now.

    Both halves are looked for once one of them is in the table. So of two sinks that get a half
    each, one finds both at least, and a prediction that both log counts once.
    """
    halves, n_bad = _decode(records, _HALVES, source)
    rows = [_half_row(half) for half in halves]
    store.append_halves(preamble.service, rows, source=source, offset=offset)
    parts = []
    for day in {row["day"] for row in rows}:
        ids = [row["event_id"] for row in rows if row["day"] == day]
        for request, response in store.find_pairs(preamble.service, ids, day):
            try:
                parts.append(join_halves(request, response))
            except ServingError as error:  # `summarize_halves` counts it; the halves are kept
                _LOG.error("%s, event %s: %s", preamble.service, request["event_id"], error)
    whole, features = align_rows(parts)
    frame = build_frame(whole, features)
    # also without rows: the offset is what tells that these records are done
    store.append_predictions(preamble.service, frame, features, source=source, offset=offset)
    return n_bad


def _half_row(half: HalfRecord) -> dict[str, Any]:
    at = _EPOCH + timedelta(microseconds=half.at_ns // 1000)
    return {
        "event_id": half.event_id,
        "kind": half.kind,
        "event_time": at,
        "received_at": _EPOCH + timedelta(microseconds=half.received_ns // 1000),
        "day": at.date(),
        "namespace": half.namespace,
        "component": half.component,
        "revision": half.revision,
        "model_version": half.model_version,
        "content_type": half.content_type,
        "body": half.body,
    }


def _append_failures(
    records: Sequence[bytes],
    preamble: Preamble,
    store: PredictionStore,
    source: str,
    offset: int,
    played: Timeline,
) -> int:
    found, n_bad = _decode(records, _FAILURES, source)
    rows = [_failure_row(failure, played) for failure in found]
    store.append_failures(preamble.service, rows, source=source, offset=offset)
    return n_bad


def _failure_row(failure: FailureRecord, played: Timeline) -> dict[str, Any]:
    at = _EPOCH + timedelta(microseconds=played.past_ns(failure.at_ns) // 1000)
    return {
        "prediction_id": failure.prediction_id,
        "event_time": at,
        "day": at.date(),
        "revision": failure.revision,
        "status": failure.status,
        "latency_ms": failure.latency_ns / 1e6,
        "unit": failure.unit,
        "shadow": failure.shadow,
    }


def _truth_row(truth: TruthRecord, played: Timeline) -> dict[str, Any]:
    received = _EPOCH + timedelta(microseconds=played.past_ns(truth.received_ns) // 1000)
    return {
        "prediction_id": truth.prediction_id,
        "row": truth.row,
        "value": truth.value,
        "time": _EPOCH + timedelta(microseconds=truth.at_ns // 1000),
        "received_at": received,
        "day": received.date(),
    }


__all__ = ["FAILURES", "HALVES", "PREDICTIONS", "TRUTH", "Drained", "drain"]

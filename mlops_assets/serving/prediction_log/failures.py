"""Requests that a revision failed: what a rollout must know and no prediction log can tell."""

import logging
import time
from pathlib import Path

from mlops_assets.serving.prediction_log.records import FailureRecord, Preamble, encode
from mlops_assets.serving.prediction_log.segments import SegmentWriter

_LOG = logging.getLogger(__name__)
# What says something of the caller, whichever revision is asked.
_CALLERS_OWN = {401, 403, 404, 405, 408, 413, 415, 429}


class FailureLog:
    """Segments of failed requests, one series for each service."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, SegmentWriter] = {}

    def write(self, service: str, failure: FailureRecord) -> None:
        """Append a failure. On a full disk it is dropped: an answer must not wait for it."""
        try:
            if service not in self._writers:
                preamble = encode(Preamble(service, "", None, [], None))
                self._writers[service] = SegmentWriter(self._folder / service, preamble)
            written = self._writers[service].append(encode(failure))
        except OSError as error:
            _LOG.error("%s: a failed request was not logged: %s", service, error)
            return
        if not written:
            _LOG.error("%s: a failed request was not logged: the disk is full", service)

    def close(self) -> None:
        """Close the segments."""
        for writer in self._writers.values():
            writer.close()


def is_failure(status: int) -> bool:
    """Whether an answer speaks against its revision.

    A refused body (400, 422) does: a version may refuse what the one before it took. A caller's own
    mistakes reach all revisions alike, so a comparison is not misled by them.

    >>> [is_failure(status) for status in (200, 400, 404, 503)]
    [False, True, False, True]
    """
    return status >= 400 and status not in _CALLERS_OWN


def failure_of(
    revision: str, prediction_id: str, status: int, seconds: float, unit: str, *, shadow: bool
) -> FailureRecord:
    """The record of a failure that was noticed just now."""
    latency_ns = int(seconds * 1e9)
    began_ns = time.time_ns() - latency_ns
    return FailureRecord(revision, prediction_id, began_ns, status, latency_ns, unit, shadow)

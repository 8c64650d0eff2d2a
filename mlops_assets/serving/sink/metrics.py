"""Counters of the sink in Prometheus' text format, and how far its tables are behind."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator

from mlops_assets.serving.home import ServingHome
from mlops_assets.serving.prediction_log.segments import list_segments
from mlops_assets.serving.prediction_log.wire import TYPES


class SinkMetrics:
    """What one sink took and refused since it started."""

    def __init__(self, home: ServingHome) -> None:
        self._home = home
        self._events = dict.fromkeys(TYPES, 0)
        self._refused: Counter[int] = Counter()
        self._n_truths = 0

    def count_event(self, kind: str) -> None:
        """Count an event that the disk holds."""
        self._events[kind] += 1

    def count_truths(self, n: int) -> None:
        """Count truths that the disk holds."""
        self._n_truths += n

    def count_refused(self, status: int) -> None:
        """Count a request that was answered with 400 or more."""
        self._refused[status] += 1

    def render(self) -> str:
        """All of it as Prometheus reads it."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield "# HELP mlops_sink_events_total Events taken, by type of CloudEvent."
        yield "# TYPE mlops_sink_events_total counter"
        for kind, total in self._events.items():
            yield f'mlops_sink_events_total{{type="{kind}"}} {total}'
        yield "# HELP mlops_sink_truths_total Ground truths taken."
        yield "# TYPE mlops_sink_truths_total counter"
        yield f"mlops_sink_truths_total {self._n_truths}"
        yield "# HELP mlops_sink_refused_total Requests refused, by status; 503: the disk is full."
        yield "# TYPE mlops_sink_refused_total counter"
        for status in sorted({400, 401, 503, *self._refused}):
            yield f'mlops_sink_refused_total{{code="{status}"}} {self._refused[status]}'
        n_bytes, lag_seconds = self._behind()
        yield "# HELP mlops_sink_segment_bytes Bytes in segments on the sink's disk."
        yield "# TYPE mlops_sink_segment_bytes gauge"
        yield f"mlops_sink_segment_bytes {n_bytes}"
        yield "# HELP mlops_sink_lag_seconds Age of what may not be in the tables yet; 0: all is."
        yield "# TYPE mlops_sink_lag_seconds gauge"
        yield f"mlops_sink_lag_seconds {lag_seconds:.1f}"
        yield ""

    def _behind(self) -> tuple[int, float]:
        """Bytes in segments, and seconds since the last pass that moved all there was."""
        n_bytes, newest, oldest = 0, 0.0, time.time()
        for path in list_segments(self._home.segments):
            with contextlib.suppress(FileNotFoundError):
                stat = path.stat()
                n_bytes += stat.st_size
                newest = max(newest, stat.st_mtime)
                oldest = min(oldest, int(path.name[:20]) / 1e9)
        try:
            drained_at = self._home.drained.stat().st_mtime
        except FileNotFoundError:
            drained_at = oldest
        return n_bytes, max(0.0, time.time() - drained_at) if newest > drained_at else 0.0

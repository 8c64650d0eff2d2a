"""Counters of one predictor in Prometheus' text format, summed over its worker processes.

The counters live in memory that the workers share, a row for each, so none needs a lock. A scrape
that reaches any worker sees all of them.
"""

import mmap
from bisect import bisect_left
from collections.abc import Iterator

BUCKETS_SECONDS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0
)  # fmt: skip
PROTOCOLS = ("v1", "v2")
_CLASSES = ("2xx", "4xx", "5xx")
_N_BUCKETS = len(BUCKETS_SECONDS) + 1
_ROW = _N_BUCKETS + 1 + len(PROTOCOLS) * len(_CLASSES) + 2
_SUM = _N_BUCKETS
_REQUESTS = _SUM + 1
_ROWS = _REQUESTS + len(PROTOCOLS) * len(_CLASSES)
_UNLOGGED = _ROWS + 1


class Counters:
    """The counters of one worker."""

    __slots__ = ("_cells",)

    def __init__(self, cells: "memoryview[float]") -> None:
        self._cells = cells

    def count(self, protocol: int, status: int, seconds: float, n_rows: int) -> None:
        """Count one request. `protocol` is a position in PROTOCOLS."""
        cells = self._cells
        cells[_REQUESTS + protocol * len(_CLASSES) + _class_of(status)] += 1
        cells[_ROWS] += n_rows
        if status < 300:
            cells[bisect_left(BUCKETS_SECONDS, seconds)] += 1
            cells[_SUM] += seconds

    def count_unlogged(self) -> None:
        """Count one prediction that the log had no room for."""
        self._cells[_UNLOGGED] += 1


class Metrics:
    """Counters shared by the workers of one predictor. Create it before they fork."""

    def __init__(self, workers: int) -> None:
        self._n_rows = workers
        self._cells = memoryview(mmap.mmap(-1, self._n_rows * _ROW * 8)).cast("d")
        self._worker = 0

    def use_row(self, worker: int) -> None:
        """Count for one worker from now on."""
        self._worker = worker

    def counters(self) -> Counters:
        """What this worker counts with."""
        at = self._worker * _ROW
        return Counters(self._cells[at : at + _ROW])

    def render(
        self, model_name: str, model_version: str, *, unshipped_bytes: int | None = None
    ) -> str:
        """All counters as Prometheus reads them.

        Args:
            model_name: A label of each.
            model_version: Another one.
            unshipped_bytes: What the sink has not taken of the log; None where there is no sink.
        """
        labels = f'model_name="{model_name}",model_version="{model_version}"'
        lines = list(self._lines(labels))
        if unshipped_bytes is not None:
            lines[-1:] = [
                "# HELP mlops_unshipped_bytes Bytes of the log that the sink has not taken.",
                "# TYPE mlops_unshipped_bytes gauge",
                f"mlops_unshipped_bytes{{{labels}}} {unshipped_bytes}",
                "",
            ]
        return "\n".join(lines)

    def _total(self, cell: int) -> float:
        return sum(self._cells[row * _ROW + cell] for row in range(self._n_rows))

    def _lines(self, labels: str) -> Iterator[str]:
        yield "# HELP mlops_requests_total Prediction requests by protocol and class of status."
        yield "# TYPE mlops_requests_total counter"
        for index, protocol in enumerate(PROTOCOLS):
            for offset, name in enumerate(_CLASSES):
                total = self._total(_REQUESTS + index * len(_CLASSES) + offset)
                more = f'protocol="{protocol}",code="{name}"'
                yield f"mlops_requests_total{{{labels},{more}}} {total:.0f}"
        yield "# HELP mlops_rows_total Rows in prediction requests."
        yield "# TYPE mlops_rows_total counter"
        yield f"mlops_rows_total{{{labels}}} {self._total(_ROWS):.0f}"
        yield "# HELP mlops_unlogged_total Predictions that the log had no room for."
        yield "# TYPE mlops_unlogged_total counter"
        yield f"mlops_unlogged_total{{{labels}}} {self._total(_UNLOGGED):.0f}"
        yield "# HELP request_predict_seconds Time from request to answer, as KServe names it."
        yield "# TYPE request_predict_seconds histogram"
        seen = 0.0
        for index, bound in enumerate((*BUCKETS_SECONDS, "+Inf")):
            seen += self._total(index)
            yield f'request_predict_seconds_bucket{{{labels},le="{bound}"}} {seen:.0f}'
        yield f"request_predict_seconds_count{{{labels}}} {seen:.0f}"
        yield f"request_predict_seconds_sum{{{labels}}} {self._total(_SUM):.6f}"
        yield ""


def _class_of(status: int) -> int:
    return 0 if status < 400 else 1 if status < 500 else 2

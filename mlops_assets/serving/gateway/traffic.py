"""What the gateway saw: counts, latencies and answers by revision, for the page and `/metrics`.

The gateway is one process, so these are all the requests there were since it started.
"""

import time
from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass, field

from mlops_assets.serving.predictor.metrics import BUCKETS_SECONDS

_RECENT = 2_000
_WINDOW_SECONDS = 60.0


@dataclass(slots=True)
class RevisionTraffic:
    """Requests of one revision.

    Attributes:
        n_requests: Answers it gave, and requests it took too long for.
        n_errors: Those of them with a status of 500 or more.
        n_lost: Requests that its process died with.
        n_unlogged: Answers that the prediction log had no room for.
        by_status: Answers by HTTP status.
        by_bucket: Answers by latency: one more than there are BUCKETS_SECONDS.
        seconds: All latencies together.
        recent: When the last of them were, and how long they took.
    """

    n_requests: int = 0
    n_errors: int = 0
    n_lost: int = 0
    n_unlogged: int = 0
    by_status: Counter[int] = field(default_factory=Counter)
    by_bucket: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_SECONDS) + 1))
    seconds: float = 0.0
    recent: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_RECENT))

    def percentile_ms(self, ratio: float) -> float | None:
        """Latency in milliseconds below which this share of the recent requests stayed."""
        if not self.recent:
            return None
        seconds = sorted(latency for _, latency in self.recent)
        return seconds[min(len(seconds) - 1, int(ratio * len(seconds)))] * 1000

    def per_second(self, now: float) -> float:
        """Requests per second over the last minute, or as far back as is remembered."""
        inside = [at for at, _ in self.recent if now - at <= _WINDOW_SECONDS]
        if not inside:
            return 0.0
        full = len(self.recent) == _RECENT and len(inside) == _RECENT
        return len(inside) / max(now - inside[0] if full else _WINDOW_SECONDS, 1e-3)


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer, as the page shows it."""

    at: float
    prediction_id: str
    service: str
    revision: str
    status: int
    seconds: float
    excerpt: bytes


class Traffic:
    """Counts of all services.

    Attributes:
        revisions: By service and revision.
        last: The last answers.
        n_retried: By service: requests sent once more, to the stable revision.
        n_refused: By service and status: requests that no revision answered.
    """

    def __init__(self) -> None:
        self.revisions: dict[tuple[str, str], RevisionTraffic] = {}
        self.last: deque[Prediction] = deque(maxlen=20)
        self.n_retried: Counter[str] = Counter()
        self.n_refused: Counter[tuple[str, int]] = Counter()

    def count(self, prediction: Prediction, *, logged: bool = True) -> None:
        """Take one answer into account."""
        traffic = self._of(prediction.service, prediction.revision)
        status, seconds = prediction.status, prediction.seconds
        traffic.n_requests += 1
        traffic.n_errors += status >= 500
        traffic.n_unlogged += not logged
        traffic.by_status[status] += 1
        traffic.by_bucket[bisect_left(BUCKETS_SECONDS, seconds)] += 1
        traffic.seconds += seconds
        traffic.recent.append((time.monotonic(), seconds))
        self.last.append(prediction)

    def count_lost(self, service: str, revision: str) -> None:
        """A revision's process died with a request."""
        self._of(service, revision).n_lost += 1

    def _of(self, service: str, revision: str) -> RevisionTraffic:
        key = service, revision
        traffic = self.revisions.get(key)
        if traffic is None:
            traffic = self.revisions[key] = RevisionTraffic()
        return traffic

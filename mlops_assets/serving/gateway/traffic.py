"""What the gateway saw lately: counts, latencies and answers by revision. For the page only."""

import time
from collections import deque
from dataclasses import dataclass, field

_RECENT = 2_000
_WINDOW_SECONDS = 60.0


@dataclass(slots=True)
class RevisionTraffic:
    """Requests of one revision."""

    n_requests: int = 0
    n_errors: int = 0
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
    """Counts of all services."""

    def __init__(self) -> None:
        self.revisions: dict[tuple[str, str], RevisionTraffic] = {}
        self.last: deque[Prediction] = deque(maxlen=20)

    def count(self, prediction: Prediction) -> None:
        """Take one answer into account."""
        key = prediction.service, prediction.revision
        traffic = self.revisions.get(key)
        if traffic is None:
            traffic = self.revisions[key] = RevisionTraffic()
        traffic.n_requests += 1
        traffic.n_errors += prediction.status >= 500
        traffic.recent.append((time.monotonic(), prediction.seconds))
        self.last.append(prediction)

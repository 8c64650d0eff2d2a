"""What a predictor counts of its requests, and how counts grow. Pure.

The counters are those of `serving/predictor/metrics.py`, in Prometheus' text format.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mlops_assets.serving.predictor.metrics import BUCKETS_SECONDS

_LINE = re.compile(r"(?P<name>\w+)\{(?P<labels>[^}]*)\} (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Counters:
    """Counts of requests.

    Attributes:
        n_requests: Requests, however they ended.
        n_errors: Those that were not answered: 5xx, and 4xx since a version may refuse what the one
            before it took. A caller's own mistakes reach all versions alike.
        bins: Answered requests by time taken: one more bin than `BUCKETS_SECONDS` has bounds, the
            last for what took longer than all of them.
    """

    n_requests: int = 0
    n_errors: int = 0
    bins: tuple[int, ...] = (0,) * (len(BUCKETS_SECONDS) + 1)

    def __add__(self, other: "Counters") -> "Counters":
        return Counters(
            self.n_requests + other.n_requests,
            self.n_errors + other.n_errors,
            tuple(a + b for a, b in zip(self.bins, other.bins, strict=True)),
        )

    def since(self, before: "Counters") -> "Counters":
        """What was counted after an earlier look; all of it when the process began anew.

        >>> Counters(5, 1).since(Counters(3, 1)).n_requests
        2
        >>> Counters(2, 0).since(Counters(3, 1)).n_requests
        2
        """
        if self.n_requests < before.n_requests or sum(self.bins) < sum(before.bins):
            return self
        return Counters(
            self.n_requests - before.n_requests,
            max(0, self.n_errors - before.n_errors),
            tuple(max(0, a - b) for a, b in zip(self.bins, before.bins, strict=True)),
        )

    def to_numbers(self) -> list[int]:
        """The form in which they are stored."""
        return [self.n_requests, self.n_errors, *self.bins]


def read_numbers(numbers: Sequence[int]) -> Counters:
    """Counters of their stored form."""
    return Counters(numbers[0], numbers[1], tuple(numbers[2:]))


def read_exposition(text: str) -> Counters:
    """The counters of a predictor's `/metrics`.

    >>> read_exposition('mlops_requests_total{protocol="v1",code="5xx"} 3').n_errors
    3
    """
    n_requests = n_errors = 0
    seen: dict[float, int] = {}
    for name, labels, value in _samples(text):
        if name == "mlops_requests_total":
            n_requests += int(value)
            n_errors += int(value) if labels.get("code") in ("4xx", "5xx") else 0
        elif name == "request_predict_seconds_bucket":
            bound = float(labels["le"])
            seen[bound] = seen.get(bound, 0) + int(value)
    return Counters(n_requests, n_errors, bins_of(seen))


def bins_of(seen: Mapping[float, float]) -> tuple[int, ...]:
    """Counts by bin, from counts up to each bound as Prometheus has them."""
    bins, before = [], 0
    for bound in (*BUCKETS_SECONDS, float("inf")):
        until = round(seen.get(bound, before))
        bins.append(max(0, until - before))
        before = max(before, until)
    return tuple(bins)


def _samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        if found is not None:
            yield found["name"], dict(_LABEL.findall(found["labels"])), float(found["value"])


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open time range; both ends aware."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Reading:
    """Counts of a window.

    Attributes:
        counters: By revision; a revision that nothing is known of is left out.
        cursor: What the reader wants to be given the next time.
    """

    counters: Mapping[str, Counters]
    cursor: str = ""


class CounterReader(Protocol):
    """Knows what each revision of a service counted."""

    def read(self, service: str, revisions: Sequence[str], window: Window, cursor: str) -> Reading:
        """Counts since the window began.

        Args:
            service: Name of the InferenceService.
            revisions: Whose counts.
            window: From when to when.
            cursor: That of the last reading of this window; "" for the first.

        Raises:
            ServingError: nothing could be read.
        """

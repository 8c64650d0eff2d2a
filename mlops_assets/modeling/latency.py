"""How long one row takes."""

import time
from collections.abc import Callable

import numpy as np
from pydantic import BaseModel, ConfigDict

_WARM_UP_CALLS = 5
_MOST_SECONDS = 0.5  # for all calls of one model


class Latency(BaseModel):
    """Milliseconds for one row, warm, in this process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    median_milliseconds: float
    p99_milliseconds: float
    n_calls: int


def measure_latency(call: Callable[[], object], n_calls: int = 500) -> Latency:
    """Time calls one by one, after some that are not counted; fewer when they are slow."""
    for _ in range(_WARM_UP_CALLS):
        call()
    seconds: list[float] = []
    begun = time.perf_counter()
    while len(seconds) < n_calls and (not seconds or time.perf_counter() - begun < _MOST_SECONDS):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    median, p99 = np.quantile(np.array(seconds) * 1000, [0.5, 0.99])
    return Latency(
        median_milliseconds=float(median), p99_milliseconds=float(p99), n_calls=len(seconds)
    )

"""Confidence intervals by redrawing rows.

All statistics see the same redraws, so a difference of two of them is a paired difference: what
makes the rows of one redraw hard is hard for both.

Of more than 20,000 rows a random 20,000 are redrawn, and the spread is scaled down to all of them:
it shrinks with the square root of the rows, and a million rows cost what 20,000 do.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mlops_assets.modeling.metrics import Floats, Statistic

Key = TypeVar("Key", bound=Hashable)

_MOST_WEIGHTS = 400_000  # rows × draws at once: 3 MB, twice as fast as what leaves the cache
_MOST_ROWS = 20_000
_MOST_UNDEFINED = 0.05  # share of redraws that may be undefined for an interval to be known


StatisticOf = Callable[[NDArray[np.int64]], Statistic]
"""Builds the statistic of the rows at some positions."""


@dataclass(frozen=True, slots=True)
class Resampled:
    """A statistic on the rows as they are, and on each redraw; NaN where it is undefined.

    Attributes:
        value: On the rows as they are.
        draws: One number for each redraw.
    """

    value: float
    draws: Floats

    def minus(self, other: "Resampled", sign: int) -> "Resampled":
        """The paired difference, times a sign."""
        value, draws = self.value - other.value, self.draws - other.draws
        return Resampled(sign * value + 0.0, sign * draws + 0.0)  # no negative zeros

    def interval(self, confidence: float) -> tuple[float, float] | None:
        """Percentile interval; None when more than 5 % of the redraws are undefined.

        Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
        """
        known = self.draws[np.isfinite(self.draws)]
        if known.size < (1 - _MOST_UNDEFINED) * self.draws.size or known.size == 0:
            return None
        outside = (1 - confidence) / 2
        low, high = np.quantile(known, [outside, 1 - outside])
        return float(low), float(high)


def resample(
    statistics: Mapping[Key, StatisticOf],
    n_rows: int,
    n_draws: int,
    rng: np.random.Generator,
) -> dict[Key, Resampled]:
    """Every statistic on the rows as they are and on redraws of as many rows, with replacement.

    Source of the scaled spread: Politis and Romano (1994), Ann. Statist. 22:2031.
    """
    if n_rows == 0:
        nothing = Resampled(float("nan"), np.full(n_draws, np.nan))
        return dict.fromkeys(statistics, nothing)
    every = np.arange(n_rows)
    found = _redraw({key: build(every) for key, build in statistics.items()}, n_rows, 0, rng)
    if n_rows <= _MOST_ROWS:
        chosen, scale = every, 1.0
    else:
        chosen = np.sort(rng.choice(n_rows, _MOST_ROWS, replace=False))
        scale = float(np.sqrt(_MOST_ROWS / n_rows))
    built = {key: build(chosen) for key, build in statistics.items()}
    drawn = _redraw(built, chosen.size, n_draws, rng)
    return {
        key: Resampled(whole.value, whole.value + scale * (drawn[key].draws - drawn[key].value))
        for key, whole in found.items()
    }


def _redraw(
    statistics: Mapping[Key, Statistic], n_rows: int, n_draws: int, rng: np.random.Generator
) -> dict[Key, Resampled]:
    once = np.ones((n_rows, 1))
    values = {key: float(statistic(once)[0]) for key, statistic in statistics.items()}
    parts: dict[Key, list[Floats]] = {key: [np.zeros(0)] for key in statistics}
    left = n_draws
    while left > 0:
        n_now = min(left, max(1, _MOST_WEIGHTS // n_rows))
        weights = draw_weights(n_rows, n_now, rng)
        for key, statistic in statistics.items():
            parts[key].append(statistic(weights))
        left -= n_now
    return {key: Resampled(values[key], np.concatenate(parts[key])) for key in statistics}


def draw_weights(n_rows: int, n_draws: int, rng: np.random.Generator) -> Floats:
    """How often each row was drawn, [rows, draws]: each draw takes n_rows rows, with replacement.

    >>> draw_weights(4, 2, np.random.default_rng(0)).sum(axis=0)
    array([4., 4.])
    """
    drawn = rng.integers(0, n_rows, size=(n_rows, n_draws))
    cells = (drawn * n_draws + np.arange(n_draws)).ravel()
    counts = np.bincount(cells, minlength=n_rows * n_draws)
    return counts.reshape(n_rows, n_draws).astype(np.float64)

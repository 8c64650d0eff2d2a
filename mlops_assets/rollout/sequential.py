"""Intervals that stay valid however often one looks: confidence sequences.

An ordinary 95 % interval misses once in twenty looks; who looks at each of a hundred and acts on
the first that misses is wrong far more often. The intervals here hold at all looks at once: with
probability 1 - alpha or more they never miss, so a rollout may look every few seconds and act at
any of them.

Here: differences of error ratios, of means and of latency quantiles, and the distance of two
distributions. Each end of an interval has an alpha of its own: `alpha_low` is the chance that the
truth is ever below the low end, `alpha_high` above the high one.
Not here: the likelihood ratios behind shares and quantiles (`likelihood.py`), the check of the
split (`split_check.py`), what the limits are and what follows (`assessment.py`).

Values of one unit (a caller) resemble each other. Flags, quantiles and counts weigh n values as
n / design effect; means take the spread between units. That this stays valid while callers come
back is Slepian's inequality: sums over callers whose requests correlate positively are more alike
from look to look than those of independent requests of the same variance, so they cross a boundary
less often (Slepian (1962), Bell System Technical Journal 41:463). It holds in the limit of many
units, like the design effect itself.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlops_assets.rollout.likelihood import flag_difference, share_bound
from mlops_assets.rollout.measures import Counts, Histogram, Moments, design_effect

Floats = NDArray[np.float64]

FEWEST_UNITS = 10
"""Units of an arm below which no interval of a mean is given: its spread is not known yet."""


@dataclass(frozen=True, slots=True)
class Interval:
    """What is known of a number. Infinite ends: nothing on that side."""

    low: float
    high: float


UNKNOWN = Interval(-math.inf, math.inf)


def error_difference(
    challenger: Moments,
    stable: Moments | None,
    *,
    ratio: float = 1.0,
    effect: float,
    alpha_low: float,
    alpha_high: float,
) -> Interval:
    """An interval for `p_challenger - ratio · p_stable` of shares; the challenger's own without
    a stable arm.

    Two intervals share the alpha, and the narrower end of either holds: that of `flag_difference`,
    with each arm weighed by its design effect, which is right from the first value on; and that of
    `mean_difference` once each arm has 40 values of either kind, which takes half as many requests
    to see a small difference.

    Args:
        challenger: Sums of the challenger's flags.
        stable: The other arm's; None: there is none.
        ratio: Factor of the stable arm's share.
        effect: Size of difference that matters, > 0.
        alpha_low: Chance that the low end ever lies above the truth.
        alpha_high: Chance that the high end ever lies below it.

    >>> one, other = Moments.of_flags(400, 60), Moments.of_flags(3600, 40)
    >>> error_difference(one, other, effect=0.02, alpha_low=0.01, alpha_high=0.05).low > 0.05
    True
    """
    if challenger.n == 0 or (stable is not None and stable.n == 0):
        return UNKNOWN
    alphas = {"alpha_low": alpha_low / 2, "alpha_high": alpha_high / 2}
    weighed = [_weighed(arm) for arm in (challenger, stable) if arm is not None]
    factor, other = (0.0, (0.0, 0.0)) if stable is None else (ratio, weighed[1])
    ends = flag_difference(weighed[0], other, ratio=factor, **alphas)
    low, high = float(ends[0]), float(ends[1])
    if min(min(total, n - total) for n, total in weighed) < _FEWEST_FLAGS:
        return Interval(low, high)
    near = mean_difference(challenger, stable, ratio=ratio, effect=effect, **alphas)
    return Interval(max(low, near.low), min(high, near.high))


_FEWEST_FLAGS = 40  # errors, and answers without: a normal distribution is near enough from there


def normal_half_width(information: ArrayLike, *, alpha: float, effect: ArrayLike) -> Floats:
    """Half-width of a one-sided interval for a mean whose estimate has variance 1 / information.

    Args:
        information: Inverse variance of the estimate, > 0; grows with the data.
        alpha: Chance that the truth ever lies beyond it.
        effect: Size of difference at which it is about narrowest, > 0; chosen beforehand.

    Source: Howard et al. (2021), Ann. Statist. 49:1055, one-sided normal mixture; for means of any
    values in the limit of many: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), Ann.
    Statist. 52:2613.

    >>> normal_half_width([100, 10_000], alpha=0.05, effect=0.1).round(3)
    array([0.33 , 0.031])
    """
    known = np.asarray(information, dtype=np.float64)
    prior = 1 / np.asarray(effect, dtype=np.float64) ** 2
    inside = np.log1p(np.sqrt((known + prior) / prior) / (2 * alpha))
    width: Floats = np.sqrt(2 * (known + prior) * inside) / known
    return width


def mean_difference(
    challenger: Moments,
    stable: Moments | None,
    *,
    ratio: float = 1.0,
    effect: float,
    alpha_low: float,
    alpha_high: float,
) -> Interval:
    """An interval for `mean_challenger - ratio · mean_stable` of values of any size.

    Valid in the limit of many units; nothing is told below 10 units an arm, or while no value
    differs from another.

    Args:
        challenger: Sums of the challenger's values.
        stable: The other arm's; None gives the interval of the challenger's own mean.
        ratio: Factor of the stable arm's mean.
        effect: Size of difference that matters, > 0; the interval is narrowest for it.
        alpha_low: Chance that the low end ever lies above the truth.
        alpha_high: Chance that the high end ever lies below it.

    >>> rng = np.random.default_rng(0)
    >>> one, other = Moments.of(rng.normal(5.5, 1, 500)), Moments.of(rng.normal(5, 1, 5000))
    >>> ends = mean_difference(one, other, effect=0.2, alpha_low=0.05, alpha_high=0.05)
    >>> 0.3 < ends.low < 0.5 < ends.high < 0.7
    True
    """
    arms = [challenger] if stable is None else [challenger, stable]
    if any(arm.n_units < FEWEST_UNITS for arm in arms):
        return UNKNOWN
    variances = [mean_variance(arm) for arm in arms]
    estimate = _mean(challenger)
    variance = variances[0]
    if stable is not None:
        estimate -= ratio * _mean(stable)
        variance += ratio**2 * variances[1]
    if variance <= 0:
        return UNKNOWN
    below = float(normal_half_width(1 / variance, alpha=alpha_low, effect=effect))
    above = float(normal_half_width(1 / variance, alpha=alpha_high, effect=effect))
    return Interval(estimate - below, estimate + above)


def mean_variance(sums: Moments) -> float:
    """Variance of the mean of an arm, from the spread between its units.

    The linearised variance of a ratio (Cochran (1977), Sampling Techniques, section 6.3).

    >>> round(mean_variance(Moments.of([1.0, 2.0, 3.0, 4.0])), 4)
    0.4167
    """
    if sums.n_units < 2:
        return 0.0
    mean = _mean(sums)
    spread = sums.squares - 2 * mean * sums.cross + mean * mean * sums.size_squares
    return max(spread, 0.0) * sums.n_units / (sums.n_units - 1) / sums.n**2


@dataclass(frozen=True, slots=True)
class QuantileInterval:
    """What is known of a quantile of one arm.

    Attributes:
        estimate: The quantile of the histogram.
        low: Low end, interpolated within its bin.
        high: High end, interpolated; infinite above the last edge.
        low_edge: Low end as the histogram proves it, whatever happens inside a bin.
        high_edge: High end likewise.
    """

    estimate: float
    low: float
    high: float
    low_edge: float
    high_edge: float


def quantile_interval(
    histogram: Histogram, quantile: float, *, alpha_low: float, alpha_high: float
) -> QuantileInterval | None:
    """An interval for one quantile of one arm; None without values.

    The number of values at or below the true quantile is binomial with a known chance, so the same
    mixture as in `flag_difference` bounds it at all looks; the interval is where the histogram
    crosses these bounds. The distribution may be of any shape.

    Source: Howard and Ramdas (2022), Bernoulli 28:1704, confidence sequences for a fixed quantile.

    >>> values = np.random.default_rng(1).lognormal(-4, 0.5, 2000)
    >>> found = quantile_interval(Histogram.of(values), 0.95, alpha_low=0.05, alpha_high=0.05)
    >>> found.low_edge <= found.low < np.exp(-4 + 0.5 * 1.645) < found.high <= found.high_edge
    True
    """
    n = histogram.n
    if n == 0:
        return None
    below = np.cumsum(histogram.counts)[:-1] / n
    edges = np.asarray(histogram.edges)
    weighed = n / histogram.design_effect
    share_low = share_bound(weighed, quantile, math.log(1 / alpha_low), -1)
    share_high = share_bound(weighed, quantile, math.log(1 / alpha_high), 1)
    at_low = int(np.searchsorted(below, share_low, side="right")) - 1
    at_high = edges.size if share_high >= 1 else int(np.searchsorted(below, share_high))
    return QuantileInterval(
        estimate=_interpolated(edges, below, quantile),
        low=0.0 if share_low <= 0 else _interpolated(edges, below, share_low),
        high=math.inf if share_high >= 1 else _interpolated(edges, below, share_high),
        low_edge=float(edges[at_low]) if at_low >= 0 and share_low > 0 else 0.0,
        high_edge=float(edges[at_high]) if at_high < edges.size else math.inf,
    )


def distribution_distance(
    challenger: Counts, stable: Counts, *, alpha_low: float, alpha_high: float
) -> Interval:
    """An interval for the total variation distance between what two arms predict.

    Each class or range has an interval of its own (`flag_difference`), and all share the alpha. The
    distance is half the sum of the differences, 0 for equal shares and 1 for none in common.

    >>> same = Counts(counts={"yes": 500, "no": 500}, n_units=1000)
    >>> flipped = Counts(counts={"yes": 100, "no": 900}, n_units=1000)
    >>> distribution_distance(same, flipped, alpha_low=0.05, alpha_high=0.05).low > 0.25
    True
    """
    if challenger.n == 0 or stable.n == 0:
        return Interval(0.0, 1.0)
    names = sorted({*challenger.counts, *stable.counts})
    arms = [
        (
            np.full(len(names), arm.n / arm.design_effect),
            np.asarray([arm.counts.get(name, 0) for name in names]) / arm.design_effect,
        )
        for arm in (challenger, stable)
    ]
    share = 2 * len(names)
    inner_low, inner_high = flag_difference(
        arms[0], arms[1], alpha_low=alpha_low / share, alpha_high=alpha_low / share
    )
    outer_low, outer_high = flag_difference(
        arms[0], arms[1], alpha_low=alpha_high / share, alpha_high=alpha_high / share
    )
    nearest = np.maximum(np.maximum(inner_low, -inner_high), 0)
    farthest = np.maximum(np.abs(outer_low), np.abs(outer_high))
    return Interval(float(nearest.sum() / 2), float(min(farthest.sum() / 2, 1)))


def _weighed(sums: Moments) -> tuple[float, float]:
    effect = design_effect(sums)
    return sums.n / effect, min(max(sums.total / effect, 0.0), sums.n / effect)


def _mean(sums: Moments) -> float:
    return sums.total / sums.n


def _interpolated(edges: Floats, below: Floats, share: float) -> float:
    """Where the cumulated histogram reaches a share; evenly spread within a bin."""
    at = int(np.searchsorted(below, share, side="left"))
    if at >= edges.size:
        return math.inf
    start, start_share = (0.0, 0.0) if at == 0 else (float(edges[at - 1]), float(below[at - 1]))
    width = float(below[at]) - start_share
    part = (share - start_share) / width if width > 0 else 1.0
    return start + part * (float(edges[at]) - start)

"""Shares bounded by likelihood ratios: what stays valid at every look from the first value on.

Here: `flag_difference` for shares of two arms, vectorised; `share_bound` for the share of values at
or below a quantile; `log_gamma`, which both need.
Not here: design effects, means and everything else that takes many values (`sequential.py`).
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_SMALLEST = 1e-300
_HALVINGS = 40  # of 80 units of a logarithm: to 10 digits


def flag_difference(
    challenger: tuple[ArrayLike, ArrayLike],
    stable: tuple[ArrayLike, ArrayLike],
    *,
    ratio: ArrayLike = 1.0,
    alpha_low: float,
    alpha_high: float,
) -> tuple[Floats, Floats]:
    """Ends of an interval for `p_challenger - ratio · p_stable`, for shares or means in [0, 1].

    Each arm has a likelihood ratio between a mixture of all p (Jeffreys' prior) and one p, which is
    a nonnegative martingale when that p is true; of values in [0, 1] a supermartingale. So is the
    product of both arms, and by Ville's inequality it ever exceeds 1 / alpha with a chance of at
    most alpha. The interval is the range of the difference over all pairs for which it does not.
    It needs no large numbers and is exact where each value is a unit.

    Args:
        challenger: Number of values and their sum; any shape; may be fractional.
        stable: The same. (0, 0) where there is none: it then may be anything.
        ratio: Factor of the stable arm's share, ≥ 0. 0 gives the challenger's share itself.
        alpha_low: Chance that the low end ever lies above the truth.
        alpha_high: Chance that the high end ever lies below it.

    Returns:
        The two ends, shape of the arguments.

    Source: Robbins (1970), Ann. Math. Statist. 41:1397; of bounded values Howard, Ramdas, McAuliffe
    and Sekhon (2021), Ann. Statist. 49:1055; of two arms in today's words Turner, Ly and Grünwald
    (2024), J. Statist. Planning and Inference 230:106116.

    >>> ends = flag_difference((200, 30), (1800, 20), alpha_low=0.05, alpha_high=0.05)
    >>> [round(float(end), 3) for end in ends]
    [0.05, 0.272]
    """
    arms = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (*challenger, *stable)))
    weight = np.asarray(ratio, dtype=np.float64)
    n_c, s_c, n_s, s_s = arms
    spread = np.log([1 / alpha_low, 1 / alpha_high]).reshape((2,) + (1,) * n_c.ndim)
    one, other = np.stack([s_c, n_c - s_c]), np.stack([n_s - s_s, s_s])
    low, mirrored = _extreme((n_c, one), (n_s, other), weight, spread)
    return low - weight, 1 - mirrored


def log_gamma(x: ArrayLike) -> Floats:
    """Logarithm of the gamma function, for x > 0, to 11 digits.

    Stirling's series after nine steps of the recurrence; NumPy has none, and SciPy takes a second
    to import.

    >>> log_gamma([0.5, 3.0, 11.0]).round(8)
    array([ 0.57236494,  0.69314718, 15.10441257])
    """
    values = np.asarray(x, dtype=np.float64)
    product = np.ones_like(values)
    for step in range(9):
        product = product * (values + step)
    z = values + 9
    inverse = 1 / (z * z)
    series = (1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse / 1680))) / z
    result: Floats = (
        (z - 0.5) * np.log(z) - z + 0.5 * math.log(2 * math.pi) + series - np.log(product)
    )
    return result


def _log_mixture(n: Floats, total: Floats) -> Floats:
    """Logarithm of the chance of the values under Jeffreys' mixture of all p."""
    log_beta = log_gamma(total + 0.5) + log_gamma(n - total + 0.5) - log_gamma(n + 1)
    result: Floats = log_beta - math.log(math.pi)
    return result


def _log_chance(n: Floats, total: Floats, p: Floats) -> Floats:
    """Logarithm of the chance of the values under one p; 0 · log 0 is 0."""
    wins = np.where(total > 0, total * np.log(np.maximum(p, _SMALLEST)), 0.0)
    losses = np.where(n - total > 0, (n - total) * np.log(np.maximum(1 - p, _SMALLEST)), 0.0)
    result: Floats = wins + losses
    return result


def _pushed_down(n: Floats, total: Floats, force: Floats) -> Floats:
    """The p at which the log chance grows by `force` a unit of p: the best p, pushed down."""
    inside = (n + force) ** 2 - 4 * force * total
    below: Floats = 2 * total / np.maximum(n + force + np.sqrt(np.maximum(inside, 0)), _SMALLEST)
    return below


def _extreme(
    one: tuple[Floats, Floats], other: tuple[Floats, Floats], weight: Floats, spread: Floats
) -> Floats:
    """Least `p_one + weight · p_other` over the pairs whose joint likelihood ratio is ≤ e^spread.

    At the least sum both arms are pushed down by forces of ratio `weight`; the force is found by
    halving. `other` counts the complement of what it stands for, so sums become differences.
    """
    (n_1, s_1), (n_2, s_2) = one, other
    ceiling = spread - _log_mixture(n_1, s_1) - _log_mixture(n_2, s_2)
    shape = np.broadcast_shapes(ceiling.shape, np.shape(weight))
    bottom, top = np.full(shape, -20.0), np.full(shape, 60.0)  # logarithms of the force
    for _ in range(_HALVINGS):
        middle = (bottom + top) / 2
        force = np.exp(middle)
        p_1, p_2 = _pushed_down(n_1, s_1, force), _pushed_down(n_2, s_2, force * weight)
        excess = -_log_chance(n_1, s_1, p_1) - _log_chance(n_2, s_2, p_2)
        is_inside = excess <= ceiling
        bottom, top = np.where(is_inside, middle, bottom), np.where(is_inside, top, middle)
    force = np.exp(top)
    result: Floats = _pushed_down(n_1, s_1, force) + weight * _pushed_down(n_2, s_2, force * weight)
    return result


def share_bound(n: float, p: float, spread: float, side: int) -> float:
    """The share of n values at or below the true p-quantile that is never passed on one side."""
    inside, outside = p, (0.0 if side < 0 else 1.0)
    whole = math.lgamma(n + 1) + math.log(math.pi)

    def excess(share: float) -> float:
        below, above = n * share, n * (1 - share)
        mixture = math.lgamma(below + 0.5) + math.lgamma(above + 0.5) - whole
        return mixture - below * math.log(p) - above * math.log(1 - p)

    if excess(outside) < spread:
        return outside
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if excess(middle) < spread:
            inside = middle
        else:
            outside = middle
    return outside

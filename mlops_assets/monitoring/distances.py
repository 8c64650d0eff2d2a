"""How far two samples lie apart, from their counts: plain functions of NumPy arrays.

Each takes counts by bin, the reference first, bins along the last axis; so a thousand redraws cost
one call. On bins that keep every distinct value apart they equal SciPy's on the same samples; on
coarser bins they see what the bins see. None says whether a distance is more than chance; that is
`null.py`.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_NO_SHARE = 1e-4  # stands for an empty bin in the index below


def shares(counts: ArrayLike) -> Floats:
    """Counts as shares of their sum; zeros when there is nothing to share."""
    array = np.asarray(counts, dtype=np.float64)
    total = array.sum(axis=-1, keepdims=True)
    return np.asarray(array / np.where(total > 0, total, 1.0), dtype=np.float64)


def kolmogorov_smirnov(reference: ArrayLike, current: ArrayLike) -> Floats:
    """Largest difference of the cumulative shares, 0 to 1; bins in the order of their values.

    It is the share of rows that lie on the other side of some value than before.

    >>> float(kolmogorov_smirnov([5, 5, 0], [0, 5, 5]))
    0.5
    """
    apart = np.cumsum(shares(reference), axis=-1) - np.cumsum(shares(current), axis=-1)
    return np.asarray(np.abs(apart).max(axis=-1), dtype=np.float64)


def total_variation(reference: ArrayLike, current: ArrayLike) -> Floats:
    """Share of rows that would have to change category to make the shares equal, 0 to 1.

    >>> float(total_variation([5, 5, 0], [5, 0, 5]))
    0.5
    """
    apart = np.abs(shares(reference) - shares(current)).sum(axis=-1) / 2
    return np.asarray(apart, dtype=np.float64)


def jensen_shannon(reference: ArrayLike, current: ArrayLike) -> Floats:
    """Jensen–Shannon distance with natural logarithms: 0 when equal, 0.833 when disjoint.

    Noise alone makes it positive, more so with few rows and many bins.

    Source: Lin (1991), IEEE Transactions on Information Theory 37:145; the distance is the square
    root of the divergence.

    >>> round(float(jensen_shannon([1, 0], [0, 1])), 4)
    0.8326
    """
    p, q = shares(reference), shares(current)
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log(p / middle), 0) + np.where(
            q > 0, q * np.log(q / middle), 0
        )
    return np.asarray(np.sqrt(np.maximum(terms.sum(axis=-1) / 2, 0)), dtype=np.float64)


def population_stability_index(reference: ArrayLike, current: ArrayLike) -> Floats:
    """Sum over bins of the difference of shares times the difference of their logarithms.

    An empty bin counts as a share of 0.0001. By custom below 0.1 is called stable and above 0.25
    moved, which holds for thousands of rows and not for fifty.

    >>> round(float(population_stability_index([5, 5], [4, 6])), 4)
    0.0405
    """
    p, q = shares(reference), shares(current)
    p, q = np.where(p > 0, p, _NO_SHARE), np.where(q > 0, q, _NO_SHARE)
    return np.asarray(((p - q) * np.log(p / q)).sum(axis=-1), dtype=np.float64)


def chi_square(reference: ArrayLike, current: ArrayLike) -> Floats:
    """The chi-square statistic of the two-sample table, both rows taken as samples.

    Bins that are empty on both sides do not count. A statistic without a p: with rare categories
    its distribution is not that of the tables, so `null.py` draws it.
    """
    a, b = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    n, m = a.sum(axis=-1, keepdims=True), b.sum(axis=-1, keepdims=True)
    pooled = a + b
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(pooled > 0, np.square(a * m - b * n) / (n * m * pooled), 0.0)
    return np.asarray(terms.sum(axis=-1), dtype=np.float64)


def wasserstein(
    edges: Floats,
    reference: tuple[NDArray[np.int64], Floats],
    current: tuple[NDArray[np.int64], Floats],
) -> float:
    """Area between the two cumulative distributions, in the unit of the values.

    Inside a bin the signed area is exact, since sums are kept; only where the distributions cross
    inside a bin do parts of it cancel, so the result is never too large.

    Args:
        edges: Upper bounds of the bins but the last.
        reference: Counts and sums of the values by bin.
        current: The same.

    Returns:
        0 or more; NaN when a side is empty.
    """
    if not (reference[0].sum() and current[0].sum() and edges.size):
        return float("nan")
    areas = _areas_below(edges, *reference) - _areas_below(edges, *current)
    return float(np.abs(areas).sum())


def _areas_below(edges: Floats, counts: NDArray[np.int64], sums: Floats) -> Floats:
    """Area under the cumulative distribution in each bin; that above it in the last."""
    n = counts.sum()
    before = np.cumsum(counts[:-1])[:-1] * np.diff(edges)  # rows of lower bins, over the whole bin
    inside = edges * counts[:-1] - sums[:-1]
    last = -(sums[-1] - edges[-1] * counts[-1])
    areas = np.concatenate([inside[:1], before + inside[1:], [last]]) / n
    return np.asarray(areas, dtype=np.float64)

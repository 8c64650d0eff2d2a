"""One column of a window beside the reference: distances, shift and the p of each difference.

Here: `Tables`, the counts of both sides; `compare`, the distances and p of one column.
Not here: which p counts among many columns, and the words (`drift.py`).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mlops_assets.monitoring import distances as far
from mlops_assets.monitoring.layout import HASHED_BINS, ColumnLayout, hashed
from mlops_assets.monitoring.null import (
    Basis,
    Null,
    NullCache,
    redraw_blocks,
    redraw_rows,
    redraw_shares,
    size_bucket,
)
from mlops_assets.monitoring.report import Distances
from mlops_assets.monitoring.sketch import ColumnCounts

Counts = NDArray[np.int64]

_TENTHS = 10
_MOST_JUDGED = 60  # categories with a bin of their own
_REFERENCE_IS_LARGE = 10  # times the window: its shares alone then stand for both


@dataclass(frozen=True, slots=True)
class Tables:
    """Rows of both sides by bin.

    Attributes:
        layout: The column.
        by_block: Reference, by block (those with a time) and judged bin, missing last.
        reference: Reference by judged bin.
        current: Window by judged bin.
        bins: Both sides by the bins that are compared: the judged ones, or categories by name.
    """

    layout: ColumnLayout
    by_block: Counts
    reference: Counts
    current: Counts
    bins: tuple[Counts, Counts]

    @property
    def n(self) -> int:
        """Values of the reference."""
        return int(self.reference[:-1].sum())

    @property
    def m(self) -> int:
        """Values of the window."""
        return int(self.current[:-1].sum())


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference of a column: that of its values, or that of its missing share.

    Attributes:
        what: Which.
        shift_ratio: How large, as a share of rows.
        p: Chance of one as large when nothing has changed.
    """

    what: str
    shift_ratio: float
    p: float


def whole_tables(
    layout: ColumnLayout,
    reference: ColumnCounts,
    current: ColumnCounts,
    timed: NDArray[np.bool_],
) -> Tables:
    """The tables of all rows."""
    bins = (reference.bins[:-1], current.bins[:-1])
    if not layout.is_number:
        bins = _named_bins(layout, reference, current)
    return Tables(layout, reference.by_block[timed], reference.bins, current.bins, bins)


def slice_tables(layout: ColumnLayout, by_block: Counts, current: Counts) -> Tables:
    """The tables of the rows of a slice."""
    reference = by_block.sum(axis=0)
    return Tables(layout, by_block, reference, current, (reference[:-1], current[:-1]))


def _named_bins(
    layout: ColumnLayout, reference: ColumnCounts, current: ColumnCounts
) -> tuple[Counts, Counts]:
    """Categories that are frequent in both sides together each have a bin; the others are hashed.

    Chosen from both sides alike, so that shuffling rows between them stays exact.
    """
    pooled = dict(reference.names)
    for name, count in current.names.items():
        pooled[name] = pooled.get(name, 0) + count
    chosen = sorted(pooled, key=lambda name: (-pooled[name], name))[:_MOST_JUDGED]
    sides = []
    for side in (reference, current):
        rest = np.array(side.bins[len(layout.names) : -1])
        for name in layout.names:
            rest[hashed(name)] += side.names.get(name, 0)
        for name in chosen:
            rest[hashed(name)] -= side.names.get(name, 0)
        own = [side.names.get(name, 0) for name in chosen]
        sides.append(np.concatenate([np.array(own, dtype=np.int64), rest]))
    assert sides[0].size == len(chosen) + HASHED_BINS  # noqa: S101 - by construction
    return sides[0], sides[1]


def compare(
    tables: Tables, basis: Basis, fewest: int, draws: int, nulls: NullCache
) -> list[Difference]:
    """The differences of a column that can be told; none when there are too few rows.

    Args:
        tables: Both sides.
        basis: What the null redraws.
        fewest: Values of each side below which values are not compared.
        draws: Of each null.
        nulls: Those that are drawn already.
    """
    found = []
    if min(tables.n, tables.m) >= fewest:
        found.append(_compare_values(tables, basis, draws, nulls))
    n_missing = int(tables.reference[-1] + tables.current[-1])
    if min(tables.reference.sum(), tables.current.sum()) >= fewest and n_missing:
        found.append(_compare_missing(tables, basis, draws, nulls))
    return found


def _compare_values(tables: Tables, basis: Basis, draws: int, nulls: NullCache) -> Difference:
    layout, (n, m) = tables.layout, (tables.n, tables.m)
    in_blocks = basis.unit == "blocks"
    sides = (tables.reference[:-1], tables.current[:-1]) if in_blocks else tables.bins
    by_shares = not in_blocks and layout.is_number and n >= _REFERENCE_IS_LARGE * m
    if in_blocks or by_shares:
        m = size_bucket(m)
    statistic = far.kolmogorov_smirnov if layout.is_number else partial(_relative_chi_square, n, m)
    shift = far.kolmogorov_smirnov if layout.is_number else far.total_variation
    about: tuple[object, ...] = (layout.digest, "values", n, basis, draws)
    if in_blocks:
        by_block = tables.by_block[:, :-1]
        draw = partial(redraw_blocks, by_block=by_block, basis=basis, m=m, draws=draws)
        key = (*about, m, _digest(by_block))
    elif by_shares:
        shares = sides[0] / n
        draw = partial(redraw_shares, shares=shares, n=n, m=m, draws=draws)
        key = (*about, m, _digest(shares))
    else:
        draw = partial(redraw_rows, pooled=sides[0] + sides[1], n=n, m=m, draws=draws)
        key = (*about, m, _digest(sides[0] + sides[1]))
    null = nulls.get(key, partial(_null, draw, statistic, basis.n_units(draws)))
    return Difference("values", float(shift(*sides)), null.p(float(statistic(*sides))))


def _compare_missing(tables: Tables, basis: Basis, draws: int, nulls: NullCache) -> Difference:
    sides = [np.array([side[:-1].sum(), side[-1]]) for side in (tables.reference, tables.current)]
    n, m = (int(side.sum()) for side in sides)
    about: tuple[object, ...] = (tables.layout.digest, "missing", n, basis, draws)
    if basis.unit == "blocks":
        m = size_bucket(m)
        by_block = np.stack([tables.by_block[:, :-1].sum(axis=1), tables.by_block[:, -1]], axis=1)
        draw = partial(redraw_blocks, by_block=by_block, basis=basis, m=m, draws=draws)
        key = (*about, m, _digest(by_block))
    else:
        draw = partial(redraw_rows, pooled=sides[0] + sides[1], n=n, m=m, draws=draws)
        key = (*about, m, _digest(sides[0] + sides[1]))
    null = nulls.get(key, partial(_null, draw, far.total_variation, basis.n_units(draws)))
    shift = float(far.total_variation(*sides))
    return Difference("missing", shift, null.p(shift))


def _digest(array: NDArray[np.generic]) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


def _null(
    draw: Callable[[np.random.Generator], tuple[Counts, Counts]],
    statistic: Callable[[Counts, Counts], NDArray[np.float64]],
    n_units: int,
    rng: np.random.Generator,
) -> Null:
    return Null(np.sort(statistic(*draw(rng))), n_units)


def _relative_chi_square(n: int, m: int, reference: Counts, current: Counts) -> NDArray[np.float64]:
    """The chi-square statistic of n and m rows with the shares of these counts.

    Redrawn days have more or fewer rows than the window; only their shares may count.
    """
    p, q = far.shares(reference), far.shares(current)
    return far.chi_square(p * n, q * m)


def measure(layout: ColumnLayout, reference: ColumnCounts, current: ColumnCounts) -> Distances:
    """The distances of a column; none of them when a side has no values."""
    if not (reference.n and current.n):
        return Distances()
    if not layout.is_number:
        sides = _named_bins(layout, reference, current)
        return Distances(
            population_stability_index=float(far.population_stability_index(*_occupied(sides))),
            jensen_shannon=float(far.jensen_shannon(*sides)),
            chi_square=float(far.chi_square(*sides)),
            total_variation=float(far.total_variation(*sides)),
        )
    tenths = _tenths(reference.fine)
    sides = tuple(np.add.reduceat(side.fine, tenths) for side in (reference, current))  # type: ignore[assignment]
    moved = far.wasserstein(
        layout.edges, (reference.fine, reference.sums), (current.fine, current.sums)
    )
    deviation = reference.deviation
    return Distances(
        kolmogorov_smirnov=float(far.kolmogorov_smirnov(reference.fine, current.fine)),
        wasserstein=moved / deviation if deviation and np.isfinite(moved) else None,
        population_stability_index=float(far.population_stability_index(*_occupied(sides))),
        jensen_shannon=float(far.jensen_shannon(*sides)),
    )


def _occupied(sides: tuple[Counts, Counts]) -> tuple[Counts, Counts]:
    """Without bins that are empty on both sides."""
    there = (sides[0] + sides[1]) > 0
    return sides[0][there], sides[1][there]


def _tenths(fine: Counts) -> NDArray[np.int64]:
    """First fine bin of each of ten parts of about equal weight."""
    before = np.cumsum(fine) - fine
    group = np.minimum((before * _TENTHS) // max(int(fine.sum()), 1), _TENTHS - 1)
    return np.flatnonzero(np.diff(group, prepend=-1) > 0)

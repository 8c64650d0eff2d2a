"""What chance alone would show: the two-sample null of a statistic, and the p that follows.

Here: `Basis`, what is redrawn; `redraw_rows`, `redraw_blocks` and `redraw_shares`, which draw both
sides of a comparison at their own sizes; `Null`, the drawn statistics and the p of an observed one;
`NullCache`.
Not here: the statistics (`distances.py`) and what follows from a p (`drift.py`).

Both sides are drawn. To redraw a window against a fixed reference takes the reference for the truth
and flags 28 to 100 % of healthy columns once the window is as large as it is.

Rows of a day resemble each other, and Sundays differ from Mondays. With a time column whole days
(or hours) are drawn, the reference in runs of a week, the window in runs as long as it is itself,
at most a week.
"""

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlops_assets.monitoring.layout import Block

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Statistic = Callable[[Counts, Counts], Floats]
"""Of the counts of the reference and the window by bin; bins along the last axis."""

FEWEST_BLOCKS = 14
_WEEK: dict[Block, int] = {"day": 7, "hour": 168}
_MOST_IN_TAIL = 100
_LARGEST_POOL = 10**9 - 1  # numpy draws without replacement from less
_BUCKET = 1.05


@dataclass(frozen=True, slots=True)
class Basis:
    """What the null redraws.

    Attributes:
        unit: rows: each on its own. blocks: whole days or hours.
        block: Which of the two.
        n_reference: Blocks of the reference.
        n_current: Blocks of the window.
        reason: In words.
    """

    unit: Literal["rows", "blocks"]
    block: Block
    n_reference: int
    n_current: int
    reason: str

    @property
    def run(self) -> int:
        """Blocks of the window that are drawn in a row: all, but a week at most, and half of the
        reference, of which two runs would otherwise be the same blocks."""
        return max(1, min(self.n_current, _WEEK[self.block], self.n_reference // 2))

    @property
    def reference_run(self) -> int:
        """Blocks of the reference that are drawn in a row."""
        week = _WEEK[self.block]
        return week if self.n_reference >= 2 * week else 1

    def n_units(self, draws: int) -> int:
        """How many really different windows the draws show; p cannot be told finer than that."""
        if self.unit == "rows":
            return draws
        n_runs = -(-self.n_current // self.run)
        return int(min(draws, max(2, self.n_reference / self.run) ** n_runs))


def choose_basis(block: Block, *, has_time: bool, n_reference: int, n_current: int) -> Basis:
    """Blocks when the reference has enough of them to know how much they differ, else rows."""
    if not has_time:
        reason = "rows are redrawn, since there is no time column to tell which belong together"
        return Basis("rows", block, n_reference, n_current, reason)
    if n_current < 1:
        reason = "rows are redrawn, since no row of the window has a time"
        return Basis("rows", block, n_reference, n_current, reason)
    if n_reference < FEWEST_BLOCKS:
        reason = (
            f"rows are redrawn, since the reference spans {n_reference} {block}s and "
            f"{FEWEST_BLOCKS} are needed to know how much they differ"
        )
        return Basis("rows", block, n_reference, n_current, reason)
    reason = (
        f"whole {block}s are redrawn: {n_reference} of the reference, {n_current} of the window"
    )
    return Basis("blocks", block, n_reference, n_current, reason)


@dataclass(frozen=True, slots=True)
class Null:
    """Values of a statistic that chance alone gave.

    Attributes:
        draws: Growing.
        n_units: How many really different windows stand behind them.
    """

    draws: Floats
    n_units: int

    def p(self, observed: float) -> float:
        """Chance of a value as large or larger, when nothing has changed.

        The rank among the draws, which is exact as long as the observed value is one of them by
        chance. Beyond the largest draw an exponential tail is laid through the largest third (at
        most 100), and its predictive chance is used: exact for an exponential tail, too large for
        the lighter tails that these statistics have.

        Source: Hahn & Meeker (1991), Statistical Intervals, for the prediction of a new value from
        an exponential sample; the idea for permutations: Knijnenburg et al. (2009), Bioinformatics
        25:i161.
        """
        size, units = self.draws.size, self.n_units
        above = size - int(np.searchsorted(self.draws, observed - 1e-12))
        rank = (above / size * units + 1) / (units + 1)
        if above:
            return min(1.0, rank)
        k = min(max(units // 3, 3), _MOST_IN_TAIL)
        cut = self.draws[max(size - 1 - round(size * k / units), 0)]
        excesses = self.draws[self.draws > cut] - cut
        mean_excess = float(excesses.mean()) if excesses.size else 0.0
        if mean_excess <= 0:
            return rank
        tail = (k + 1) / (units + 1) * (1 + (observed - cut) / (k * mean_excess)) ** -k
        return float(min(rank, tail))


class NullCache:
    """Nulls by what they depend on; the least recently used go first.

    Drawing is seeded by the same key, so a cached null is the one that would be drawn.
    """

    def __init__(self, most: int = 2_000) -> None:
        self._most = most
        self._kept: OrderedDict[str, Null] = OrderedDict()
        self.n_drawn = 0

    def get(self, key: tuple[object, ...], draw: Callable[[np.random.Generator], Null]) -> Null:
        """The null of a key, drawn when it is not kept."""
        digest = hashlib.sha256(repr(key).encode()).hexdigest()
        if digest in self._kept:
            self._kept.move_to_end(digest)
            return self._kept[digest]
        found = draw(np.random.default_rng(int(digest, 16)))
        self.n_drawn += 1
        self._kept[digest] = found
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return found


def size_bucket(m: int) -> int:
    """A size at most 5 % below m that many sizes share, so that their nulls are drawn once.

    >>> size_bucket(1000), size_bucket(1001), size_bucket(20)
    (973, 973, 20)
    """
    if m <= 40:
        return m
    return min(m, math.ceil(_BUCKET ** int(math.log(m, _BUCKET) + 1e-9)))


def redraw_rows(
    rng: np.random.Generator, pooled: Counts, n: int, m: int, draws: int
) -> tuple[Counts, Counts]:
    """The rows of both sides shuffled: a permutation test, exact whatever the bins are.

    Args:
        rng: Source of chance.
        pooled: Rows of both sides by bin; they sum to n + m.
        n: Rows of the reference.
        m: Rows of the window.
        draws: How many.

    Returns:
        Counts of the reference and of the window, each of shape (draws, bins).
    """
    if n + m > _LARGEST_POOL:
        return redraw_shares(rng, pooled / pooled.sum(), n, m, draws)
    smaller = min(n, m)
    drawn = rng.multivariate_hypergeometric(pooled, smaller, size=draws, method="marginals")
    rest = pooled[None, :] - drawn
    return (drawn, rest) if n <= m else (rest, drawn)


def redraw_shares(
    rng: np.random.Generator, shares: Floats, n: int, m: int, draws: int
) -> tuple[Counts, Counts]:
    """Two samples of the same shares, of n and m rows."""
    return rng.multinomial(n, shares, size=draws), rng.multinomial(m, shares, size=draws)


def redraw_blocks(
    rng: np.random.Generator, by_block: Counts, basis: Basis, m: int, draws: int
) -> tuple[Counts, Counts]:
    """Whole blocks of the reference, drawn twice: for the reference and for the window.

    What is drawn for the window is thinned to m rows where it has more.

    Args:
        rng: Source of chance.
        by_block: Rows of the reference by block and bin, in the order of time.
        basis: How many blocks, in runs of which length.
        m: Rows of the window.
        draws: How many.
    """
    n_blocks = by_block.shape[0]
    around = np.concatenate([by_block, by_block[: max(basis.run, basis.reference_run)]])
    sums = np.concatenate([np.zeros((1, by_block.shape[1]), np.int64), np.cumsum(around, axis=0)])

    def draw(run: int, n_wanted: int) -> Counts:
        total = np.zeros((draws, by_block.shape[1]), dtype=np.int64)
        for length in [run] * (n_wanted // run) + [n_wanted % run] * (n_wanted % run > 0):
            starts = rng.integers(0, n_blocks, draws)
            total += sums[starts + length] - sums[starts]
        return total

    return draw(basis.reference_run, n_blocks), thin(rng, draw(basis.run, basis.n_current), m)


def thin(rng: np.random.Generator, counts: Counts, m: int) -> Counts:
    """At most m rows of each draw, chosen without replacement."""
    left = np.minimum(counts.sum(axis=1), m)
    rest = counts.sum(axis=1)
    if (rest <= m).all():
        return counts
    if rest.max() > _LARGEST_POOL:
        return rng.multinomial(left, counts / rest[:, None])
    out = np.empty_like(counts)
    for position in range(counts.shape[1]):
        here = counts[:, position]
        rest = rest - here
        out[:, position] = rng.hypergeometric(here, rest, left)
        left = left - out[:, position]
    return out

"""Rows reduced to counts: what is kept of a reference and of each window.

Here: `ColumnCounts`, `RowSample` and `Sketch`, which merge without rereading any row: hours to a
day, days to a week.
Not here: how rows are read and counted (`counting.py`), and the stored form (`stored.py`).

All counts are exact. Room depends on columns, bins, blocks and slices, never on rows.
"""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mlops_assets.errors import MonitoringError
from mlops_assets.monitoring.layout import TRACKED_NAMES, ColumnLayout, Layout

NO_TIME = np.iinfo(np.int64).min
"""Block of rows whose time is missing; they count, and are no block of the null."""

MOST_BLOCKS = 4_000
"""Blocks that are told apart: eleven years of days, half a year of hours."""
SAMPLE_ROWS = 10_000

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ColumnCounts:
    """What is kept of one column.

    Attributes:
        by_block: Rows by block and judged bin; the last bin is for missing values.
        by_slice: The same by slice, in the order of the layout.
        fine: Numbers: rows in each fine bin.
        sums: Numbers: sum of the values in each fine bin.
        mean: Numbers: mean of the values; 0 without any.
        squares: Numbers: sum of squared differences from the mean.
        names: Categories: exact count of each tracked one and of up to 1,000 others.
        n_unnamed: Categories: rows of those that are not in names.
        problem: What is wrong with the column; None when nothing is.
    """

    by_block: Counts
    by_slice: Counts
    fine: Counts = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    sums: Floats = field(default_factory=lambda: np.zeros(0))
    mean: float = 0.0
    squares: float = 0.0
    names: Mapping[str, int] = field(default_factory=dict)
    n_unnamed: int = 0
    problem: str | None = None

    @cached_property
    def bins(self) -> Counts:
        """Rows in each judged bin, missing ones last."""
        return np.asarray(self.by_block.sum(axis=0), dtype=np.int64)

    @property
    def n(self) -> int:
        """Rows with a value."""
        return int(self.bins[:-1].sum())

    @property
    def n_missing(self) -> int:
        """Rows without one."""
        return int(self.bins[-1])

    @property
    def deviation(self) -> float:
        """Standard deviation of the values, with n as divisor; 0 without any."""
        return float(np.sqrt(self.squares / self.n)) if self.n else 0.0


@dataclass(frozen=True, slots=True)
class RowSample:
    """A uniform sample of whole rows, as bins: those with the smallest of random keys.

    Attributes:
        keys: Random in [0, 1), growing.
        blocks: Block of each row.
        codes: Judged bin by row and column, in the order of the layout; missing is the last bin.
    """

    keys: Floats
    blocks: Counts
    codes: NDArray[np.uint8]

    @property
    def n(self) -> int:
        """Rows."""
        return self.keys.size

    def merge(self, other: "RowSample") -> "RowSample":
        """A uniform sample of the rows of both."""
        keys = np.concatenate([self.keys, other.keys])
        kept = np.argsort(keys, kind="stable")[:SAMPLE_ROWS]
        return RowSample(
            keys[kept],
            np.concatenate([self.blocks, other.blocks])[kept],
            np.concatenate([self.codes, other.codes])[kept],
        )


@dataclass(frozen=True)
class Sketch:
    """Counts of the rows of a reference or a window.

    Attributes:
        layout: The bins; only sketches with the same ones go together.
        n_rows: Rows.
        blocks: Number of each block (days or hours since 1970), growing; one 0 without a time.
        columns: Counts by column.
        sample: Some whole rows.
        unknown_columns: Columns of the rows that the layout does not know.
    """

    layout: Layout
    n_rows: int
    blocks: Counts
    columns: Mapping[str, ColumnCounts]
    sample: RowSample
    unknown_columns: frozenset[str] = frozenset()

    def merge(self, other: "Sketch") -> "Sketch":
        """The sketch of the rows of both.

        Raises:
            MonitoringError: they were counted on different bins.
        """
        if self.layout.digest != other.layout.digest:
            raise MonitoringError(
                "two sketches that were counted on different bins cannot be merged "
                f"({self.layout.digest[:12]} and {other.layout.digest[:12]}); "
                "count both windows again on the same reference"
            )
        blocks = newest_blocks(np.union1d(self.blocks, other.blocks))
        places = [places_of(blocks, side.blocks) for side in (self, other)]
        return Sketch(
            self.layout,
            self.n_rows + other.n_rows,
            blocks,
            {
                name: _merge_columns(
                    self.layout.columns[name], mine, other.columns[name], places, blocks.size
                )
                for name, mine in self.columns.items()
            },
            self.sample.merge(other.sample),
            self.unknown_columns | other.unknown_columns,
        )

    @property
    def timed_blocks(self) -> NDArray[np.bool_]:
        """Which blocks have a time."""
        return np.asarray(self.blocks != NO_TIME)


def newest_blocks(blocks: Counts) -> Counts:
    """The newest 4,000 of growing blocks, which older ones join; that without a time is one."""
    if blocks.size <= MOST_BLOCKS:
        return blocks
    n_untimed = _n_untimed(blocks)
    return np.concatenate([blocks[:n_untimed], blocks[n_untimed - MOST_BLOCKS :]])


def places_of(blocks: Counts, own: Counts) -> NDArray[np.int64]:
    """Where blocks stand among all; those older than the first with a time join it."""
    oldest = blocks[_n_untimed(blocks) :][:1]
    if oldest.size:
        own = np.where(own == NO_TIME, own, np.maximum(own, oldest))
    return np.asarray(np.searchsorted(blocks, own), dtype=np.int64)


def _n_untimed(blocks: Counts) -> int:
    """1 when the first block is that without a time, else 0."""
    return int((blocks[:1] == NO_TIME).sum())


def _merge_columns(
    layout: ColumnLayout,
    left: ColumnCounts,
    right: ColumnCounts,
    places: list[NDArray[np.int64]],
    n_blocks: int,
) -> ColumnCounts:
    by_block = np.zeros((n_blocks, left.by_block.shape[1]), dtype=np.int64)
    by_slice = np.zeros((left.by_slice.shape[0], *by_block.shape), dtype=np.int64)
    for side, at in zip((left, right), places, strict=True):
        np.add.at(by_block, at, side.by_block)
        for position, counts in enumerate(side.by_slice):
            np.add.at(by_slice[position], at, counts)
    merged = replace(
        left, by_block=by_block, by_slice=by_slice, problem=left.problem or right.problem
    )
    if layout.is_number:
        mean, squares = _merge_moments(left, right)
        return replace(
            merged,
            fine=left.fine + right.fine,
            sums=left.sums + right.sums,
            mean=mean,
            squares=squares,
        )
    names, n_dropped = _merge_names(layout, left.names, right.names)
    return replace(merged, names=names, n_unnamed=left.n_unnamed + right.n_unnamed + n_dropped)


def _merge_moments(left: ColumnCounts, right: ColumnCounts) -> tuple[float, float]:
    n = left.n + right.n
    if n == 0:
        return 0.0, 0.0
    gap = right.mean - left.mean
    mean = left.mean + gap * (right.n / n)
    return mean, left.squares + right.squares + gap * gap * (left.n * right.n / n)


def _merge_names(
    layout: ColumnLayout, left: Mapping[str, int], right: Mapping[str, int]
) -> tuple[dict[str, int], int]:
    """Counts of both, and the rows whose names are not kept."""
    names = dict(left)
    for name, count in right.items():
        names[name] = names.get(name, 0) + count
    return bounded_names(layout, names)


def bounded_names(layout: ColumnLayout, names: dict[str, int]) -> tuple[dict[str, int], int]:
    """The tracked names and the 1,000 most frequent others; and the rows of the rest."""
    others = [name for name in names if name not in layout.tracked]
    if len(others) <= TRACKED_NAMES:
        return names, 0
    kept = set(heapq.nlargest(TRACKED_NAMES, others, key=lambda name: (names[name], name)))
    dropped = [name for name in others if name not in kept]
    return (
        {name: count for name, count in names.items() if name in layout.tracked or name in kept},
        sum(names[name] for name in dropped),
    )

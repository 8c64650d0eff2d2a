"""What each column is reduced to: kinds, bins and slices, chosen once from the reference.

Here: `Selection`, what is to be watched; `ColumnLayout` and `Layout`, the bins that reference and
windows are counted on; `plan_layout`, which chooses them from a sample of the reference.
Not here: counting (`counting.py`), and what the counts say (`distances.py`, `null.py`).

Bins decide what can be told apart and nothing else: counts are exact whatever the bins are. Numbers
have fine bins for the distances, and up to 64 of about equal weight for the null. Categories have a
bin for each frequent name; the others share 16 by a hash of the name, not by how often they occur,
since what is chosen for being rare in the reference is on average less rare in any other sample.
"""

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

Kind = Literal["number", "category", "boolean", "datetime"]
Role = Literal["feature", "prediction"]
Block = Literal["day", "hour"]

FINE_BINS = 512
HASHED_BINS = 16
TRACKED_NAMES = 1_000
_JUDGED_BINS = 62
_ALL_NAMED = 64  # up to so many categories each has a bin of its own
_MOST_NAMED, _FEWEST_COUNT, _SMALLEST_SHARE = 48, 100, 0.01
_SLICES = 10
OTHERS, MISSING = "(other values)", "(missing)"

_Cut = tuple[str, tuple[int, ...]]  # what a slice is called, and its bins


@dataclass(frozen=True, slots=True)
class WatchedColumn:
    """One column that is watched.

    Attributes:
        name: The column.
        kind: How it is compared.
        role: feature: what the model sees. prediction: what it answered.
    """

    name: str
    kind: Kind
    role: Role = "feature"


@dataclass(frozen=True, slots=True)
class Selection:
    """What is watched.

    Attributes:
        columns: The columns.
        slices: Columns among them whose values are judged each on their own.
        time_column: Column with the time of a row; rows of one block then stay together in the
            null. None: rows are taken as independent.
        block: Length of a block: that of the windows, at most a day.
    """

    columns: tuple[WatchedColumn, ...]
    slices: tuple[str, ...] = ()
    time_column: str | None = None
    block: Block = "day"


@dataclass(frozen=True)
class ColumnLayout:
    """The bins of one column.

    Attributes:
        column: Which.
        edges: Numbers: upper bounds of the fine bins, growing, each within its bin; one bin more
            lies above the last.
        judged: Numbers: for each fine bin the bin that is judged.
        names: Categories: those with a bin of their own.
        tracked: Categories: those whose exact counts are kept.
    """

    column: WatchedColumn
    edges: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    judged: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    names: tuple[str, ...] = ()
    tracked: frozenset[str] = frozenset()

    @property
    def is_number(self) -> bool:
        """Whether values are numbers; moments are."""
        return self.column.kind in ("number", "datetime")

    @property
    def n_bins(self) -> int:
        """Bins that are judged, without the one for missing values, which stands last."""
        return int(self.judged[-1]) + 1 if self.is_number else len(self.names) + HASHED_BINS

    @cached_property
    def bin_by_name(self) -> Mapping[str, int]:
        """Bin of each named category."""
        return {name: position for position, name in enumerate(self.names)}

    def bin_of(self, name: str) -> int:
        """Bin of any category.

        >>> layout = ColumnLayout(WatchedColumn("plan", "category"), names=("basic", "gold"))
        >>> layout.bin_of("gold"), 2 <= layout.bin_of("never seen") < 18
        (1, True)
        """
        found = self.bin_by_name.get(name)
        return len(self.names) + hashed(name) if found is None else found

    @cached_property
    def digest(self) -> str:
        """Names these bins: the same digest, the same bins."""
        column = self.column
        parts = [column.name, column.kind, column.role, *self.names]
        hasher = hashlib.sha256("\0".join(parts).encode())
        hasher.update(self.edges.tobytes() + self.judged.tobytes())
        return hasher.hexdigest()


@dataclass(frozen=True)
class Slice:
    """Rows that share a value of a column.

    Attributes:
        column: The column.
        value: Its value, or a range of it, as a person reads it.
        bins: Its bins that belong to the slice.
    """

    column: str
    value: str
    bins: tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """The bins of all columns of a reference.

    Attributes:
        columns: By name.
        slices: Rows that are judged on their own.
        time_column: As selected.
        block: As selected.
    """

    columns: Mapping[str, ColumnLayout]
    slices: tuple[Slice, ...]
    time_column: str | None
    block: Block

    @cached_property
    def digest(self) -> str:
        """Names the layout; sketches with the same one can be merged and compared."""
        hasher = hashlib.sha256(f"{self.time_column}\0{self.block}".encode())
        for layout in self.columns.values():
            hasher.update(layout.digest.encode())
        for part in self.slices:
            hasher.update(f"{part.column}\0{part.value}\0{part.bins}".encode())
        return hasher.hexdigest()


def hashed(name: str) -> int:
    """One of the bins for categories without one of their own; the same on every machine."""
    return zlib.crc32(name.encode()) % HASHED_BINS


def plan_layout(selection: Selection, sample: Mapping[str, pl.Series]) -> Layout:
    """Bins from a sample of the reference.

    Args:
        selection: What is watched.
        sample: Values by column as `values.py` reads them: Float64 or String.
    """
    columns = {
        column.name: (
            _number_layout(column, sample[column.name])
            if column.kind in ("number", "datetime")
            else _category_layout(column, sample[column.name])
        )
        for column in selection.columns
    }
    slices = [part for name in selection.slices for part in _slices(columns[name], sample[name])]
    return Layout(columns, tuple(slices), selection.time_column, selection.block)


def _number_layout(column: WatchedColumn, sample: pl.Series) -> ColumnLayout:
    values = np.sort(sample.drop_nulls().to_numpy())
    if not values.size:
        return ColumnLayout(column)
    edges = np.unique(values)
    if edges.size > FINE_BINS:
        at = (np.arange(FINE_BINS + 1) * (values.size - 1)) // FINE_BINS
        edges = np.unique(values[at])
    weights = np.bincount(np.searchsorted(edges, values), minlength=edges.size) / values.size
    middle = np.cumsum(weights) - weights / 2
    _, judged = np.unique(np.floor(middle * _JUDGED_BINS), return_inverse=True)
    return ColumnLayout(column, edges, np.append(judged, judged[-1] + 1).astype(np.int64))


def _category_layout(column: WatchedColumn, sample: pl.Series) -> ColumnLayout:
    if column.kind == "boolean":
        return ColumnLayout(column, names=("false", "true"), tracked=frozenset({"false", "true"}))
    counts = _counts(sample)
    tracked = frozenset(list(counts)[:TRACKED_NAMES])
    names = list(counts)
    if len(names) > _ALL_NAMED:
        fewest = max(_FEWEST_COUNT, _SMALLEST_SHARE * sum(counts.values()))
        names = [name for name in names if counts[name] >= fewest][:_MOST_NAMED]
    return ColumnLayout(column, names=tuple(sorted(names)), tracked=tracked)


def _counts(sample: pl.Series) -> dict[str, int]:
    """Names with their counts, most frequent first."""
    names, counts = np.unique(sample.drop_nulls().to_numpy().astype(str), return_counts=True)
    order = np.lexsort((names, -counts))
    return {str(names[i]): int(counts[i]) for i in order}


def _slices(layout: ColumnLayout, sample: pl.Series) -> list[Slice]:
    name = layout.column.name
    cut = (
        _number_slices(layout)
        if layout.is_number
        else _category_slices(layout, list(_counts(sample)))
    )
    return [*(Slice(name, *part) for part in cut), Slice(name, MISSING, (layout.n_bins,))]


def _category_slices(layout: ColumnLayout, by_count: list[str]) -> list[_Cut]:
    own = [name for name in by_count if name in layout.bin_by_name][:_SLICES]
    taken = {layout.bin_by_name[name] for name in own}
    rest = tuple(sorted(set(range(layout.n_bins)) - taken))
    return [*((name, (layout.bin_by_name[name],)) for name in own), (OTHERS, rest)]


def _number_slices(layout: ColumnLayout) -> list[_Cut]:
    """Each value when there are few, else quarters of the reference's rows."""
    n = layout.n_bins - 1  # the last one holds what lies above the reference
    if n <= _SLICES and n == layout.edges.size:
        own = [(f"{edge:g}", (position,)) for position, edge in enumerate(layout.edges)]
        return [*own, (OTHERS, (n,))]
    upper = [layout.edges[np.flatnonzero(layout.judged[:-1] == b)[-1]] for b in range(n)]
    cuts = sorted({round(n * quarter / 4) for quarter in range(5)})  # few bins: fewer parts
    parts = []
    for low, high in pairwise(cuts):
        if low == 0:
            words = f"to {upper[high - 1]:g}"
        elif high == n:
            words = f"above {upper[low - 1]:g}"
        else:
            words = f"above {upper[low - 1]:g} to {upper[high - 1]:g}"
        parts.append((words, tuple(range(low, high)) if high < n else tuple(range(low, n + 1))))
    return parts

"""Which rows repeat a value that stood before, over a whole dataset read in batches.

Here: `SeenKeys`, which remembers 16 bytes for each key: 160 MB at 10 million. Not here: what a
repeated row means (`contract_check.py`).
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

_Hashes = NDArray[np.uint64]


class SeenKeys:
    """The keys of the rows seen so far, as pairs of 64-bit hashes.

    Two different keys are taken for the same one when both hashes agree: at 10 million keys the
    chance that this happens at all is below 1e-24. Rows in which a part of the key is missing are
    not compared, as in SQL.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self._runs: list[tuple[_Hashes, _Hashes]] = []  # each sorted by the first hash

    def mark_repeated(self, rows: pl.DataFrame, counted: pl.Series) -> pl.Series:
        """Whether each row repeats an earlier counted one; the rows are remembered.

        Args:
            rows: The next batch, with at least the key's columns.
            counted: Which rows are compared and remembered at all, as booleans.
        """
        complete = rows.select(pl.all_horizontal(pl.col(self.columns).is_not_null())).to_series()
        hashes = rows.select(first=_hash(self.columns, 1), second=_hash(self.columns, 2))
        asked = hashes.with_columns(row=pl.int_range(pl.len())).filter(complete & counted)
        asked = asked.sort("first", maintain_order=True)  # in order, so that look-ups hit the cache
        in_batch = asked.select(~pl.struct("first", "second").is_first_distinct()).to_series()
        first, second = asked["first"].to_numpy(), asked["second"].to_numpy()
        known = self._known(first, second) | in_batch.to_numpy()
        self._remember(first[~known], second[~known])
        marks = np.zeros(len(rows), dtype=bool)
        marks[asked["row"].to_numpy()[known]] = True
        return pl.Series(marks)

    def _known(self, first: _Hashes, second: _Hashes) -> NDArray[np.bool_]:
        found = np.zeros(len(first), dtype=bool)
        for run_first, run_second in self._runs:
            at = np.minimum(np.searchsorted(run_first, first), len(run_first) - 1)
            found |= (run_first[at] == first) & (run_second[at] == second)
        return found

    def _remember(self, first: _Hashes, second: _Hashes) -> None:
        """Adds a sorted run. Runs of like size are merged, so that there are few: log n."""
        if not len(first):
            return
        self._runs.append((first, second))
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            newer, older = self._runs.pop(), self._runs.pop()
            self._runs.append(
                _sorted(np.concatenate((older[0], newer[0])), np.concatenate((older[1], newer[1])))
            )


def _hash(columns: Sequence[str], seed: int) -> pl.Expr:
    hashed = pl.col(columns[0]).hash(seed)
    for place, column in enumerate(columns[1:], start=1):
        hashed = pl.struct(hashed.alias("before"), pl.col(column).hash(seed + 2 * place)).hash(seed)
    return hashed


def _sorted(first: _Hashes, second: _Hashes) -> tuple[_Hashes, _Hashes]:
    order = np.argsort(first, kind="stable")
    return first[order], second[order]

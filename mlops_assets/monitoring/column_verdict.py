"""The verdict on one column, given that others are judged beside it.

Here: `Case`, what is judged; `Found`, a column with its differences; `adjust`, Benjamini–Hochberg;
`find`, `judge` and `describe`.
Not here: how the differences are found (`comparison.py`), and the window's verdict (`drift.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlops_assets.monitoring.comparison import (
    Difference,
    Tables,
    compare,
    measure,
    whole_tables,
)
from mlops_assets.monitoring.layout import ColumnLayout
from mlops_assets.monitoring.null import Basis, NullCache
from mlops_assets.monitoring.report import ColumnDrift, ColumnState, Distances
from mlops_assets.monitoring.sketch import ColumnCounts, Sketch
from mlops_assets.spec import DriftSpec

_MOST_NAMED = 20
_EXPECTED = 5  # rows of a category that should be there before it is called vanished
_WEIGHED_MISSING = 0.5  # of the reference's rows; where more are missing, all may be


@dataclass(frozen=True, slots=True)
class Case:
    """What is judged: both sides, and by what.

    Attributes:
        reference: Counts of the training frame.
        current: Counts of the window.
        policy: The limits.
        basis: What the null redraws.
        weights: Share of the importance by feature.
        nulls: Those that are drawn already.
    """

    reference: Sketch
    current: Sketch
    policy: DriftSpec
    basis: Basis
    weights: Mapping[str, float]
    nulls: NullCache

    def compare(self, tables: Tables) -> list[Difference]:
        """The differences of a column."""
        policy = self.policy
        return compare(tables, self.basis, policy.minimum_rows, policy.draws, self.nulls)


@dataclass(frozen=True, slots=True)
class Found:
    """A column with its differences, before all columns are judged together."""

    layout: ColumnLayout
    tables: Tables
    differences: list[Difference]
    problem: str | None = None

    @property
    def p(self) -> float | None:
        """Of the most telling difference, corrected for how many there are (Bonferroni)."""
        if not self.differences:
            return None
        return min(1.0, len(self.differences) * min(d.p for d in self.differences))


def find(case: Case, layout: ColumnLayout) -> Found:
    """The differences of a column; none when it is broken."""
    name = layout.column.name
    old, new = case.reference.columns[name], case.current.columns[name]
    tables = whole_tables(layout, old, new, case.reference.timed_blocks)
    problem = new.problem or _lost(old, new)
    return Found(layout, tables, [] if problem else case.compare(tables), problem)


def _lost(reference: ColumnCounts, current: ColumnCounts) -> str | None:
    n_rows = reference.n + reference.n_missing
    if current.n or not current.n_missing or reference.n < (1 - _WEIGHED_MISSING) * n_rows:
        return None
    share = reference.n_missing / n_rows
    return f"all {current.n_missing:,} values are missing, {share:.1%} in the reference"


def adjust(p_values: Sequence[float | None]) -> list[float | None]:
    """Benjamini–Hochberg: each p as the smallest false discovery ratio at which it is rejected.

    What has no p is no test and stays without one.

    Source: Benjamini & Hochberg (1995), Journal of the Royal Statistical Society B 57:289.

    >>> adjust([0.01, None, 0.04, 0.02])
    [0.03, None, 0.04, 0.03]
    """
    known = np.array([p for p in p_values if p is not None])
    order = np.argsort(known)[::-1]
    ranks = np.arange(known.size, 0, -1)
    adjusted = np.empty_like(known)
    adjusted[order] = np.minimum(np.minimum.accumulate(known[order] * known.size / ranks), 1.0)
    left = iter(adjusted.tolist())
    return [None if p is None else next(left) for p in p_values]


def judge(found: Found, adjusted: float | None, policy: DriftSpec) -> tuple[ColumnState, str]:
    """The first rule that applies decides."""
    if found.problem is not None:
        return "broken", found.problem
    if adjusted is None or found.p is None:
        n, m = found.tables.n, found.tables.m
        few = f"{m:,} values in the window and {n:,} in the reference"
        return "not_enough_data", f"{few}, {policy.minimum_rows:,} of each are needed"
    limit = policy.false_discovery_ratio
    size, words = _largest(found, adjusted, limit)
    chance = f"p {_text(found.p)}, {_text(adjusted)} among all columns"
    if adjusted > limit:
        return "stable", f"{words}: no more than chance shows ({chance})"
    if size < policy.minimum_shift_ratio:
        least = f"less than the {policy.minimum_shift_ratio:.1%} that matter"
        return "stable", f"{words}: more than chance ({chance}), but {least}"
    return "drifted", f"{words} ({chance})"


def _largest(found: Found, adjusted: float, limit: float) -> tuple[float, str]:
    """The largest difference that is as sure as the column is, in words."""
    p_of = {d.what: min(1.0, len(found.differences) * d.p) for d in found.differences}
    factor = adjusted / found.p if found.p else 1.0
    sure = [d for d in found.differences if p_of[d.what] * factor <= limit]
    told = max(
        sure or found.differences,
        key=lambda d: (d.shift_ratio, -d.p) if sure else (-d.p, d.shift_ratio),
    )
    n_rows = found.tables.current.sum()
    if told.what == "missing":
        now = found.tables.current[-1] / n_rows
        before = found.tables.reference[-1] / found.tables.reference.sum()
        return told.shift_ratio, f"{now:.1%} of {n_rows:,} values are missing, {before:.1%} before"
    moved = "lie elsewhere" if found.layout.is_number else "are in other categories"
    return told.shift_ratio, f"{told.shift_ratio:.1%} of {found.tables.m:,} values {moved}"


def describe(case: Case, found: Found, adjusted: float | None) -> ColumnDrift:
    """The record of a column with its verdict."""
    layout = found.layout
    column = layout.column
    old, new = case.reference.columns[column.name], case.current.columns[column.name]
    state, reason = judge(found, adjusted, case.policy)
    new_names, n_new, vanished = _categories(layout, old, new)
    named = ", ".join(f"{name!r} ({count:,})" for name, count in list(new_names.items())[:3])
    return ColumnDrift(
        column=column.name,
        kind=column.kind,
        role=column.role,
        state=state,
        reason=reason + (f"; new categories: {named}" if new_names else ""),
        n_reference=old.n,
        n_current=new.n,
        p=found.p,
        p_adjusted=adjusted,
        shift_ratio=max((d.shift_ratio for d in found.differences), default=None),
        distances=Distances() if found.problem else measure(layout, old, new),
        missing_ratio=new.n_missing / case.current.n_rows,
        missing_ratio_reference=old.n_missing / case.reference.n_rows,
        new_categories=new_names,
        n_in_new_categories=n_new,
        vanished_categories=vanished,
        weight=case.weights.get(column.name, 0.0),
    )


def _categories(
    layout: ColumnLayout, reference: ColumnCounts, current: ColumnCounts
) -> tuple[dict[str, int], int, tuple[str, ...]]:
    """New ones with their rows, the rows of all new ones, and vanished ones; most rows first.

    Where the reference has more categories than are tracked, nobody knows what is new.
    """
    if layout.is_number:
        return {}, 0, ()
    complete = reference.n_unnamed == 0
    new = {n: c for n, c in current.names.items() if n not in reference.names} if complete else {}
    ordered = sorted(new, key=lambda name: (-new[name], name))
    ratio = current.n / max(reference.n, 1)
    vanished = [
        name
        for name, count in reference.names.items()
        if count * ratio >= _EXPECTED and name not in current.names
    ]
    vanished.sort(key=lambda name: (-reference.names[name], name))
    return (
        {name: new[name] for name in ordered[:_MOST_NAMED]},
        sum(new.values()) + (current.n_unnamed if complete else 0),
        tuple(vanished[:_MOST_NAMED]),
    )


def _text(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"


def name_some(columns: Sequence[ColumnDrift]) -> str:
    """The first five names."""
    named = ", ".join(column.column for column in columns[:5])
    return named + (f" and {len(columns) - 5} more" if len(columns) > 5 else "")


def telling(column: ColumnDrift) -> float:
    """What columns are ordered by."""
    return (column.shift_ratio or 0.0) * (1 + column.weight)

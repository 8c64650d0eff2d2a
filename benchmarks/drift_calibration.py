"""How often healthy columns are flagged, and drifted ones found: ours and Evidently's defaults.

    python benchmarks/drift_calibration.py [--repeats 40]

Columns are judged one by one, as if each were alone: ours by its p alone (at most 0.05) and by the
shipped policy (and a shift of 5 % of rows), Evidently's by the method and threshold that it takes
by itself. Every cell is a share of `repeats` fresh pairs of samples, fewer where they are large.
Exit 1: p alone flags more healthy columns than 5 % allow (binomial, once in a thousand), over all
cells or in one of them.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.monitoring.column_verdict import Case, find, judge
from mlops_assets.monitoring.counting import sketch_reference, sketch_window
from mlops_assets.monitoring.layout import Kind, Selection, WatchedColumn
from mlops_assets.monitoring.null import Basis, NullCache, choose_basis
from mlops_assets.monitoring.sketch import Sketch
from mlops_assets.spec import DriftSpec

Draw = Callable[[np.random.Generator, int], NDArray[Any]]
POLICY = DriftSpec()
AT_ONCE = 10
POPULATIONS: dict[str, tuple[Kind, Draw]] = {
    "normal": ("number", lambda rng, n: rng.normal(size=n)),
    "lognormal": ("number", lambda rng, n: rng.lognormal(size=n)),
    "3 categories": ("category", lambda rng, n: rng.integers(0, 3, n).astype(str)),
    "8 categories": ("category", lambda rng, n: rng.integers(0, 8, n).astype(str)),
    "50 categories": ("category", lambda rng, n: rng.integers(0, 50, n).astype(str)),
}
SIZES = [
    (5_000, 30),
    (5_000, 50),
    (5_000, 200),
    (5_000, 1_000),
    (500, 50),
    (500, 500),
    (50, 50),
    (50, 5_000),
    (50_000, 50_000),
    (1_000_000, 1_000_000),
]
SHIFTS = [0.0, 0.1, 0.3, 0.5, 1.0]
MOST_ROWS = 8_000_000  # drawn for a cell
ROWS = choose_basis("day", has_time=False, n_reference=1, n_current=1)


@dataclass(frozen=True, slots=True)
class Cell:
    """Pairs of one kind, and how many of them were flagged by each."""

    n: int
    by_p: int = 0
    shipped: int = 0
    evidently: int = 0

    def __str__(self) -> str:
        return " / ".join(
            f"{flagged / self.n:.2f}" for flagged in (self.by_p, self.shipped, self.evidently)
        )


def flag(
    reference: Sketch, window: Sketch, basis: Basis, nulls: NullCache
) -> tuple[list[bool], list[bool]]:
    """Whether each column is flagged by its p alone, and by the shipped policy."""
    case = Case(reference, window, POLICY, basis, {}, nulls)
    found = [find(case, layout) for layout in reference.layout.columns.values()]
    by_p = [f.p is not None and f.p <= POLICY.false_discovery_ratio for f in found]
    return by_p, [judge(f, f.p, POLICY)[0] == "drifted" for f in found]


def ours(
    kind: Kind, old: list[NDArray[Any]], new: list[NDArray[Any]]
) -> tuple[list[bool], list[bool]]:
    """The same for pairs of samples."""
    names = [f"x{i}" for i in range(len(old))]
    selection = Selection(tuple(WatchedColumn(name, kind) for name in names))
    reference = sketch_reference(pl.DataFrame(dict(zip(names, old, strict=True))), selection)
    window = sketch_window(pl.DataFrame(dict(zip(names, new, strict=True))), reference.layout)
    return flag(reference, window, ROWS, NullCache())


def evidentlys(kind: Kind, old: list[NDArray[Any]], new: list[NDArray[Any]]) -> list[bool]:
    """Its default for each pair of samples."""
    import pandas as pd
    from evidently.legacy.calculations.stattests import get_stattest
    from evidently.legacy.core import ColumnType

    column = ColumnType.Numerical if kind == "number" else ColumnType.Categorical
    flags = []
    for before, now in zip(old, new, strict=True):
        a, b = pd.Series(before), pd.Series(now)
        flags.append(bool(get_stattest(a, b, column, None)(a, b, column, None).drifted))
    return flags


def count_flags(
    kind: Kind, draw: Draw, drawn_now: Draw, sizes: tuple[int, int], repeats: int
) -> Cell:
    """Fresh pairs of samples, and who flags how many of them."""
    rng = np.random.default_rng(sum(sizes))
    repeats = max(2, min(repeats, MOST_ROWS // sum(sizes)))
    flagged = np.zeros(3, dtype=int)
    for first in range(0, repeats, AT_ONCE):
        n = min(AT_ONCE, repeats - first)
        old = [draw(rng, sizes[0]) for _ in range(n)]
        new = [drawn_now(rng, sizes[1]) for _ in range(n)]
        flagged += [sum(flags) for flags in (*ours(kind, old, new), evidentlys(kind, old, new))]
    return Cell(repeats, *flagged.tolist())


def print_row(name: str, cells: Iterable[object]) -> None:
    """One row of a Markdown table."""
    print(f"| {name} | " + " | ".join(map(str, cells)) + " |", flush=True)


def print_head(*columns: str) -> None:
    """The head of a Markdown table."""
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")


def false_alarms(repeats: int) -> list[Cell]:
    """Prints the table of healthy columns."""
    print("\nHealthy columns that are flagged: p alone / shipped / Evidently\n")
    print_head("reference, window", *POPULATIONS)
    found = []
    for pair in SIZES:
        cells = [
            count_flags(kind, draw, draw, pair, repeats) for kind, draw in POPULATIONS.values()
        ]
        print_row(f"{pair[0]:,}, {pair[1]:,}", cells)
        found += cells
    return found


def _draw_normal(mean: float, rng: np.random.Generator, n: int) -> NDArray[Any]:
    return rng.normal(mean, 1, n)


def power(repeats: int) -> None:
    """Prints the table of drifted columns."""
    print("\nShifted normal columns that are found: p alone / shipped / Evidently (5,000 before)\n")
    print_head("rows of the window", *(f"{shift} sd" for shift in SHIFTS))
    draw = POPULATIONS["normal"][1]
    for m in (30, 50, 200, 1_000, 5_000, 1_000_000):
        cells = [
            count_flags("number", draw, partial(_draw_normal, shift), (5_000, m), repeats)
            for shift in SHIFTS
        ]
        print_row(f"{m:,}", cells)


def days(rng: np.random.Generator, first_day: int, n_days: int, *, weekly: float) -> pl.DataFrame:
    """100 rows a day of two numbers and two categories; weekends and days differ."""
    day = np.repeat(np.arange(first_day, first_day + n_days), 100)
    weekend = (day % 7 >= 5) * weekly
    columns: dict[str, NDArray[Any]] = {}
    for i in range(2):
        effect = rng.normal(0, 0.2 * weekly, n_days)[day - first_day]
        columns[f"x{i}"] = rng.normal(weekend + effect)
        columns[f"c{i}"] = np.where(rng.random(day.size) < 0.3 + 0.3 * weekend, "a", "b")
    start = pl.Series([datetime(2024, 1, 1, tzinfo=UTC)]).new_from_index(0, day.size)
    return pl.DataFrame(
        {"at": start + pl.Series(day * 86_400_000_000).cast(pl.Duration("us")), **columns}
    )


def one_year(*, weekly: float, basis: Basis, seed: int) -> Cell:
    """Share of columns flagged in 365 daily windows against one reference of 56 days."""
    rng = np.random.default_rng(seed)
    names = [*(f"x{i}" for i in range(2)), *(f"c{i}" for i in range(2))]
    columns = tuple(WatchedColumn(n, "number" if n[0] == "x" else "category") for n in names)
    selection = Selection(columns, time_column="at")
    reference = sketch_reference(days(rng, 0, 56, weekly=weekly), selection)
    nulls, flagged = NullCache(), np.zeros(2, dtype=int)
    for day in range(56, 56 + 365):
        window = sketch_window(days(rng, day, 1, weekly=weekly), reference.layout)
        flagged += [sum(flags) for flags in flag(reference, window, basis, nulls)]
    return Cell(365 * len(names), *flagged.tolist())


def year() -> list[Cell]:
    """Prints the table of a year against one reference; what was found as shipped."""
    by_days = choose_basis("day", has_time=True, n_reference=56, n_current=1)
    print("\nOne reference of 56 days, 365 windows of a day without drift: columns flagged by p\n")
    print_head("what differs", "whole days are redrawn (shipped)", "rows as if independent")
    shipped = []
    for words, weekly in (("nothing", 0.0), ("weekends by 1 sd, days by 0.2 sd", 1.0)):
        found = [one_year(weekly=weekly, basis=basis, seed=1) for basis in (by_days, ROWS)]
        print_row(words, [f"{cell.by_p / cell.n:.3f}" for cell in found])
        shipped.append(found[0])
    return shipped


def is_too_many(flagged: int, n: int) -> bool:
    """Whether 5 % of n would show so many once in a thousand times at most."""
    from scipy.stats import binom

    return flagged > int(binom.ppf(0.999, n, POLICY.false_discovery_ratio))


def main() -> int:
    """Prints the tables; 1 when our false alarms exceed 5 %."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=40)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    began = time.monotonic()
    cells = false_alarms(arguments.repeats)
    power(arguments.repeats)
    cells += year()
    flagged, n = sum(cell.by_p for cell in cells), sum(cell.n for cell in cells)
    bad = [cell for cell in cells if is_too_many(cell.by_p, cell.n)]
    took = time.monotonic() - began
    print(f"\nhealthy columns that p alone flags: {flagged / n:.3f} of {n:,}; {took:.0f} s")
    print(f"cells with more than 5 % allow: {len(bad)} of {len(cells)}")
    return 1 if bad or is_too_many(flagged, n) else 0


if __name__ == "__main__":
    sys.exit(main())

"""How often healthy columns are flagged: counted, not assumed."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from mlops_assets.monitoring.column_verdict import Case, find
from mlops_assets.monitoring.counting import sketch_reference, sketch_window
from mlops_assets.monitoring.distances import kolmogorov_smirnov
from mlops_assets.monitoring.layout import Kind, Selection, WatchedColumn
from mlops_assets.monitoring.null import Basis, Null, NullCache, choose_basis, redraw_rows
from mlops_assets.monitoring.sketch import Sketch
from mlops_assets.spec import DriftSpec

ALPHA = 0.05
ROWS = choose_basis("day", has_time=False, n_reference=1, n_current=1)

Draw = Callable[[np.random.Generator, int], NDArray[np.generic]]
POPULATIONS: dict[str, tuple[Kind, Draw]] = {
    "normal": ("number", lambda rng, n: rng.normal(size=n)),
    "zeros": ("number", lambda rng, n: np.where(rng.random(n) < 0.9, 0, rng.exponential(size=n))),
    "k8": ("category", lambda rng, n: rng.integers(0, 8, n).astype(str)),
    "k50": ("category", lambda rng, n: rng.integers(0, 50, n).astype(str)),
    "rare": ("boolean", lambda rng, n: rng.random(n) < 0.03),
}
REPEATED = {f"{name}_{i}": found for name, found in POPULATIONS.items() for i in range(4)}
COLUMNS = Selection(tuple(WatchedColumn(name, kind) for name, (kind, _) in REPEATED.items()))


def frame(rng: np.random.Generator, n: int) -> pl.DataFrame:
    return pl.DataFrame({name: draw(rng, n) for name, (_, draw) in REPEATED.items()})


def p_values(reference: Sketch, window: Sketch, basis: Basis, nulls: NullCache) -> list[float]:
    case = Case(reference, window, DriftSpec(minimum_rows=10), basis, {}, nulls)
    found = [find(case, layout).p for layout in reference.layout.columns.values()]
    return [p for p in found if p is not None]


def most_by_chance(n: int) -> float:
    """Share of n tests that 5 % exceeds once in a thousand."""
    from scipy.stats import binom

    return float(binom.ppf(0.999, n, ALPHA)) / n


@pytest.mark.parametrize(("n", "m"), [(4_000, 40), (400, 400), (40, 40), (40, 4_000)])
def test_healthy_columns_are_flagged_at_five_percent(n: int, m: int) -> None:
    rng = np.random.default_rng(n + m)
    found: list[float] = []
    for _ in range(8):
        reference = sketch_reference(frame(rng, n), COLUMNS)
        window = sketch_window(frame(rng, m), reference.layout)
        found += p_values(reference, window, ROWS, NullCache())
    assert len(found) == 8 * 20
    assert np.mean(np.array(found) <= ALPHA) <= most_by_chance(len(found))


def test_a_null_with_a_fixed_reference_would_flag_many() -> None:
    """What the tests here are for: with it, windows as large as the reference always look odd."""
    rng = np.random.default_rng(0)
    flagged = []
    for _ in range(60):
        a, b = (np.bincount(rng.integers(0, 20, 500), minlength=20) for _ in range(2))
        redrawn = rng.multinomial(500, a / 500, size=999)
        null = Null(np.sort(kolmogorov_smirnov(np.tile(a, (999, 1)), redrawn)), 999)
        flagged.append(null.p(float(kolmogorov_smirnov(a, b))) <= ALPHA)
    assert np.mean(flagged) > most_by_chance(60)
    fair = []
    for _ in range(60):
        a, b = (np.bincount(rng.integers(0, 20, 500), minlength=20) for _ in range(2))
        null = Null(np.sort(kolmogorov_smirnov(*redraw_rows(rng, a + b, 500, 500, 999))), 999)
        fair.append(null.p(float(kolmogorov_smirnov(a, b))) <= ALPHA)
    assert np.mean(fair) <= most_by_chance(60)


def test_one_reference_serves_many_windows() -> None:
    rng = np.random.default_rng(3)
    reference, nulls = sketch_reference(frame(rng, 20_000), COLUMNS), NullCache()
    flagged = np.array(
        [
            p <= ALPHA
            for _ in range(40)
            for p in p_values(
                reference, sketch_window(frame(rng, 200), reference.layout), ROWS, nulls
            )
        ]
    )
    assert flagged.mean() <= most_by_chance(flagged.size)


def weeks(rng: np.random.Generator, first_day: int, n_days: int) -> pl.DataFrame:
    """Rows of 60 a day whose weekends differ by a standard deviation, and days by a fifth."""
    day = np.repeat(np.arange(first_day, first_day + n_days), 60)
    weekend = (day % 7 >= 5) * 1.0
    start = datetime(2024, 1, 1, tzinfo=UTC)
    columns: dict[str, NDArray[np.generic]] = {}
    for i in range(4):
        effect = rng.normal(0, 0.2, n_days)[day - first_day]
        columns[f"x{i}"] = rng.normal(weekend + effect)
        columns[f"c{i}"] = np.where(rng.random(day.size) < 0.3 + 0.3 * weekend, "a", "b")
    at = pl.Series([start]).new_from_index(0, day.size) + pl.Series(day * 86_400_000_000).cast(
        pl.Duration("us")
    )
    return pl.DataFrame({"at": at, **columns})


def test_weekends_are_no_drift() -> None:
    selection = Selection(
        tuple(
            WatchedColumn(f"{c}{i}", "number" if c == "x" else "category")
            for c in "xc"
            for i in range(4)
        ),
        time_column="at",
    )
    rng = np.random.default_rng(5)
    reference, nulls = sketch_reference(weeks(rng, 0, 56), selection), NullCache()
    by_days = choose_basis("day", has_time=True, n_reference=56, n_current=1)
    flagged: dict[str, list[bool]] = {"days": [], "rows": []}
    for day in range(56, 56 + 35):
        window = sketch_window(weeks(rng, day, 1), reference.layout)
        for name, basis in (("days", by_days), ("rows", ROWS)):
            flagged[name] += [p <= ALPHA for p in p_values(reference, window, basis, nulls)]
    assert np.mean(flagged["days"]) <= most_by_chance(len(flagged["days"]))
    assert np.mean(flagged["rows"]) > 0.25  # rows as if independent: every day looks odd

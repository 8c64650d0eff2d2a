"""The same data through Evidently's own tests: equal where it is right, and where it is not."""

from typing import Any

import numpy as np
import pytest

from mlops_assets.monitoring.distances import chi_square, jensen_shannon, population_stability_index
from mlops_assets.monitoring.null import Null, redraw_rows
from mlops_assets_tests.monitoring.test_distances import measured

pytestmark = pytest.mark.filterwarnings("ignore")  # of what it imports


def score(name: str, reference: Any, current: Any, kind: str) -> tuple[float, bool]:
    import pandas as pd
    from evidently.legacy.calculations.stattests import get_stattest
    from evidently.legacy.core import ColumnType

    before, now = pd.Series(reference), pd.Series(current)
    column = ColumnType.Numerical if kind == "number" else ColumnType.Categorical
    found = get_stattest(before, now, column, name)(before, now, column, None)
    return float(found.drift_score), bool(found.drifted)


def test_distances_equal_evidentlys() -> None:
    rng = np.random.default_rng(0)
    old, new = rng.normal(size=3_000), rng.normal(0.4, 1.2, 900)
    ours = measured(old, new, "number")
    assert ours.wasserstein == pytest.approx(score("wasserstein", old, new, "number")[0], rel=0.01)
    plans = ["basic", "plus", "pro"]
    old, new = rng.choice(plans, 3_000, p=[0.6, 0.3, 0.1]), rng.choice(plans, 900)
    ours = measured(old, new, "category")
    assert ours.jensen_shannon == pytest.approx(score("jensenshannon", old, new, "category")[0])
    found = score("psi", old, new, "category")[0]
    assert ours.population_stability_index == pytest.approx(found)


def test_its_chi_square_takes_the_reference_for_the_truth() -> None:
    """No drift, 50 categories, 500 rows on each side: nearly all are flagged there."""
    rng = np.random.default_rng(0)
    theirs, ours = [], []
    for _ in range(40):
        old, new = rng.integers(0, 50, 500), rng.integers(0, 50, 500)
        theirs.append(score("chisquare", old.astype(str), new.astype(str), "category")[1])
        a, b = np.bincount(old, minlength=50), np.bincount(new, minlength=50)
        null = Null(np.sort(chi_square(*redraw_rows(rng, a + b, 500, 500, 999))), 999)
        ours.append(null.p(float(chi_square(a, b))) <= 0.05)
    assert np.mean(theirs) > 0.9
    assert np.mean(ours) <= 0.15


def test_its_default_flags_small_windows_for_their_size() -> None:
    """Above 1,000 reference rows a distance decides, whatever the number of rows behind it."""
    rng = np.random.default_rng(0)
    flagged = [
        score("wasserstein", rng.normal(size=5_000), rng.normal(size=50), "number")[1]
        for _ in range(40)
    ]
    assert np.mean(flagged) > 0.9


def test_the_same_bins_give_the_same_index_however_they_are_scaled() -> None:
    a, b = np.array([50, 30, 20]), np.array([5, 3, 2])
    assert float(population_stability_index(a, b)) == pytest.approx(0)
    assert float(jensen_shannon(a, b)) == pytest.approx(0)

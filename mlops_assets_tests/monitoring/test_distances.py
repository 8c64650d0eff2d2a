import numpy as np
import pytest
from numpy.typing import NDArray

from mlops_assets.monitoring import distances
from mlops_assets.monitoring.comparison import measure
from mlops_assets.monitoring.counting import sketch_reference, sketch_window
from mlops_assets.monitoring.layout import Selection, WatchedColumn
from mlops_assets.monitoring.report import Distances

Floats = NDArray[np.float64]


def counted(reference: Floats, current: Floats) -> tuple[Floats, list[NDArray[np.int64]]]:
    """Distinct values and how often each side has them."""
    values = np.unique(np.concatenate([reference, current]))
    return values, [
        np.bincount(np.searchsorted(values, side), minlength=values.size)
        for side in (reference, current)
    ]


def measured(reference: object, current: object, kind: str) -> Distances:
    column = WatchedColumn("x", kind)  # type: ignore[arg-type]
    import polars as pl

    before = sketch_reference(pl.DataFrame({"x": reference}), Selection((column,)))
    now = sketch_window(pl.DataFrame({"x": current}), before.layout)
    return measure(before.layout.columns["x"], before.columns["x"], now.columns["x"])


@pytest.mark.parametrize("shift", [0.0, 0.3, 2.0])
def test_on_all_distinct_values_distances_equal_scipy(shift: float) -> None:
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import chi2_contingency, ks_2samp, wasserstein_distance

    rng = np.random.default_rng(0)
    reference, current = rng.normal(size=700), rng.normal(shift, size=300)
    values, (a, b) = counted(reference, current)
    assert distances.kolmogorov_smirnov(a, b) == pytest.approx(
        ks_2samp(reference, current).statistic
    )
    assert distances.jensen_shannon(a, b) == pytest.approx(jensenshannon(a / 700, b / 300))
    assert distances.chi_square(a, b) == pytest.approx(
        chi2_contingency(np.stack([a, b]), correction=False).statistic
    )
    sides = [(np.append(side, 0), np.append(side * values, 0.0)) for side in (a, b)]
    assert distances.wasserstein(values, sides[0], sides[1]) == pytest.approx(
        wasserstein_distance(reference, current)
    )


def test_counts_by_bin_may_stand_in_many_rows() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, (4, 5)), rng.integers(1, 9, (4, 5))
    for distance in (
        distances.kolmogorov_smirnov,
        distances.total_variation,
        distances.jensen_shannon,
        distances.population_stability_index,
        distances.chi_square,
    ):
        assert distance(a, b).tolist() == [float(distance(*row)) for row in zip(a, b, strict=True)]


@pytest.mark.parametrize("n", [400, 20_000])
@pytest.mark.parametrize("shift", [0.1, 0.5])
def test_distances_of_sketches_are_near_scipys(n: int, shift: float) -> None:
    from scipy.stats import ks_2samp, wasserstein_distance

    rng = np.random.default_rng(n)
    reference, current = rng.lognormal(size=n), rng.lognormal(shift, size=n // 2)
    found = measured(reference, current, "number")
    assert found.kolmogorov_smirnov == pytest.approx(
        ks_2samp(reference, current).statistic, abs=0.004
    )
    exact = wasserstein_distance(reference, current) / reference.std()
    assert found.wasserstein == pytest.approx(exact, rel=0.03)


def test_distances_of_few_distinct_numbers_are_exact() -> None:
    from scipy.stats import ks_2samp, wasserstein_distance

    rng = np.random.default_rng(1)
    reference, current = rng.poisson(3, 5_000) * 1.0, rng.poisson(3.3, 800) * 1.0
    found = measured(reference, current, "number")
    assert found.kolmogorov_smirnov == pytest.approx(ks_2samp(reference, current).statistic)
    exact = wasserstein_distance(reference, current) / reference.std()
    assert found.wasserstein == pytest.approx(exact)


def test_values_far_beyond_the_reference_count_by_their_distance() -> None:
    from scipy.stats import wasserstein_distance

    reference, current = np.arange(1_000.0), np.append(np.arange(99.0), 1e9)
    found = measured(reference, current, "number")
    exact = wasserstein_distance(reference, current) / reference.std()
    assert found.wasserstein == pytest.approx(exact, rel=1e-3)
    assert found.kolmogorov_smirnov is not None
    assert found.kolmogorov_smirnov < 1


def test_a_constant_reference_has_no_unit_to_measure_in() -> None:
    found = measured([3.0] * 50, [3.0] * 40 + [4.0] * 10, "number")
    assert found.wasserstein is None
    assert found.kolmogorov_smirnov == pytest.approx(0.2)


def test_distances_of_categories_are_exact() -> None:
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import chi2_contingency

    found = measured(
        ["a"] * 50 + ["b"] * 30 + ["c"] * 20, ["a"] * 20 + ["b"] * 25 + ["d"] * 5, "category"
    )
    table = np.array([[50, 30, 20, 0], [20, 25, 0, 5]])
    shares = table / table.sum(axis=1, keepdims=True)
    assert found.jensen_shannon == pytest.approx(jensenshannon(*shares))
    assert found.chi_square == pytest.approx(chi2_contingency(table).statistic)
    assert found.total_variation == pytest.approx(np.abs(shares[0] - shares[1]).sum() / 2)

import numpy as np
import pytest

from mlops_assets.monitoring.binning import find_bins


@pytest.mark.parametrize("n", [10, 30_000])
@pytest.mark.parametrize(
    "kind", ["normal", "lognormal", "integers", "outlier", "opposite", "tiny_steps", "constant"]
)
def test_bins_are_those_of_searchsorted(kind: str, n: int) -> None:
    rng = np.random.default_rng(0)
    values = {
        "normal": rng.normal(size=n),
        "lognormal": rng.lognormal(sigma=3, size=n),
        "integers": rng.integers(0, 40, n).astype(float),
        "outlier": np.append(rng.normal(size=n - 1), 1e300),
        "opposite": np.append(rng.normal(size=n - 2), [-1.7e308, 1.7e308]),
        "tiny_steps": 1e9 + rng.integers(0, 500, n) * 2**-20,
        "constant": np.full(n, 3.0),
    }[kind]
    edges = np.unique(np.quantile(values, np.linspace(0, 1, 300), method="lower"))
    beyond = np.concatenate([values, edges, [-1e308, 1e308, edges[0] - 1e-9, edges[-1] + 1e-9]])
    assert np.array_equal(find_bins(edges, beyond), np.searchsorted(edges, beyond))

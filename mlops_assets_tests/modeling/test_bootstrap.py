import numpy as np
import pytest

from mlops_assets.modeling import bootstrap
from mlops_assets.modeling.bootstrap import Resampled, StatisticOf, draw_weights, resample
from mlops_assets.modeling.metrics import Floats, number_statistic


def mean_of(values: Floats) -> StatisticOf:
    return lambda rows: lambda weights: values[rows] @ weights / weights.sum(axis=0)


def test_a_draw_takes_as_many_rows_as_there_are() -> None:
    weights = draw_weights(50, 200, np.random.default_rng(0))
    assert (weights.sum(axis=0) == 50).all()
    assert (weights == 0).mean() == pytest.approx((1 - 1 / 50) ** 50, abs=0.02)


def test_an_interval_of_a_mean_is_that_of_theory_and_covers_it() -> None:
    """2 × 1.96 standard errors wide; over 200 samples 95 % cover the true mean, ± 4 errors."""
    rng = np.random.default_rng(0)
    n_covering, widths = 0, []
    for _ in range(200):
        sample = rng.normal(10, 2, 200)
        found = resample({"mean": mean_of(sample)}, 200, 300, rng)["mean"]
        low, high = found.interval(0.95) or (np.nan, np.nan)
        n_covering += low <= 10 <= high
        widths.append(high - low)
    assert np.mean(widths) == pytest.approx(2 * 1.96 * 2 / np.sqrt(200), rel=0.05)
    assert n_covering / 200 == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 200))


def error_of(truth: Floats, predicted: Floats) -> StatisticOf:
    return lambda rows: number_statistic("mean_absolute_error", truth[rows], predicted[rows])


def test_differences_are_paired() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 10, 500)
    answers = {name: truth + rng.normal(0, 5, 500) for name in ("a", "b")}
    answers["b"] = answers["a"] + 0.01
    statistics = {name: error_of(truth, predicted) for name, predicted in answers.items()}
    found = resample(statistics, 500, 300, rng)
    alone = found["a"].interval(0.95)
    paired = found["a"].minus(found["b"], -1).interval(0.95)
    assert alone is not None
    assert paired is not None
    assert paired[1] - paired[0] < 0.01 * (alone[1] - alone[0])


def test_a_sign_turns_a_difference() -> None:
    better, worse = Resampled(1.0, np.array([1.0, 2.0])), Resampled(3.0, np.array([3.0, 3.0]))
    turned = better.minus(worse, -1)
    assert turned.value == 2.0
    assert turned.draws.tolist() == [2.0, 1.0]


def test_of_many_rows_some_are_redrawn_and_the_spread_is_that_of_all() -> None:
    rng = np.random.default_rng(0)
    sample = rng.normal(10, 2, 80_000)
    found = resample({"mean": mean_of(sample)}, 80_000, 500, rng)["mean"]
    assert found.value == pytest.approx(sample.mean())
    assert found.draws.mean() == pytest.approx(found.value, abs=0.002)
    assert found.draws.std() == pytest.approx(2 / np.sqrt(80_000), rel=0.13)  # four errors


@pytest.mark.parametrize(
    ("n_undefined", "known"),
    [pytest.param(5, True, id="five_percent"), pytest.param(6, False, id="more")],
)
def test_an_interval_needs_95_percent_of_the_draws(n_undefined: int, known: bool) -> None:
    draws = np.linspace(0, 1, 100)
    draws[:n_undefined] = np.nan
    assert (Resampled(0.5, draws).interval(0.9) is not None) is known


def test_nothing_is_known_of_no_rows() -> None:
    found = resample({"x": mean_of(np.zeros(0))}, 0, 10, np.random.default_rng(0))
    assert np.isnan(found["x"].value)
    assert found["x"].interval(0.95) is None


def test_draws_come_in_parts_when_they_do_not_fit_into_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bootstrap, "_MOST_WEIGHTS", 35)
    values = np.arange(10.0)
    found = resample({"x": mean_of(values)}, 10, 11, np.random.default_rng(0))["x"]
    assert found.draws.size == 11
    assert np.isfinite(found.draws).all()

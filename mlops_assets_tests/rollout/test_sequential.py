"""Intervals against SciPy where it knows the answer, and against simulated rollouts elsewhere."""

import doctest
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.rollout import bandit, likelihood, measures, policy, sequential, split_check
from mlops_assets.rollout.likelihood import flag_difference, log_gamma
from mlops_assets.rollout.measures import Counts, Histogram, Moments, design_effect
from mlops_assets.rollout.sequential import (
    distribution_distance,
    error_difference,
    mean_difference,
    mean_variance,
    normal_half_width,
    quantile_interval,
)
from mlops_assets.rollout.split_check import split_evidence

BOTH = {"alpha_low": 0.05, "alpha_high": 0.05}


@pytest.mark.parametrize(
    "module",
    [sequential, likelihood, measures, split_check, bandit, policy],
    ids=lambda m: m.__name__,
)
def test_examples_run(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def test_log_gamma_is_scipys() -> None:
    from scipy.special import gammaln

    values = np.concatenate([np.linspace(0.01, 20, 500), np.logspace(1, 8, 200)])
    assert np.allclose(log_gamma(values), gammaln(values), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("n", "total"), [(10, 0), (200, 3), (5000, 4900), (50, 50)])
def test_one_share_is_bounded_where_its_likelihood_ratio_says(n: int, total: int) -> None:
    """The ends are the roots of the mixture's likelihood ratio, found by SciPy."""
    from scipy.optimize import brentq
    from scipy.special import betaln, xlog1py, xlogy

    def excess(p: float) -> float:
        mixture = betaln(total + 0.5, n - total + 0.5) - math.log(math.pi)
        chance = float(xlogy(total, p) + xlog1py(n - total, -p))
        return float(mixture - chance - math.log(20))

    low, high = flag_difference((n, total), (0, 0), ratio=0, **BOTH)
    best = total / n
    assert float(low) == pytest.approx(brentq(excess, 1e-12, best) if total else 0, abs=1e-6)
    assert float(high) == pytest.approx(
        brentq(excess, best, 1 - 1e-12) if total < n else 1, abs=1e-6
    )


def test_a_difference_is_the_least_over_all_pairs_that_fit() -> None:
    """Against a search over a grid of pairs."""
    n_c, s_c, n_s, s_s = 100, 12, 400, 20
    p = np.linspace(0.001, 0.999, 999)
    log_c = s_c * np.log(p) + (n_c - s_c) * np.log(1 - p)
    log_s = s_s * np.log(p) + (n_s - s_s) * np.log(1 - p)
    mixture = sum(
        float(log_gamma(s + 0.5) + log_gamma(n - s + 0.5) - log_gamma(n + 1)) - math.log(math.pi)
        for n, s in ((n_c, s_c), (n_s, s_s))
    )
    fits = mixture - (log_c[:, None] + log_s[None, :]) < math.log(20)
    differences = (p[:, None] - p[None, :])[fits]
    low, high = flag_difference((n_c, s_c), (n_s, s_s), **BOTH)
    assert float(low) == pytest.approx(differences.min(), abs=0.003)
    assert float(high) == pytest.approx(differences.max(), abs=0.003)


shares = st.tuples(st.integers(1, 3000), st.floats(0, 1)).map(lambda x: (x[0], round(x[0] * x[1])))


@settings(max_examples=60)
@given(one=shares, other=shares, alpha=st.sampled_from([0.05, 0.001]))
def test_an_interval_holds_its_estimate_and_shrinks_with_alpha(
    one: tuple[int, int], other: tuple[int, int], alpha: float
) -> None:
    low, high = flag_difference(one, other, alpha_low=alpha, alpha_high=alpha)
    estimate = one[1] / one[0] - other[1] / other[0]
    assert -1 <= low <= estimate + 1e-9
    assert estimate - 1e-9 <= high <= 1
    wider_low, wider_high = flag_difference(one, other, alpha_low=alpha / 9, alpha_high=alpha / 9)
    assert wider_low <= low + 1e-9
    assert wider_high >= high - 1e-9


def test_an_empty_arm_tells_nothing() -> None:
    none, some = Moments.of_flags(0, 0), Moments.of_flags(100, 3)
    assert error_difference(none, some, effect=0.1, **BOTH) == sequential.UNKNOWN
    assert error_difference(some, none, effect=0.1, **BOTH) == sequential.UNKNOWN
    assert mean_difference(some, none, effect=0.1, **BOTH) == sequential.UNKNOWN


@pytest.mark.parametrize(("n", "is_known"), [(9, False), (10, True)])
def test_means_need_ten_units(n: int, is_known: bool) -> None:
    arm = Moments.of(np.arange(n))
    found = mean_difference(arm, None, effect=1.0, **BOTH)
    assert math.isfinite(found.low) == is_known


def test_equal_values_prove_nothing() -> None:
    assert mean_difference(Moments.of([1.0] * 50), None, effect=1.0, **BOTH) == sequential.UNKNOWN


def test_callers_that_are_alike_inside_count_once() -> None:
    callers = np.repeat(np.arange(50), 20)
    values = np.repeat(np.random.default_rng(0).random(50) < 0.3, 20)
    sums = Moments.of(values, callers)
    assert design_effect(sums) == pytest.approx(20, rel=0.01)
    assert mean_variance(sums) == pytest.approx(np.var(values[::20], ddof=1) / 50)


def test_callers_that_are_mixed_inside_count_each_request() -> None:
    rng = np.random.default_rng(0)
    sums = Moments.of(rng.random(20_000) < 0.3, np.repeat(np.arange(1000), 20))
    assert design_effect(sums) == pytest.approx(1, abs=0.15)


def test_without_an_error_callers_count_once() -> None:
    assert design_effect(Moments.of([0] * 100, np.repeat(np.arange(10), 10))) == 10


def first_alarms(alarms: np.ndarray) -> float:
    """Share of the rollouts (columns) with an alarm at any look (rows)."""
    return float(alarms.any(axis=0).mean())


def simulated(p_c: float, p_s: float, *, n: int = 400, looks: int = 80) -> tuple[np.ndarray, ...]:
    """Requests and errors at each look, 50 and 450 a look."""
    rng = np.random.default_rng(7)
    s_c = rng.binomial(50, p_c, (looks, n)).cumsum(axis=0)
    s_s = rng.binomial(450, p_s, (looks, n)).cumsum(axis=0)
    at = np.arange(1, looks + 1)[:, None]
    return 50 * at + 0 * s_c, s_c, 450 * at + 0 * s_s, s_s


def test_looking_at_every_interval_does_not_fool_it() -> None:
    """The same requests fool a z-test at 5 % in a third of the rollouts."""
    n_c, s_c, n_s, s_s = simulated(0.03, 0.03)
    low, high = flag_difference((n_c, s_c), (n_s, s_s), **BOTH)
    assert first_alarms(low > 0) <= 0.05
    assert first_alarms(high < 0) <= 0.05
    pooled = (s_c + s_s) / (n_c + n_s)
    spread = np.sqrt(np.maximum(pooled * (1 - pooled) * (1 / n_c + 1 / n_s), 1e-12))
    assert first_alarms((s_c / n_c - s_s / n_s) / spread > 1.645) > 0.25


@pytest.mark.parametrize("p", [0.03, 0.3])
def test_the_narrower_of_two_intervals_is_not_fooled_either(p: float) -> None:
    n_c, s_c, n_s, s_s = simulated(p, p, n=60, looks=40)
    looks = range(4, 40, 5)
    alarms = [
        [
            error_difference(
                Moments.of_flags(int(n_c[look, at]), int(s_c[look, at])),
                Moments.of_flags(int(n_s[look, at]), int(s_s[look, at])),
                effect=0.02,
                **BOTH,
            ).low
            > 0
            for at in range(60)
        ]
        for look in looks
    ]
    assert first_alarms(np.asarray(alarms)) <= 0.05


@pytest.mark.parametrize(("n_errors", "is_narrower"), [(39, False), (40, True)])
def test_many_errors_narrow_an_interval(n_errors: int, is_narrower: bool) -> None:
    one, other = Moments.of_flags(2000, n_errors), Moments.of_flags(18_000, 400)
    found = error_difference(one, other, effect=0.02, **BOTH)
    alone = flag_difference((2000, n_errors), (18_000, 400), alpha_low=0.025, alpha_high=0.025)
    assert (found.low > float(alone[0])) == is_narrower
    assert (found.high < float(alone[1])) == is_narrower


def test_harm_is_seen_soon() -> None:
    n_c, s_c, n_s, s_s = simulated(0.5, 0.01, looks=3)
    low, _ = flag_difference((n_c, s_c), (n_s, s_s), alpha_low=0.003, alpha_high=0.05)
    assert (low[0] > 0.02).all()


def test_means_are_not_fooled_by_looking_either() -> None:
    rng = np.random.default_rng(3)
    values = rng.exponential(1.0, (60, 300, 50)).sum(axis=2).cumsum(axis=0)
    n = 50 * np.arange(1, 61)[:, None]
    width = normal_half_width(n, alpha=0.05, effect=0.2)  # variance of a value: 1
    assert first_alarms(values / n - 1 > width) <= 0.05
    assert first_alarms((values / n - 1) * np.sqrt(n) > 1.645) > 0.2


def test_quantiles_are_not_fooled_by_looking_either() -> None:
    rng = np.random.default_rng(5)
    edges = np.exp(np.linspace(-3, 3, 60))
    truth = math.exp(1.6448536)
    missed = 0
    for _ in range(60):
        values = rng.lognormal(size=1500)
        for n in range(50, 1501, 50):
            found = quantile_interval(Histogram.of(values[:n], edges=list(edges)), 0.95, **BOTH)
            assert found is not None
            assert found.low_edge <= found.low <= found.high <= found.high_edge
            if not found.low_edge <= truth <= found.high_edge:
                missed += 1
                break
    assert missed / 60 <= 0.1


def test_a_quantile_above_the_last_edge_has_no_end() -> None:
    found = quantile_interval(Histogram.of([5.0] * 100, edges=[1.0, 2.0]), 0.95, **BOTH)
    assert found is not None
    assert (found.low_edge, found.high_edge, found.high) == (2.0, math.inf, math.inf)


def test_too_few_values_bound_no_quantile_from_above() -> None:
    found = quantile_interval(Histogram.of([0.01] * 20), 0.95, **BOTH)
    assert found is not None
    assert found.high_edge == math.inf


def test_repeating_callers_widen_a_quantile() -> None:
    values = np.random.default_rng(0).lognormal(-4, 0.5, 100).repeat(10)
    alone = quantile_interval(Histogram.of(values), 0.9, **BOTH)
    together = quantile_interval(Histogram.of(values, np.repeat(np.arange(100), 10)), 0.9, **BOTH)
    assert alone is not None
    assert together is not None
    assert together.high - together.low > alone.high - alone.low


def test_equal_distributions_come_together() -> None:
    near = Counts(counts={"a": 9000, "b": 1000}, n_units=10_000)
    found = distribution_distance(near, near, **BOTH)
    assert found.low == 0
    assert found.high < 0.05


def test_a_class_that_only_one_arm_knows_counts() -> None:
    one = Counts(counts={"a": 500}, n_units=500)
    other = Counts(counts={"b": 500}, n_units=500)
    assert distribution_distance(one, other, **BOTH).low > 0.9


@pytest.mark.parametrize(
    ("counts", "is_wrong"),
    [
        ({"stable": 9000, "challenger": 1000}, False),
        ({"stable": 9300, "challenger": 700}, True),
        ({"stable": 8700, "challenger": 1300}, True),
        ({"stable": 90}, False),
        ({"stable": 900}, True),
    ],
)
def test_a_split_is_doubted_when_it_is_off(counts: dict[str, float], is_wrong: bool) -> None:
    assert (split_evidence(counts, {"stable": 90, "challenger": 10}) > 100) == is_wrong


def test_a_right_split_is_rarely_doubted_however_often_one_looks() -> None:
    rng = np.random.default_rng(0)
    doubted = 0
    for _ in range(100):
        found = rng.binomial(100, 0.1, 50).cumsum()
        doubted += any(
            split_evidence({"a": 100 * look - n, "b": n}, {"a": 90, "b": 10}) > 20
            for look, n in enumerate(found.tolist(), 1)
        )
    assert doubted <= 5

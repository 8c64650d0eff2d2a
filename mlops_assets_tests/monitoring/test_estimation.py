import numpy as np
import pytest

from mlops_assets.monitoring.estimation import (
    estimate_window,
    estimated_change,
    estimated_signal,
    tolerance_of,
)
from mlops_assets.monitoring.performance_reference import (
    PerformanceReference,
    build_performance_reference,
)
from mlops_assets.monitoring.trust import Trust, TrustState, assess_trust
from mlops_assets.spec.monitoring import PerformanceSpec
from mlops_assets_tests.monitoring.populations import Population, classes, numbers

RNG = np.random.default_rng(0)
SETTINGS = PerformanceSpec()


@pytest.fixture(scope="module")
def reference() -> PerformanceReference:
    return build_performance_reference(classes(4_000, seed=1).evaluated(), seed=0)


def trust_of(state: TrustState) -> Trust:
    return Trust(state=state, n_errors=5, reason="so it was said")


def state_of(reference: PerformanceReference, rows: Population, trust: Trust) -> str:
    found = estimate_window(reference, rows.answers, rows.features, RNG)
    change = estimated_change(reference, found, trust, "accuracy", SETTINGS)
    return estimated_signal(change).state


@pytest.mark.parametrize(
    ("spread", "trust", "state"),
    [
        pytest.param(1.0, "trusted", "held", id="like_the_evaluation"),
        pytest.param(0.2, "trusted", "worse", id="nearer_to_the_border"),
        pytest.param(0.2, "untrusted", "unknown", id="an_untrusted_one_concludes_nothing"),
        pytest.param(1.0, "unproven", "unknown", id="nor_does_an_unproven_one"),
    ],
)
def test_what_an_estimate_concludes(
    reference: PerformanceReference, spread: float, trust: TrustState, state: str
) -> None:
    rows = classes(4_000, seed=2)
    middle = np.abs(rows.features["x"].to_numpy() - 0.18) < 3 * spread
    chosen = Population(
        rows.features.filter(middle), rows.answers.at(np.flatnonzero(middle).astype(np.int64))
    )
    assert state_of(reference, chosen, trust_of(trust)) == state


def test_the_evaluation_itself_earns_the_first_trust(reference: PerformanceReference) -> None:
    tolerance = tolerance_of(reference, "accuracy", SETTINGS)
    assert assess_trust(reference.errors, "accuracy", tolerance).state == "trusted"


def test_an_untrusted_estimate_still_says_what_it_found(reference: PerformanceReference) -> None:
    rows = classes(500, seed=3)
    found = estimate_window(reference, rows.answers, rows.features, RNG)
    change = estimated_change(reference, found, trust_of("untrusted"), "accuracy", SETTINGS)
    assert change.reason.startswith("the estimate is untrusted (so it was said); it says: accuracy")
    assert change.now.value is not None


def test_a_metric_that_is_not_estimated_is_unknown() -> None:
    reference = build_performance_reference(numbers(500, seed=4).evaluated(), seed=0)
    rows = numbers(500, seed=5)
    found = estimate_window(reference, rows.answers, rows.features, RNG)
    assert found.method == "dle"
    change = estimated_change(reference, found, trust_of("trusted"), "r2", SETTINGS)
    assert (change.state, "varies in the window" in change.reason) == ("unknown", True)


def test_without_rows_or_estimator_nothing_is_known(reference: PerformanceReference) -> None:
    rows = classes(0, seed=6)
    assert estimate_window(reference, rows.answers, rows.features, RNG).reason == "no rows"
    bare = build_performance_reference(classes(40, seed=7).evaluated(), seed=0)
    found = estimate_window(bare, classes(500, seed=8).answers, rows.features, RNG)
    assert (found.method, found.reason) == ("none", bare.reason)
    change = estimated_change(bare, found, trust_of("trusted"), "accuracy", SETTINGS)
    assert change.state == "unknown"

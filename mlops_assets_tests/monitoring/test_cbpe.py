"""Estimates of a classifier's performance, against what is known to be true."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.monitoring.cbpe import CalibrationMap, estimate_classes, fit_calibration
from mlops_assets.monitoring.realised import measure_metrics
from mlops_assets.spec.model import Metric
from mlops_assets_tests.monitoring.populations import classes

RNG = np.random.default_rng(0)


def test_calibrated_probabilities_give_the_expected_metrics() -> None:
    """By hand: two rows, 0.8 and 0.4 of class 1. 1.6 rows in 2 are right… (0.8 + 0.6) / 2."""
    probabilities = np.array([[0.2, 0.8], [0.6, 0.4]])
    found = estimate_classes(probabilities, probabilities, RNG, n_draws=2)
    value = {metric: estimate.value for metric, estimate in found.items()}
    assert value["accuracy"] == pytest.approx((0.8 + 0.6) / 2)
    assert value["brier_score"] == pytest.approx((0.8 * 0.2 + 0.6 * 0.4) / 2)
    entropy = -(0.8 * math.log(0.8) + 0.2 * math.log(0.2))
    entropy -= 0.6 * math.log(0.6) + 0.4 * math.log(0.4)
    assert value["log_loss"] == pytest.approx(entropy / 2)
    recall_one, recall_zero = 0.8 / 1.2, 0.6 / 0.8
    assert value["balanced_accuracy"] == pytest.approx((recall_one + recall_zero) / 2)
    assert value["f1"] == pytest.approx(2 * 0.8 / (1 + 1.2))
    # pairs of a row of class 1 and one of class 0, by weight; those of one row tie with themselves
    above, ties = 0.8 * 0.6, (0.8 * 0.2 + 0.4 * 0.6) / 2
    assert value["roc_auc"] == pytest.approx((above + ties) / (1.2 * 0.8))


@pytest.mark.parametrize(
    ("metric", "within"),
    [
        ("roc_auc", 0.015),
        ("average_precision", 0.015),
        ("balanced_accuracy", 0.015),
        ("accuracy", 0.015),
        ("f1", 0.02),
        ("log_loss", 0.03),
        ("brier_score", 0.01),
    ],
)
def test_the_estimate_is_right_when_only_the_inputs_move(metric: Metric, within: float) -> None:
    there = classes(8_000, seed=1).answers
    here = classes(8_000, seed=2, shift=1.0).answers
    calibration = fit_calibration(there.truth, there.predicted)
    estimated = estimate_classes(calibration.apply(here.predicted), here.predicted, RNG, n_draws=2)
    realised = measure_metrics(here, RNG, n_draws=2)
    assert estimated[metric].value == pytest.approx(realised[metric].value, abs=within)


def test_the_estimate_does_not_see_that_the_inputs_mean_something_else() -> None:
    there, here = classes(4_000, seed=1).answers, classes(4_000, seed=2, flipped=0.3).answers
    calibration = fit_calibration(there.truth, there.predicted)
    estimated = estimate_classes(calibration.apply(here.predicted), here.predicted, RNG, n_draws=2)
    realised = measure_metrics(here, RNG, n_draws=2)
    assert estimated["roc_auc"].value is not None
    assert realised["roc_auc"].value is not None
    assert estimated["roc_auc"].value - realised["roc_auc"].value > 0.1


@pytest.mark.parametrize(("n", "kind"), [(999, "sigmoid"), (1_000, "isotonic")])
def test_isotonic_needs_a_thousand_rows(n: int, kind: str) -> None:
    rows = classes(n, seed=3).answers
    assert fit_calibration(rows.truth, rows.predicted).maps[0].kind == kind


@pytest.mark.parametrize("n", [300, 5_000])
def test_a_map_is_calibrated_on_other_rows(n: int) -> None:
    there, here = classes(n, seed=4).answers, classes(20_000, seed=5).answers
    calibrated = fit_calibration(there.truth, there.predicted).apply(here.predicted)[:, 1]
    for part in np.array_split(np.argsort(calibrated), 4):
        assert calibrated[part].mean() == pytest.approx(here.truth[part].mean(), abs=0.06)


def test_a_map_is_stored_as_json_of_a_bounded_size() -> None:
    rows = classes(50_000, seed=6).answers
    fitted = fit_calibration(rows.truth, rows.predicted)
    text = fitted.model_dump_json()
    assert CalibrationMap.model_validate_json(text) == fitted
    assert len(text) < 20_000


def test_no_probability_becomes_certain() -> None:
    certain = np.repeat([[1.0, 0.0], [0.0, 1.0]], 1_000, axis=0)
    truth = np.repeat([0, 1], 1_000)
    calibrated = fit_calibration(truth, certain).apply(certain)
    assert 0 < calibrated.min() < 0.001
    few = fit_calibration(truth[950:1_050], certain[950:1_050]).apply(certain)
    assert 0 < few.min() < 0.05


@pytest.mark.parametrize(
    ("n", "truth"), [(49, [0, 1]), (60, [1, 1])], ids=["too_few_rows", "one_class"]
)
def test_what_cannot_be_calibrated_says_so(n: int, truth: list[int]) -> None:
    with pytest.raises(ValueError, match=f"found {n} rows of"):
        fit_calibration(np.resize(truth, n), np.full((n, 2), 0.5))


def test_several_classes_are_calibrated_each_against_the_rest() -> None:
    rng = np.random.default_rng(7)
    shares = rng.dirichlet([1.0, 2.0, 0.5], 6_000)
    truth = (shares.cumsum(axis=1) > rng.random((6_000, 1))).argmax(axis=1)
    said = shares**2 / (shares**2).sum(axis=1, keepdims=True)  # overconfident
    calibration = fit_calibration(truth[:3_000], said[:3_000])
    calibrated = calibration.apply(said[3_000:])
    np.testing.assert_allclose(calibrated.sum(axis=1), 1)
    right = (said[3_000:].argmax(axis=1) == truth[3_000:]).mean()
    found = estimate_classes(calibrated, said[3_000:], RNG, n_draws=2)
    assert found["accuracy"].value == pytest.approx(right, abs=0.03)


def test_a_class_that_never_occurred_is_hardly_ever_expected() -> None:
    rows = classes(500, seed=8).answers
    three = np.hstack([rows.predicted * 0.99, np.full((500, 1), 0.01)])
    assert fit_calibration(rows.truth, three).apply(three)[:, 2].max() < 0.01


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 40), n_classes=st.integers(2, 4))
def test_shares_stay_shares(seed: int, n: int, n_classes: int) -> None:
    rng = np.random.default_rng(seed)
    said, meant = (rng.dirichlet(np.ones(n_classes), n) for _ in range(2))
    found = estimate_classes(meant, said, rng, n_draws=2)
    assert set(found) >= {"roc_auc", "accuracy", "balanced_accuracy", "brier_score", "log_loss"}
    for metric, estimate in found.items():
        if metric not in ("log_loss", "brier_score"):
            assert estimate.value is None or -1e-9 <= estimate.value <= 1 + 1e-9

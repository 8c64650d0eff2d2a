"""Estimates of a regression's performance, against what is known to be true."""

import numpy as np
import polars as pl
import pytest

from mlops_assets.monitoring.dle import LossModel, estimate_numbers, fit_losses
from mlops_assets.monitoring.realised import measure_metrics
from mlops_assets.spec.model import Metric
from mlops_assets_tests.monitoring.populations import FIELDS, Population, numbers

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model() -> LossModel:
    rows = numbers(4_000, seed=1)
    return fit(rows)


def fit(rows: Population) -> LossModel:
    answers = rows.answers
    return fit_losses(rows.features, FIELDS, answers.predicted, answers.truth, seed=0)


@pytest.mark.parametrize("metric", ["mean_absolute_error", "root_mean_squared_error"])
@pytest.mark.parametrize("shift", [-0.7, 0.0, 0.7])
def test_the_estimate_is_right_when_only_the_inputs_move(
    model: LossModel, metric: Metric, shift: float
) -> None:
    here = numbers(8_000, seed=2, shift=shift)
    losses = model.losses(here.features, here.answers.predicted)
    estimated = estimate_numbers(*losses, RNG, n_draws=2)[metric].value
    realised = measure_metrics(here.answers, RNG, n_draws=2)[metric].value
    assert estimated == pytest.approx(realised, rel=0.12)


def test_without_any_feature_the_answers_alone_are_looked_at(model: LossModel) -> None:
    predicted = numbers(100, seed=2).answers.predicted
    absolute, squared = model.losses(pl.DataFrame(), predicted)
    assert absolute.shape == squared.shape == (100,)
    assert (absolute > 0).all()


def test_r2_is_not_estimated_and_says_why(model: LossModel) -> None:
    here = numbers(100, seed=2)
    losses = model.losses(here.features, here.answers.predicted)
    found = estimate_numbers(*losses, RNG, n_draws=2)["r2"]
    assert (found.value, "varies in the window" in found.reason) == (None, True)


def test_the_forest_answers_as_the_one_that_was_fitted() -> None:
    from sklearn.tree import DecisionTreeRegressor

    from mlops_assets.monitoring.dle import _tree

    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(500, 3)).astype(np.float32)
    inputs[rng.random((500, 3)) < 0.1] = np.nan
    targets = rng.normal(size=(500, 2))
    fitted = DecisionTreeRegressor(max_depth=5, random_state=0).fit(inputs, targets)
    ours = _tree(fitted.tree_, scale=1.0)
    leaves = ours.leaves(inputs)
    found = np.stack([np.asarray(ours.absolute)[leaves], np.asarray(ours.squared)[leaves]], axis=1)
    np.testing.assert_allclose(found, fitted.predict(inputs))


def test_a_model_is_stored_as_json_of_a_bounded_size(model: LossModel) -> None:
    text = model.model_dump_json()
    assert LossModel.model_validate_json(text) == model
    assert len(text) < 400_000


def test_what_was_never_seen_counts_like_all(model: LossModel) -> None:
    rows = pl.DataFrame({"x": [0.0, 0.0], "plan": ["never seen", None]})
    first, second = model.losses(rows, np.zeros(2))[0]
    assert first == second


def test_a_missing_column_counts_as_missing_values(model: LossModel) -> None:
    nothing = pl.DataFrame({"x": [None, None], "plan": [None, None]}).cast({"x": pl.Float64})
    absolute, _ = model.losses(pl.DataFrame({"other": [1, 2]}), np.zeros(2))
    np.testing.assert_allclose(absolute, model.losses(nothing, np.zeros(2))[0])


def test_an_outlier_is_like_the_edge(model: LossModel) -> None:
    rows = pl.DataFrame({"x": [1e9, 10.0], "plan": ["gold", "gold"]})
    far, edge = model.losses(rows, np.array([30.0, 30.0]))[0]
    assert far == edge


def test_errors_are_in_the_targets_unit() -> None:
    small = numbers(2_000, seed=4)
    rows = small.answers
    far = rows.predicted + (rows.truth - rows.predicted) * 1e6
    plain = fit(small)
    scaled = fit_losses(small.features, FIELDS, rows.predicted, far, seed=0)
    a, b = (m.losses(small.features, rows.predicted) for m in (plain, scaled))
    np.testing.assert_allclose(a[0] * 1e6, b[0], rtol=0.01)
    np.testing.assert_allclose(a[1] * 1e12, b[1], rtol=0.01)


def test_too_few_rows_say_so() -> None:
    with pytest.raises(ValueError, match="needs 100 rows, found 99"):
        fit(numbers(99, seed=5))

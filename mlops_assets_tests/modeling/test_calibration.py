import numpy as np
import pytest

from mlops_assets.modeling.calibration import assess_calibration
from mlops_assets.modeling.metrics import Floats
from mlops_assets.spec.data import Task


def two(probability: Floats) -> Floats:
    return np.stack([1 - probability, probability], axis=1)


def test_calibrated_probabilities_show_the_error_of_chance() -> None:
    """Mean over 300 samples of 150 rows, of which the standard error is 0.0012."""
    rng = np.random.default_rng(0)
    errors, by_chance = [], []
    for _ in range(300):
        probability = rng.beta(6, 2, 150)
        found = assess_calibration(
            (rng.random(150) < probability).astype(int), two(probability), "binary"
        )
        errors.append(found.error or 0.0)
        by_chance.append(found.by_chance or 0.0)
    assert np.mean(errors) == pytest.approx(np.mean(by_chance), abs=0.005)
    assert np.mean(errors) > 0.08  # a perfect model, seen on 150 rows


def test_overconfidence_is_measured() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random(20_000) < 0.5).astype(int)
    found = assess_calibration(truth, two(np.full(20_000, 0.8)), "binary")
    assert found.error == pytest.approx(0.3, abs=0.02)
    assert found.by_chance is not None
    assert found.by_chance < 0.01


def test_bins_hold_equally_many_rows_in_order() -> None:
    probability = np.linspace(0.01, 0.99, 101)
    found = assess_calibration((probability > 0.5).astype(int), two(probability), "binary")
    assert [entry.n_rows for entry in found.bins] == [11] + [10] * 9
    predicted = [entry.mean_predicted for entry in found.bins]
    assert predicted == sorted(predicted)


def test_of_several_classes_the_chosen_one_is_judged() -> None:
    answers = np.tile([0.1, 0.7, 0.2], (100, 1))
    truth = np.repeat([1, 0], [60, 40])
    found = assess_calibration(np.random.default_rng(0).permutation(truth), answers, "multiclass")
    assert found.bins[0].mean_predicted == pytest.approx(0.7)
    assert found.error is not None
    assert found.error >= 0.1


def test_numbers_are_judged_by_their_mean_in_standard_deviations() -> None:
    truth = np.linspace(-1, 1, 1_000)
    found = assess_calibration(truth, truth + 0.5 * truth.std(), "regression")
    assert found.error == pytest.approx(0.5)


@pytest.mark.parametrize(("n_rows", "known"), [(19, False), (20, True)])
def test_few_rows_say_nothing(n_rows: int, known: bool) -> None:
    found = assess_calibration(np.zeros(n_rows, dtype=int), two(np.full(n_rows, 0.1)), "binary")
    assert (found.error is not None) is known
    assert ("unknown on 19 rows" in found.reason) is not known


@pytest.mark.parametrize("number", [1.0, 0.1])
def test_a_constant_target_has_no_scale(number: float) -> None:
    found = assess_calibration(np.full(30, number), np.zeros(30), "regression")
    assert found.error is None
    assert f"the target is {number} in all 30 rows" in found.reason


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_an_answer_that_is_no_number_leaves_the_error_unknown(task: Task) -> None:
    answers = np.linspace(0.1, 0.9, 40)
    answers[[3, 5]] = np.nan
    given = answers if task == "regression" else two(answers)
    found = assess_calibration(np.arange(40) % 2, given, task)
    assert (found.error, found.by_chance, found.bins) == (None, None, [])
    assert found.reason == "unknown, since 2 of 40 answers are no number"

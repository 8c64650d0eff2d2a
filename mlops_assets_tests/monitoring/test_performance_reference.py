import numpy as np
import polars as pl
import pytest

from mlops_assets.errors import MonitoringError
from mlops_assets.monitoring.answers import Answers, Subject, answers_of
from mlops_assets.monitoring.performance_reference import (
    N_PARTS,
    EvaluatedRows,
    PerformanceReference,
    build_performance_reference,
)
from mlops_assets_tests.monitoring.populations import FIELDS, Population, classes, numbers


@pytest.fixture(scope="module")
def reference() -> PerformanceReference:
    return build_performance_reference(classes(4_000, seed=1).evaluated(), seed=0)


def test_at_the_evaluation_estimate_and_truth_agree(reference: PerformanceReference) -> None:
    for metric, estimated in reference.estimated.items():
        assert estimated.value == pytest.approx(reference.realised[metric].value, abs=0.02)


def test_each_part_of_the_rows_is_a_first_comparison(reference: PerformanceReference) -> None:
    found = [e for e in reference.errors if e.metric == "roc_auc"]
    assert len(found) == N_PARTS
    assert all(abs(e.error) < 5 * e.standard_error for e in found)


def test_a_reference_is_stored_as_json(reference: PerformanceReference) -> None:
    assert PerformanceReference.from_storage(reference.to_storage()) == reference


@pytest.mark.parametrize("text", ["", "{}", '{"format": 2}'])
def test_a_text_that_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(MonitoringError, match="a performance reference cannot be read"):
        PerformanceReference.from_storage(text)


@pytest.mark.parametrize(
    "rows", [classes(40, seed=2), numbers(90, seed=2)], ids=["classes", "numbers"]
)
def test_too_few_rows_give_no_estimate_and_say_why(rows: Population) -> None:
    found = build_performance_reference(rows.evaluated(), seed=0)
    assert (found.calibration, found.loss_model, found.estimated) == (None, None, {})
    assert "cannot be estimated without truth" in found.reason
    assert found.realised


def test_a_regression_gets_a_loss_model() -> None:
    found = build_performance_reference(numbers(800, seed=3).evaluated(), seed=0)
    assert found.loss_model is not None
    before, now = found.realised["mean_absolute_error"], found.estimated["mean_absolute_error"]
    assert now.value == pytest.approx(before.value, rel=0.1)


def test_parts_are_cut_by_time() -> None:
    """The rows of the last quarter behave otherwise; only cutting by time shows it."""
    early, late = classes(3_000, seed=4), classes(1_000, seed=5, flipped=0.4)
    n = 4_000
    mixed = np.random.default_rng(6).permutation(n)
    answers = _joined(early.answers, late.answers)
    features = pl.concat([early.features, late.features])
    rows = EvaluatedRows(answers, features, FIELDS, pl.Series(np.arange(n))).at(mixed)
    found = build_performance_reference(rows, seed=0)
    off = [e.error for e in found.errors if e.metric == "accuracy"]
    assert off[-1] > 0.1 > max(off[:-1])


def _joined(first: Answers, second: Answers) -> Answers:
    predicted = np.concatenate([first.predicted, second.predicted])
    return answers_of(first.subject, predicted, np.concatenate([first.truth, second.truth]))


def test_no_rows_give_no_reference_but_a_reason() -> None:
    empty = answers_of(Subject("binary", (0, 1)), np.zeros((0, 2)), np.zeros(0, dtype=np.int64))
    features = pl.DataFrame(schema={"x": pl.Float64, "plan": pl.String})
    found = build_performance_reference(EvaluatedRows(empty, features, FIELDS), seed=0)
    assert (found.n_rows, found.realised["accuracy"].value) == (0, None)
    assert found.reason

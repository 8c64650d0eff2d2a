from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops_assets.monitoring.answers import Label, Subject, read_answers, unusable
from mlops_assets.spec.data import Task

LOGGED: dict[str, Any] = {
    "prediction": pl.String,
    "probabilities": pl.List(pl.Float64),
    "truth": pl.String,
    "contradicted": pl.Boolean,
}


def logged(truth: list[str | None], *, n_classes: int = 2) -> pl.DataFrame:
    n = len(truth)
    shares = [[1 / n_classes] * n_classes] * n
    columns = {
        "prediction": ["1"] * n,
        "probabilities": shares,
        "truth": truth,
        "contradicted": [False] * n,
    }
    return pl.DataFrame(columns, schema=LOGGED)


@pytest.mark.parametrize(
    ("classes", "positive", "truth", "position"),
    [
        pytest.param((0, 1), None, "1", 1, id="as_the_log_says_it"),
        pytest.param((0, 1), "yes", "1", 1, id="as_the_log_says_it_though_named_otherwise"),
        pytest.param((0, 1), "yes", "yes", 1, id="the_positive_value_of_the_target"),
        pytest.param((0, 1), "yes", "no", 0, id="any_other_value_of_the_target"),
        pytest.param((0, 1), True, "true", 1, id="a_positive_that_is_no_text"),
        pytest.param((0, 1), None, "yes", None, id="unreadable_without_a_positive"),
        pytest.param(("a", "b", "c"), None, "c", 2, id="one_of_several"),
        pytest.param(("a", "b", "c"), None, "d", None, id="none_of_several"),
        pytest.param((0, 1), "yes", None, None, id="not_there"),
    ],
)
def test_what_a_truth_means(
    classes: tuple[Label, ...], positive: Label | None, truth: str | None, position: int | None
) -> None:
    task: Task = "binary" if len(classes) == 2 else "multiclass"
    rows = logged([truth], n_classes=len(classes))
    found = read_answers(rows, Subject(task, classes, positive))
    assert (found.truth[0] if found.known[0] else None) == position


@pytest.mark.parametrize(("truth", "known"), [("1.5", True), ("nan", False), ("much", False)])
def test_a_truth_of_a_regression_is_a_finite_number(truth: str, known: bool) -> None:
    assert read_answers(logged([truth]), Subject("regression")).known.tolist() == [known]


def test_a_contradicted_truth_is_not_known() -> None:
    rows = logged(["1", "0"]).with_columns(contradicted=pl.Series([True, False]))
    assert read_answers(rows, Subject("binary", (0, 1))).known.tolist() == [False, True]


def test_answers_that_are_no_numbers_are_told() -> None:
    rows = logged(["1"] * 4).with_columns(
        probabilities=pl.Series([[0.5, 0.5], [0.5], [0.5, float("nan")], None]),
        prediction=pl.Series(["1", "2.5", "nan", None]),
    )
    assert unusable(rows, Subject("binary", (0, 1))).to_list() == [False, True, True, True]
    assert unusable(rows, Subject("regression")).to_list() == [False, False, True, True]


def test_the_loss_of_classes_is_briers() -> None:
    rows = logged(["1", "0"]).with_columns(probabilities=pl.Series([[0.2, 0.8], [0.2, 0.8]]))
    answers = read_answers(rows, Subject("binary", (0, 1)))
    np.testing.assert_allclose(answers.losses(), [0.04, 0.64])

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.modeling.metrics import (
    Floats,
    class_statistic,
    direction,
    metrics_of,
    number_statistic,
)
from mlops_assets.spec.model import Metric

RNG = np.random.default_rng(0)
N = 400
BINARY = (RNG.random(N) < 0.3).astype(np.int64)
SCORE = np.clip(0.3 + 0.2 * BINARY + 0.2 * RNG.normal(size=N), 0.01, 0.99).round(2)  # with ties
TWO = np.stack([1 - SCORE, SCORE], axis=1)
CLASSES = RNG.integers(0, 3, N)
THREE = RNG.dirichlet([1, 1, 1], N) + 0.5 * np.eye(3)[CLASSES]
THREE /= THREE.sum(axis=1, keepdims=True)
NUMBERS = RNG.normal(100, 5, N)
PREDICTED = NUMBERS + RNG.normal(0, 3, N)
ONCE = np.ones((N, 1))
DRAWN = RNG.multinomial(N, np.full(N, 1 / N), size=3).T.astype(float)


def scikit_learn(metric: Metric, weights: Floats) -> dict[str, Callable[[], float]]:
    """The same numbers from scikit-learn: two classes, three classes, numbers."""
    from sklearn import metrics as sk

    w: dict[str, Any] = {"sample_weight": weights}
    one_hot = np.eye(3)[CLASSES]
    two, three = TWO.argmax(axis=1), THREE.argmax(axis=1)
    every: dict[str, dict[str, Callable[[], float]]] = {
        "roc_auc": {
            "two": lambda: sk.roc_auc_score(BINARY, SCORE, **w),
            "three": lambda: sk.roc_auc_score(CLASSES, THREE, multi_class="ovr", **w),
        },
        "average_precision": {
            "two": lambda: sk.average_precision_score(BINARY, SCORE, **w),
            "three": lambda: sk.average_precision_score(one_hot, THREE, **w),
        },
        "balanced_accuracy": {
            "two": lambda: sk.balanced_accuracy_score(BINARY, two, **w),
            "three": lambda: sk.balanced_accuracy_score(CLASSES, three, **w),
        },
        "accuracy": {
            "two": lambda: sk.accuracy_score(BINARY, two, **w),
            "three": lambda: sk.accuracy_score(CLASSES, three, **w),
        },
        "f1": {
            "two": lambda: sk.f1_score(BINARY, two, **w),
            "three": lambda: sk.f1_score(CLASSES, three, average="macro", **w),
        },
        "log_loss": {
            "two": lambda: sk.log_loss(BINARY, TWO, **w),
            "three": lambda: sk.log_loss(CLASSES, THREE, **w),
        },
        "brier_score": {
            "two": lambda: sk.brier_score_loss(BINARY, SCORE, **w),
            "three": lambda: sk.brier_score_loss(CLASSES, THREE, **w),
        },
        "r2": {"numbers": lambda: sk.r2_score(NUMBERS, PREDICTED, **w)},
        "mean_absolute_error": {"numbers": lambda: sk.mean_absolute_error(NUMBERS, PREDICTED, **w)},
        "root_mean_squared_error": {
            "numbers": lambda: sk.root_mean_squared_error(NUMBERS, PREDICTED, **w)
        },
    }
    return every[metric]


def ours(metric: Metric, kind: str, weights: Floats) -> Floats:
    if kind == "numbers":
        return number_statistic(metric, NUMBERS, PREDICTED)(weights)
    truth, answers = (BINARY, TWO) if kind == "two" else (CLASSES, THREE)
    return class_statistic(metric, truth, answers)(weights)


@pytest.mark.parametrize("metric", [*metrics_of("binary"), *metrics_of("regression")])
def test_metrics_are_those_of_scikit_learn_on_every_redraw(metric: Metric) -> None:
    for weights in (ONCE, DRAWN):
        for kind in scikit_learn(metric, weights[:, 0]):
            expected = [
                scikit_learn(metric, weights[:, draw])[kind]() for draw in range(weights.shape[1])
            ]
            np.testing.assert_allclose(ours(metric, kind, weights), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("metric", "known"),
    [
        ("roc_auc", False),
        ("average_precision", False),
        ("balanced_accuracy", False),
        ("f1", False),
        ("accuracy", True),
        ("log_loss", True),
        ("brier_score", True),
    ],
)
def test_rows_of_one_class_leave_metrics_of_classes_unknown(metric: Metric, known: bool) -> None:
    statistic = class_statistic(metric, np.zeros(4, dtype=np.int64), TWO[:4])
    assert np.isfinite(statistic(np.ones((4, 1)))).all() == known


@pytest.mark.parametrize("answer", [np.nan, np.inf], ids=["not_a_number", "infinite"])
@pytest.mark.parametrize("metric", [*metrics_of("binary"), *metrics_of("regression")])
def test_an_answer_that_is_no_number_leaves_every_metric_unknown(
    metric: Metric, answer: float
) -> None:
    two, numbers = TWO.copy(), PREDICTED.copy()
    two[7, 1] = numbers[7] = answer
    statistic = (
        class_statistic(metric, BINARY, two)
        if metric in metrics_of("binary")
        else number_statistic(metric, NUMBERS, numbers)
    )
    assert not np.isfinite(statistic(ONCE)).any()


@pytest.mark.parametrize("metric", metrics_of("binary"))
def test_nothing_is_known_of_no_rows(metric: Metric) -> None:
    assert np.isnan(class_statistic(metric, BINARY, TWO)(np.zeros((N, 1)))).all()


def test_r2_of_a_constant_target_is_unknown() -> None:
    constant = np.full(5, 1e9)
    assert np.isnan(number_statistic("r2", constant, constant + 1)(np.ones((5, 1)))).all()


def test_a_class_that_does_not_occur_is_left_out_of_the_mean() -> None:
    truth = np.array([0, 1, 0, 1])
    answers = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]])
    assert class_statistic("roc_auc", truth, answers)(np.ones((4, 1))) == [1.0]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=2, max_size=25))
@settings(max_examples=60)
def test_roc_auc_is_the_share_of_pairs_in_order(rows: list[tuple[bool, int]]) -> None:
    truth = np.array([int(positive) for positive, _ in rows])
    score = np.array([rank / 4 for _, rank in rows])
    found = class_statistic("roc_auc", truth, np.stack([1 - score, score], axis=1))
    pairs = [
        (1.0 if high > low else 0.5 if high == low else 0.0)
        for high in score[truth == 1]
        for low in score[truth == 0]
    ]
    value = found(np.ones((truth.size, 1)))[0]
    assert np.isnan(value) if not pairs else value == pytest.approx(np.mean(pairs))


def test_more_is_better_but_for_losses_and_errors() -> None:
    every = [*metrics_of("binary"), *metrics_of("regression")]
    assert [metric for metric in every if direction(metric) < 0] == [
        "log_loss", "brier_score", "mean_absolute_error", "root_mean_squared_error",
    ]  # fmt: skip

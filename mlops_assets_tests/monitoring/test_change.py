import doctest
import math

import pytest

from mlops_assets.modeling.evaluation import Estimate
from mlops_assets.monitoring import change
from mlops_assets.monitoring.change import compare, margin_of
from mlops_assets.spec.model import Metric

UNKNOWN = Estimate(value=None, low=None, high=None, reason="no rows")


def around(value: float, half: float) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half)


@pytest.mark.parametrize(
    ("metric", "now", "half", "state"),
    [
        pytest.param("roc_auc", 0.80, 0.02, "held", id="the_same_and_sure"),
        pytest.param("roc_auc", 0.90, 0.02, "held", id="better"),
        pytest.param("roc_auc", 0.70, 0.02, "worse", id="far_below"),
        pytest.param("roc_auc", 0.70, 0.11, "unknown", id="far_below_and_unsure"),
        pytest.param("roc_auc", 0.76, 0.01, "unknown", id="within_the_margin_and_unsure"),
        pytest.param("roc_auc", 0.78, 0.01, "held", id="a_little_worse_within_the_margin"),
        pytest.param("roc_auc", 0.80, 0.06, "unknown", id="the_same_and_unsure"),
        pytest.param("log_loss", 0.90, 0.02, "worse", id="a_loss_that_grew"),
        pytest.param("log_loss", 0.70, 0.02, "held", id="a_loss_that_shrank"),
    ],
)
def test_what_two_numbers_prove(metric: Metric, now: float, half: float, state: str) -> None:
    assert compare(metric, around(0.80, 0.0), around(now, half), 0.05).state == state


def test_a_drop_of_just_the_margin_is_not_worse() -> None:
    exact = compare("accuracy", around(0.75, 0), around(0.5, 0), 0.25)
    assert (exact.drop, exact.state) == (0.25, "held")
    assert compare("accuracy", around(0.75, 0), around(0.5, 0), 0.2499).state == "worse"


def test_both_intervals_widen_that_of_the_difference() -> None:
    found = compare("accuracy", around(0.8, 0.03), around(0.8, 0.04), 0.1)
    assert found.high is not None
    assert math.isclose(found.high, 0.05)


def test_what_is_unknown_stays_unknown_and_says_why() -> None:
    found = compare("accuracy", UNKNOWN, around(0.8, 0), 0.1)
    assert (found.state, found.reason) == (
        "unknown",
        "accuracy is unknown at the evaluation: no rows",
    )


@pytest.mark.parametrize(
    ("metric", "margin", "found"),
    [
        ("roc_auc", None, 0.05),
        ("roc_auc", 0.02, 0.02),
        ("mean_absolute_error", None, 4.0),
        ("mean_absolute_error", 0.5, 20.0),
    ],
)
def test_margins_of_losses_are_shares_of_their_value(
    metric: Metric, margin: float | None, found: float
) -> None:
    assert margin_of(metric, around(40.0, 1), margin) == found


def test_examples_run() -> None:
    assert doctest.testmod(change).failed == 0

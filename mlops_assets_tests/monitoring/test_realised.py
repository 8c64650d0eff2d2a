"""Performance from truth that comes late, twice, wrongly or never."""

from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops_assets.modeling.evaluation import Estimate
from mlops_assets.monitoring.answers import Subject
from mlops_assets.monitoring.realised import (
    RealisedPerformance,
    measure_coverage,
    measure_realised,
    realised_change,
    realised_signal,
)
from mlops_assets.spec.monitoring import PerformanceSpec
from mlops_assets_tests.monitoring.windows import DAY, START

SUBJECT = Subject("binary", (0, 1))
END = START + DAY
SCHEMA: dict[str, Any] = {
    "event_time": pl.Datetime("us", "UTC"),
    "prediction": pl.String,
    "probabilities": pl.List(pl.Float64),
    "truth": pl.String,
    "truth_received_at": pl.Datetime("us", "UTC"),
    "contradicted": pl.Boolean,
}


def logged(n: int, *, n_with_truth: int | None = None, right: float = 0.8) -> pl.DataFrame:
    """Predictions of class 1, the first of which have their truth an hour later."""
    known = n if n_with_truth is None else n_with_truth
    truths: list[dict[str, Any]] = [
        {
            "event_time": START,
            "prediction": "1",
            "probabilities": [0.3, 0.7],
            "truth": None if i >= known else "1" if i % 10 < right * 10 else "0",
            "truth_received_at": None if i >= known else START + timedelta(hours=1),
            "contradicted": False,
        }
        for i in range(n)
    ]
    return pl.DataFrame(truths, schema=SCHEMA)


def measured(rows: pl.DataFrame, **settings: Any) -> RealisedPerformance:
    coverage = measure_coverage(rows, SUBJECT, end=END, now=END + DAY)
    spec = PerformanceSpec(**settings)
    return measure_realised(rows, coverage, SUBJECT, spec, np.random.default_rng(0))


def test_metrics_come_from_the_rows_with_truth() -> None:
    found = measured(logged(1_000, n_with_truth=900))
    accuracy = found.metrics["accuracy"]
    assert (accuracy.value, found.comparable) == (0.8, True)
    assert accuracy.low is not None
    assert 0.75 < accuracy.low < 0.8
    assert (found.coverage.ratio, found.coverage.age) == (0.9, DAY)
    assert found.coverage.median_lag == timedelta(hours=1)


@pytest.mark.parametrize(("n_with_truth", "comparable"), [(799, False), (800, True)])
def test_a_window_with_too_little_truth_is_compared_with_nothing(
    n_with_truth: int, comparable: bool
) -> None:
    found = measured(logged(1_000, n_with_truth=n_with_truth, right=0.1))
    before = Estimate(value=0.8, low=0.79, high=0.81)
    change = realised_change(found, before, "accuracy", PerformanceSpec())
    assert found.comparable is comparable
    assert change.state == ("worse" if comparable else "unknown")
    assert ("80% needed" in change.reason) is not comparable
    assert change.now.value == found.metrics["accuracy"].value, "it is shown all the same"


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        pytest.param(logged(0), "no rows", id="an_empty_window"),
        pytest.param(logged(5, n_with_truth=0), "no truth yet for 5 rows", id="no_truth"),
        pytest.param(logged(1), "1 rows with truth, 100 needed", id="one_row"),
        pytest.param(logged(99), "99 rows with truth, 100 needed", id="one_too_few"),
    ],
)
def test_what_proves_nothing_says_why(rows: pl.DataFrame, reason: str) -> None:
    found = measured(rows)
    assert (found.comparable, found.reason) == (False, reason)


def test_contradicting_truths_that_cannot_be_read_either_count_once() -> None:
    rows = logged(200).with_columns(contradicted=pl.lit(value=True), truth=pl.lit("?"))
    coverage = measure_coverage(rows, SUBJECT, end=END, now=END)
    assert (coverage.n_contradicted, coverage.n_unreadable) == (200, 0)


def test_contradicting_truths_count_as_none() -> None:
    rows = logged(200).with_columns(contradicted=pl.Series([i < 50 for i in range(200)]))
    coverage = measured(rows).coverage
    assert (coverage.n_with_truth, coverage.n_contradicted, coverage.ratio) == (150, 50, 0.75)


def test_unreadable_truths_count_as_none() -> None:
    rows = logged(200).with_columns(truth=pl.Series([*["?"] * 30, *["1"] * 170]))
    coverage = measured(rows).coverage
    assert (coverage.n_with_truth, coverage.n_unreadable) == (170, 30)


def test_truth_before_its_prediction_counts_and_is_told() -> None:
    rows = logged(200).with_columns(truth_received_at=START - timedelta(minutes=1))
    coverage = measured(rows).coverage
    assert (coverage.n_with_truth, coverage.n_early) == (200, 200)
    assert coverage.median_lag == -timedelta(minutes=1)


@pytest.mark.parametrize(("seconds", "n_early"), [(60, 0), (59, 200)])
def test_clocks_may_lie_a_little_apart(seconds: int, n_early: int) -> None:
    rows = logged(200).with_columns(truth_received_at=START - timedelta(seconds=60))
    tolerance = timedelta(seconds=seconds)
    found = measure_coverage(rows, SUBJECT, end=END, now=END, clock_tolerance=tolerance)
    assert found.n_early == n_early


def test_answers_that_are_no_numbers_count_in_nothing_else() -> None:
    broken = logged(50).with_columns(probabilities=pl.lit([float("nan"), 0.5]))
    found = measured(pl.concat([logged(200), broken]))
    assert (found.coverage.n_rows, found.coverage.n_unusable) == (200, 50)
    assert found.metrics["accuracy"].value == 0.8


def test_a_window_that_lasts_has_no_age() -> None:
    assert measure_coverage(logged(1), SUBJECT, end=END, now=START).age == timedelta(0)


def test_only_a_proven_loss_carries_its_slices() -> None:
    found = realised_change(
        measured(logged(1_000)),
        Estimate(value=0.8, low=0.79, high=0.81),
        "accuracy",
        PerformanceSpec(),
    )
    assert realised_signal(found).state == "held"
    assert realised_signal(found).slices == ()

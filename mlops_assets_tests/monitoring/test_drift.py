from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops_assets.errors import MonitoringError
from mlops_assets.monitoring.column_verdict import adjust
from mlops_assets.monitoring.counting import sketch_reference, sketch_window
from mlops_assets.monitoring.drift import assess_drift
from mlops_assets.monitoring.layout import Selection, WatchedColumn
from mlops_assets.monitoring.null import NullCache
from mlops_assets.monitoring.report import ColumnDrift, DriftReport
from mlops_assets.monitoring.sketch import Sketch
from mlops_assets.spec import DriftSpec
from mlops_assets_tests.monitoring.drifting import SHOP, shop, shop_day, shop_reference

POLICY = DriftSpec()


@pytest.fixture(scope="module")
def reference() -> Sketch:
    return shop_reference()


@pytest.fixture(scope="module")
def nulls() -> NullCache:
    return NullCache()


def day(reference: Sketch, n: int = 200, **changes: Any) -> Sketch:
    rows = shop(n, 2, first_day=28, n_days=1).with_columns(**changes)
    return sketch_window(rows, reference.layout)


def column(report: DriftReport, name: str) -> ColumnDrift:
    return next(c for c in report.columns if c.column == name)


def test_a_day_like_those_before_has_not_drifted(reference: Sketch, nulls: NullCache) -> None:
    report = assess_drift(reference, shop_day(reference), POLICY, None, nulls)
    assert report.state == "no_drift"
    assert report.reason == "0 of 5 columns moved, with 0% of the importance"
    assert report.null == "whole days are redrawn: 28 of the reference, 1 of the window"
    assert {c.state for c in report.columns} == {"stable"}
    assert report.prediction is not None
    assert report.prediction.state == "stable"


def test_a_column_that_moved_is_named_with_its_numbers(reference: Sketch, nulls: NullCache) -> None:
    report = assess_drift(reference, day(reference, age=pl.col("age") + 20), POLICY, None, nulls)
    assert report.state == "drift"
    assert report.columns[0].column == "age"
    assert report.columns[0].state == "drifted"
    assert report.columns[0].reason.endswith("among all columns)")
    assert "% of 200 values lie elsewhere (p " in report.columns[0].reason
    assert report.reason.endswith("1 of 5 columns moved, with 20% of the importance: age")
    assert report.share_ratio == 0.2
    assert report.weighted_share_ratio == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("importance", "state", "weighted"),
    [
        pytest.param({"age": 0.19, "spend": 0.81}, "no_drift", 0.19, id="just_below_the_limit"),
        pytest.param({"age": 0.20, "spend": 0.80}, "drift", 0.20, id="at_the_limit"),
        pytest.param({"age": -0.5, "spend": 0.8}, "no_drift", 0.0, id="harm_weighs_nothing"),
        pytest.param({"age": 0.0}, "drift", 0.2, id="nothing_known_is_equal_shares"),
    ],
)
def test_columns_count_by_their_importance(
    reference: Sketch, nulls: NullCache, importance: dict[str, float], state: str, weighted: float
) -> None:
    window = day(reference, age=pl.col("age") + 20)
    report = assess_drift(reference, window, POLICY, importance, nulls)
    assert report.state == state
    assert report.weighted_share_ratio == pytest.approx(weighted)


def test_a_trifle_in_many_rows_is_more_than_chance_and_does_not_matter() -> None:
    selection = Selection((WatchedColumn("x", "number"),))
    rng = np.random.default_rng(0)
    reference = sketch_reference(pl.DataFrame({"x": rng.normal(size=300_000)}), selection)
    window = sketch_window(pl.DataFrame({"x": rng.normal(0.05, 1, 300_000)}), reference.layout)
    found = assess_drift(reference, window, POLICY).columns[0]
    assert (found.state, found.p is not None and found.p < 1e-6) == ("stable", True)
    assert "less than the 5.0% that matter" in found.reason
    strict = assess_drift(reference, window, DriftSpec(minimum_shift_ratio=0.01))
    assert strict.columns[0].state == "drifted"


def test_more_missing_values_are_a_drift_of_their_own(reference: Sketch, nulls: NullCache) -> None:
    gone = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.col("spend"))
    report = assess_drift(reference, day(reference, spend=gone), POLICY, None, nulls)
    found = column(report, "spend")
    assert found.state == "drifted"
    assert "of 200 values are missing, " in found.reason
    assert found.missing_ratio is not None
    assert found.missing_ratio > 0.5


def test_new_and_vanished_categories_are_named(reference: Sketch, nulls: NullCache) -> None:
    plans = pl.col("plan").replace({"pro": "gold", "basic": "plus"})
    report = assess_drift(reference, day(reference, plan=plans), POLICY, None, nulls)
    found = column(report, "plan")
    assert found.state == "drifted"
    assert set(found.new_categories) == {"gold"}
    assert found.vanished_categories == ("basic", "pro")
    assert "new categories: 'gold' (" in found.reason


def test_predictions_alone_can_make_a_drift(reference: Sketch, nulls: NullCache) -> None:
    window = day(reference, score=pl.col("score") / 2 + 0.5)
    assert assess_drift(reference, window, POLICY, None, nulls).state == "drift"
    quiet = assess_drift(reference, window, DriftSpec(prediction=False), None, nulls)
    assert (quiet.state, quiet.prediction and quiet.prediction.state) == ("no_drift", "drifted")


def test_the_slice_that_moved_is_told(reference: Sketch, nulls: NullCache) -> None:
    older = pl.when(plan="pro").then(pl.col("age") + 30).otherwise(pl.col("age"))
    report = assess_drift(reference, day(reference, 600, age=older), POLICY, None, nulls)
    states = {part.value: part.state for part in report.slices}
    assert states == {
        "basic": "no_drift",
        "plus": "no_drift",
        "pro": "drift",
        "(other values)": "not_enough_data",
        "(missing)": "not_enough_data",
    }
    told = next(part for part in report.slices if part.value == "pro")
    assert [c.column for c in told.columns] == ["age"]
    assert told.reason.startswith("age moved in ")


WRONG: dict[str, tuple[Any, str, str]] = {
    "column_missing": (lambda r: r.drop("age"), "broken_data", "age: the column is missing"),
    "type_changed": (
        lambda r: r.with_columns(age=pl.lit("old")),
        "broken_data",
        "age: the type changed: String where numbers are expected",
    ),
    "all_missing": (
        lambda r: r.with_columns(age=pl.lit(None, pl.Int64)),
        "broken_data",
        "age: all 200 values are missing, 0.0% in the reference",
    ),
    "empty_window": (lambda r: r.head(0), "not_enough_data", "the window has no rows"),
    "one_row": (lambda r: r.head(1), "not_enough_data", "the window has 1 rows, 30 are needed"),
    "a_row_too_few": (lambda r: r.head(29), "not_enough_data", "29 rows, 30 are needed"),
    "new_column": (lambda r: r.with_columns(shoe=pl.lit(3)), "no_drift", "0 of 5 columns moved"),
    "one_outlier": (
        lambda r: r.with_columns(
            age=pl.when(pl.int_range(pl.len()) == 0).then(10**9).otherwise("age")
        ),
        "no_drift",
        "0 of 5 columns moved",
    ),
    "constant_now": (lambda r: r.with_columns(age=pl.lit(40)), "drift", "age"),
    "unseen_categories_only": (lambda r: r.with_columns(plan=pl.lit("gold")), "drift", "plan"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_windows_have_a_defined_result(reference: Sketch, nulls: NullCache, case: str) -> None:
    change, state, words = WRONG[case]
    rows = change(shop(200, 2, first_day=28, n_days=1))
    window = sketch_window(rows, reference.layout)
    report = assess_drift(reference, window, POLICY, None, nulls)
    assert report.state == state
    assert words in report.reason
    assert DriftReport.model_validate_json(report.model_dump_json()) == report


def test_just_enough_rows_are_judged(reference: Sketch, nulls: NullCache) -> None:
    rows = shop(30, 2, first_day=28, n_days=1)
    report = assess_drift(reference, sketch_window(rows, reference.layout), POLICY, None, nulls)
    assert report.state == "no_drift"


def test_new_columns_are_told(reference: Sketch, nulls: NullCache) -> None:
    report = assess_drift(reference, day(reference, shoe=pl.lit(3)), POLICY, None, nulls)
    assert report.new_columns == ("shoe",)


@pytest.mark.parametrize("kind", ["number", "category", "boolean", "datetime"])
def test_a_reference_without_values_compares_nothing(kind: Any) -> None:
    selection = Selection((WatchedColumn("x", kind),))
    nothing = sketch_reference(pl.DataFrame({"x": [None] * 100}), selection)
    same = assess_drift(
        nothing, sketch_window(pl.DataFrame({"x": [None] * 100}), nothing.layout), POLICY
    )
    assert same.columns[0].state == "stable"
    assert same.columns[0].p == 1.0


def test_a_constant_column_that_stays_has_not_drifted() -> None:
    selection = Selection((WatchedColumn("x", "number"),))
    reference = sketch_reference(pl.DataFrame({"x": [3.0] * 500}), selection)
    window = sketch_window(pl.DataFrame({"x": [3.0] * 100}), reference.layout)
    assert assess_drift(reference, window, POLICY).state == "no_drift"


def test_an_outlier_in_the_reference_hides_no_drift() -> None:
    """The standard deviation is useless then; the share of rows that moved is not."""
    rng = np.random.default_rng(0)
    selection = Selection((WatchedColumn("x", "number"),))
    values = np.append(rng.normal(size=2_000), 1e9)
    reference = sketch_reference(pl.DataFrame({"x": values}), selection)
    window = sketch_window(pl.DataFrame({"x": rng.normal(0.5, 1, 300)}), reference.layout)
    found = assess_drift(reference, window, POLICY).columns[0]
    assert found.state == "drifted"
    assert found.distances.wasserstein is not None
    assert found.distances.wasserstein < 0.1


def test_a_window_of_another_reference_is_refused(reference: Sketch) -> None:
    other = shop_reference(700, seed=5)
    with pytest.raises(MonitoringError, match="bins of another reference"):
        assess_drift(reference, shop_day(other), POLICY)


def test_what_was_drawn_before_changes_no_report(reference: Sketch) -> None:
    window, cache = shop_day(reference, seed=7), NullCache()
    first = assess_drift(reference, window, POLICY, None, cache)
    n_drawn = cache.n_drawn
    assert assess_drift(reference, window, POLICY, None, cache) == first
    assert cache.n_drawn == n_drawn
    assert assess_drift(reference, window, POLICY) == first


def test_a_null_that_a_window_of_nearly_the_same_size_drew_is_the_same(reference: Sketch) -> None:
    window, cache = shop_day(reference, 200), NullCache()
    assess_drift(reference, shop_day(reference, 196, seed=3), POLICY, None, cache)
    n_drawn = cache.n_drawn
    assert assess_drift(reference, window, POLICY, None, cache) == assess_drift(
        reference, window, POLICY
    )
    assert cache.n_drawn < 2 * n_drawn


def test_a_window_of_more_hours_than_the_reference_is_judged() -> None:
    rows = shop(2_000, n_days=1)
    columns = tuple(c for c in SHOP.columns if c.role == "feature")
    reference = sketch_reference(rows, Selection(columns, time_column="at", block="hour"))
    window = sketch_window(shop(400, 3, first_day=1, n_days=4), reference.layout)
    report = assess_drift(reference, window, POLICY)
    assert report.null == "whole hours are redrawn: 24 of the reference, 96 of the window"
    assert {c.state for c in report.columns} <= {"stable", "drifted"}


def test_one_column_in_twenty_is_found_with_999_draws() -> None:
    rng = np.random.default_rng(0)
    names = [f"x{i}" for i in range(20)]
    selection = Selection(tuple(WatchedColumn(name, "number") for name in names))
    reference = sketch_reference(
        pl.DataFrame({n: rng.normal(size=2_000) for n in names}), selection
    )
    rows = pl.DataFrame({n: rng.normal(size=200) for n in names}).with_columns(pl.col("x7") + 0.6)
    report = assess_drift(reference, sketch_window(rows, reference.layout), POLICY)
    assert [c.column for c in report.drifted] == ["x7"]


def test_correlations_that_changed_are_seen_by_the_classifier() -> None:
    rng = np.random.default_rng(0)
    selection = Selection(tuple(WatchedColumn(name, "number") for name in ("x", "y")))
    shared = rng.normal(size=3_000)
    reference = sketch_reference(
        pl.DataFrame({"x": shared, "y": shared + rng.normal(size=3_000)}), selection
    )
    apart = pl.DataFrame({"x": rng.normal(size=800), "y": rng.normal(0, 1.41, 800)})
    window = sketch_window(apart, reference.layout)
    report = assess_drift(reference, window, POLICY)
    assert report.state == "no_drift"
    assert report.domain is not None
    assert report.domain.auc > 0.65 > report.domain.auc_by_chance
    assert report.domain.p < 0.01
    judged = assess_drift(reference, window, DriftSpec(domain_auc=0.65))
    assert judged.state == "drift"
    assert "tells the rows apart with ROC-AUC 0." in judged.reason


def test_p_values_are_adjusted_as_scipy_does() -> None:
    from scipy.stats import false_discovery_control

    p = np.random.default_rng(0).random(30) ** 3
    assert adjust(p.tolist()) == pytest.approx(false_discovery_control(p))
    assert adjust([None]) == [None]


def test_the_shop_is_watched_whole() -> None:
    assert {c.kind for c in SHOP.columns} == {"number", "category", "boolean", "datetime"}

"""What makes the data of a window unbelievable, and what is merely odd."""

from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops_assets.monitoring.quality import QualityEvidence, QualityReport, assess_quality
from mlops_assets.monitoring.quality_counts import (
    LogCounts,
    QualityProfile,
    RowCounts,
    measure_rows,
    profile_quality,
)
from mlops_assets.monitoring.realised import Coverage
from mlops_assets.monitoring.report import ColumnDrift, DriftReport
from mlops_assets.spec import ColumnContract
from mlops_assets.spec.monitoring import QualitySpec

CONTRACTS = {
    "age": ColumnContract(type="number", minimum=0, maximum=120),
    "plan": ColumnContract(type="string", categories=["basic", "gold"]),
}
PROFILE = QualityProfile(n_rows=1_000, lowest={"age": 18.0}, highest={"age": 90.0})


def rows(n: int, seed: int = 0, **columns: Any) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame({"age": rng.uniform(18, 90, n), "plan": rng.choice(["basic", "gold"], n)})
    return frame.with_columns(**columns)


def assess(
    counts: RowCounts | None = None,
    log: LogCounts | None = None,
    coverage: dict[str, Any] | None = None,
    columns: tuple[ColumnDrift, ...] = (),
) -> QualityReport:
    counts = counts or RowCounts(n_rows=1_000)
    drift = DriftReport(
        state="no_drift", reason="", n_reference=1_000, n_current=1_000, null="", columns=columns
    )
    truth = Coverage(
        **({"n_rows": counts.n_rows, "n_with_truth": counts.n_rows} | (coverage or {}))
    )
    evidence = QualityEvidence(rows=counts, log=log or LogCounts(), coverage=truth, drift=drift)
    return assess_quality(evidence, PROFILE, QualitySpec())


def column(**fields: Any) -> ColumnDrift:
    plain = {"column": "plan", "kind": "category", "state": "stable", "reason": "as it was"}
    return ColumnDrift(**(plain | {"n_reference": 1_000, "n_current": 1_000} | fields))


@pytest.mark.parametrize(
    ("evidence", "state"),
    [
        pytest.param({}, "sound", id="nothing_wrong"),
        pytest.param({"counts": RowCounts(n_rows=0)}, "unknown", id="an_empty_window"),
        pytest.param({"counts": RowCounts(n_rows=1)}, "sound", id="one_row"),
        pytest.param(
            {"columns": (column(state="broken", reason="the column is missing"),)},
            "broken",
            id="a_missing_column",
        ),
        pytest.param(
            {
                "columns": (column(state="broken", reason="the type changed"),),
                "counts": RowCounts(n_rows=1),
            },
            "broken",
            id="a_changed_type_shows_on_one_row",
        ),
        pytest.param(
            {"columns": (column(missing_ratio=0.40, missing_ratio_reference=0.11),)},
            "sound",
            id="a_rise_of_missing_values_at_the_limit",
        ),
        pytest.param(
            {"columns": (column(missing_ratio=0.42, missing_ratio_reference=0.10),)},
            "broken",
            id="a_rise_of_missing_values_beyond_it",
        ),
        pytest.param(
            {"columns": (column(missing_ratio=0.1, missing_ratio_reference=0.9),)},
            "sound",
            id="fewer_missing_values_harm_nobody",
        ),
        pytest.param({"columns": (column(n_in_new_categories=500),)}, "sound", id="half_unseen"),
        pytest.param({"columns": (column(n_in_new_categories=501),)}, "broken", id="most_unseen"),
        pytest.param({"columns": (column(n_in_new_categories=1_000),)}, "broken", id="unseen_only"),
        pytest.param(
            {"counts": RowCounts(n_rows=1_000, n_violating=101, violations={"age": 101})},
            "broken",
            id="too_many_violations",
        ),
        pytest.param(
            {"counts": RowCounts(n_rows=1_000, n_violating=100, violations={"age": 100})},
            "sound",
            id="violations_at_the_limit",
        ),
        pytest.param(
            {"counts": RowCounts(n_rows=19, n_violating=19, violations={"age": 19})},
            "sound",
            id="few_rows_show_any_share",
        ),
        pytest.param(
            {"counts": RowCounts(n_rows=1_000, wild={"age": 1})}, "sound", id="one_outlier"
        ),
        pytest.param(
            {"counts": RowCounts(n_rows=1_000, wild={"age": 51})}, "broken", id="many_outliers"
        ),
        pytest.param(
            {"counts": RowCounts(n_rows=1_000, n_most_frequent=301)}, "broken", id="a_stuck_client"
        ),
        pytest.param(
            {"counts": RowCounts(n_rows=1_000, n_most_frequent=300)}, "sound", id="rows_that_repeat"
        ),
        pytest.param({"log": LogCounts(n_future=101)}, "broken", id="clocks_ahead"),
        pytest.param({"log": LogCounts(n_future=100)}, "sound", id="a_few_clocks_ahead"),
        pytest.param(
            {"log": LogCounts(n_future=60), "coverage": {"n_early": 60}},
            "broken",
            id="clocks_ahead_and_truth_too_early",
        ),
        pytest.param(
            {"coverage": {"n_with_truth": 800, "n_contradicted": 150}},
            "broken",
            id="contradictions",
        ),
        pytest.param(
            {"coverage": {"n_with_truth": 900, "n_contradicted": 50, "n_unreadable": 50}},
            "sound",
            id="a_tenth_contradicts",
        ),
        pytest.param({"coverage": {"n_unusable": 200}}, "broken", id="answers_that_are_nan"),
        pytest.param({"log": LogCounts(n_lost=120)}, "broken", id="a_corrupt_segment"),
        pytest.param({"log": LogCounts(n_lost=1)}, "sound", id="one_lost_record"),
        pytest.param({"log": LogCounts(n_duplicates=5_000)}, "sound", id="duplicate_events"),
        pytest.param({"log": LogCounts(n_other_versions=900)}, "sound", id="versions_long_gone"),
    ],
)
def test_what_breaks_a_window(evidence: dict[str, Any], state: str) -> None:
    found = assess(**evidence)
    assert found.state == state
    assert found.reason
    assert (state == "broken") == any(f.breaks for f in found.findings)


def test_what_is_odd_is_told() -> None:
    found = assess(log=LogCounts(n_duplicates=5), counts=RowCounts(n_rows=1_000, wild={"age": 1}))
    assert "5 events came twice" in found.reason
    assert "age: 1 values lie far beyond 18 to 90" in found.reason
    assert found.signal().columns == ()


def test_the_columns_that_break_it_are_told() -> None:
    found = assess(columns=(column(n_in_new_categories=900),))
    assert [c.column for c in found.signal().columns] == ["plan"]
    assert found.signal().reason == "plan: 90% of the values are categories never seen in training"


def test_the_contract_of_the_dataset_holds_for_the_window() -> None:
    frame = pl.DataFrame({"age": [20.0, 130.0, None, 40.0], "plan": ["gold", "gold", "gold", "?"]})
    counts = measure_rows(frame, CONTRACTS, PROFILE)
    assert (counts.n_violating, counts.violations) == (3, {"age": 2, "plan": 1})


def test_columns_without_a_contract_pass() -> None:
    counts = measure_rows(rows(100).rename({"age": "years"}), {}, PROFILE)
    assert (counts.n_violating, counts.violations, counts.wild) == (0, {}, {})


def test_numbers_far_out_are_counted() -> None:
    frame = rows(100).with_columns(age=pl.Series([1e9, -1e9, 200.0, *[30.0] * 97]))
    assert measure_rows(frame, {}, PROFILE).wild == {"age": 2}


def test_the_most_frequent_row_is_counted() -> None:
    frame = pl.concat([rows(50), *[rows(1, seed=9)] * 30])
    assert measure_rows(frame, {}, PROFILE).n_most_frequent == 30


@pytest.mark.parametrize("n", [0, 1])
def test_hardly_any_rows_are_counted(n: int) -> None:
    counts = measure_rows(rows(n), CONTRACTS, PROFILE)
    assert (counts.n_rows, counts.n_violating) == (n, 0)


def test_the_profile_of_the_training_data() -> None:
    names = pl.Series([f"c{i}" if i < 25 else "common" for i in range(100)])
    frame = rows(100, age=pl.Series([None, *map(float, range(1, 100))]), name=names)
    found = profile_quality(frame, {"plan": CONTRACTS["plan"]})
    assert (found.lowest["age"], found.highest["age"]) == (1.0, 99.0)
    assert (found.unseen_ratio["name"], found.violation_ratio) == (0.25, 0.0)
    assert QualityProfile.model_validate_json(found.model_dump_json()) == found
    assert profile_quality(frame.head(0), CONTRACTS).n_rows == 0


def test_what_training_showed_already_breaks_nothing() -> None:
    known = PROFILE.model_copy(
        update={"unseen_ratio": {"plan": 0.6}, "violation_ratio": 0.5, "repeat_ratio": 0.5}
    )
    counts = RowCounts(n_rows=1_000, n_violating=550, violations={"age": 550}, n_most_frequent=700)
    evidence = QualityEvidence(
        rows=counts,
        log=LogCounts(),
        coverage=Coverage(n_rows=1_000, n_with_truth=0, age=timedelta(days=1)),
        drift=DriftReport(
            state="drift", reason="", n_reference=1, n_current=1_000, null="",
            columns=(column(n_in_new_categories=1_000),),
        ),
    )  # fmt: skip
    assert assess_quality(evidence, known, QualitySpec()).state == "sound"

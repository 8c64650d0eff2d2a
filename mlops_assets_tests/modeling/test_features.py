from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mlops_assets.errors import FeatureError
from mlops_assets.modeling.dataset_rows import ROW_ID
from mlops_assets.modeling.digest import frame_digest
from mlops_assets.modeling.features import (
    SLICE_PREFIX,
    TARGET,
    VALIDATES,
    TrainingFrame,
    build_frame,
)
from mlops_assets.modeling.split import ID_PREFIX, TIME
from mlops_assets_tests.modeling.toy import document, rows


def test_a_frame_holds_features_target_sides_slices_and_ids() -> None:
    spec = document(
        time_column="at",
        features={"numeric": ["hours"], "boolean": ["alone"], "datetime": {"at": ["hour"]}},
        evaluation={"slices": ["genre", "hours"]},
    )
    schema = build_frame(rows().lazy(), spec).frame.schema
    assert dict(schema) == (
        {
            "hours": pl.Float64,
            "alone": pl.Boolean,
            "at_hour": pl.Float64,
            TARGET: pl.Int64,
            ROW_ID: pl.Int64,
            TIME: pl.Datetime("us", "UTC"),
            SLICE_PREFIX + "genre": pl.String,
            ID_PREFIX + "session": pl.String,
            VALIDATES: pl.Boolean,
        }
    )


def test_facts_say_what_is_in_the_frame() -> None:
    dataset = rows()
    without = dataset.with_columns(effect=dataset["effect"].set(dataset["hours"] > 9, None))
    facts = build_frame(without.lazy(), document()).facts
    n_without = int((dataset["hours"] > 9).sum())
    assert facts.n_without_target == n_without > 0
    assert facts.n_training + facts.n_validation == 600 - n_without
    assert sum(facts.class_counts["training"].values()) == facts.n_training
    assert facts.classes == [0, 1]
    assert facts.positive == "Improve"
    assert [(field.name, field.kind) for field in facts.features] == [
        ("hours", "number"),
        ("age", "number"),
        ("genre", "category"),
        ("alone", "boolean"),
    ]
    assert facts.warnings == []


def test_facts_of_a_timed_frame_hold_its_ends() -> None:
    dataset = rows(50)
    facts = build_frame(dataset.lazy(), document(time_column="at", split={})).facts
    assert facts.split.method == "time"
    assert (facts.oldest_at, facts.newest_at) == (dataset["at"][0], dataset["at"][-1])


def test_a_record_survives_as_json() -> None:
    built = build_frame(rows().lazy(), document())
    record = built.record(uri="lake/toy", version=3, dataset_digest="d" * 64, dataset_version=1)
    assert TrainingFrame.model_validate_json(record.model_dump_json()) == record


def test_the_same_rows_give_the_same_frame() -> None:
    first, second = (build_frame(rows().lazy(), document()) for _ in range(2))
    assert_frame_equal(first.frame, second.frame)
    assert first.facts == second.facts


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(pl.col("a") + 1e-9, id="a_number"),
        pytest.param(pl.col("a").cast(pl.Float32), id="a_type"),
        pytest.param(pl.col("a").alias("b"), id="a_name"),
        pytest.param(pl.lit(None, pl.Float64).alias("a"), id="missing"),
    ],
)
def test_any_change_of_a_frame_changes_its_digest(change: pl.Expr) -> None:
    frame = pl.DataFrame({"a": [0.0, 1.0]})
    assert frame_digest(frame.select(change)) != frame_digest(frame)


def test_text_does_not_run_together_in_a_digest() -> None:
    frames = [pl.DataFrame({"a": list(texts)}) for texts in (("ab", "c"), ("a", "bc"))]
    assert frame_digest(frames[0]) != frame_digest(frames[1])


@pytest.mark.parametrize(
    ("changed", "spec", "told"),
    [
        pytest.param(
            pl.lit("Improve").alias("effect"), {}, "one class only, 'Improve'", id="one_class"
        ),
        pytest.param(
            pl.lit(None, pl.Float64).alias("age"), {}, "has a value in age; take", id="all_null"
        ),
        pytest.param(
            pl.lit(None, pl.String).alias("effect"), {}, "0 of 600 rows have", id="no_target"
        ),
        pytest.param(
            pl.col("age").cast(pl.String).fill_null("old"),
            {},
            "column age, row .* found 'old'",
            id="text_among_numbers",
        ),
        pytest.param(
            pl.lit("soon").alias("at"),
            {"time_column": "at"},
            "column at, row 1: found 'soon'",
            id="dates_that_do_not_parse",
        ),
        pytest.param(
            pl.col("at").set_sorted().replace(pl.col("at").first(), None),
            {"time_column": "at"},
            "row 1: found None, allowed: a time for each row",
            id="no_time",
        ),
        pytest.param(
            pl.when(pl.col("hours") > 1).then("listener").alias("listener"),
            {"split": {"method": "grouped", "group": "listener"}},
            "allowed: a group for each row",
            id="no_group",
        ),
        pytest.param(
            pl.lit("same").alias("listener"),
            {"split": {"method": "grouped", "group": "listener"}},
            "both need some",
            id="one_group",
        ),
        pytest.param(
            pl.col("hours").alias("at_hour"),
            {"features": {"numeric": ["at_hour"], "datetime": {"at": ["hour"]}}},
            "two features are named at_hour",
            id="two_of_a_name",
        ),
    ],
)
def test_a_frame_that_cannot_be_trained_on_is_refused(
    changed: pl.Expr, spec: dict[str, Any], told: str
) -> None:
    with pytest.raises(FeatureError, match=told):
        build_frame(rows().lazy().with_columns(changed), document(**spec))


@pytest.mark.parametrize("n_rows", [0, 2, 9])
def test_too_few_rows_are_refused(n_rows: int) -> None:
    with pytest.raises(FeatureError, match=f"{n_rows} of {n_rows} rows .* at least 10"):
        build_frame(rows().head(n_rows).lazy(), document())


def test_what_is_odd_and_no_reason_to_stop_is_told() -> None:
    dataset = rows().with_columns(pl.lit(999_999_999).alias("hours"))
    facts = build_frame(dataset.lazy(), document()).facts
    assert facts.warnings == ["feature hours has the same value in all training rows"]


def test_a_group_stands_on_one_side() -> None:
    spec = document(split={"method": "grouped", "group": "listener"})
    frame = build_frame(rows().lazy(), spec).frame
    sides = frame.group_by(ID_PREFIX + "listener").agg(pl.col(VALIDATES).n_unique())
    assert sides[VALIDATES].to_list() == [1] * sides.height


def test_without_id_columns_a_row_is_known_by_its_features_and_target() -> None:
    dataset = rows()
    built = build_frame(dataset.lazy(), document(split={"method": "stratified"}))
    assert built.facts.split.id_columns == ["hours", "age", "genre", "alone", "effect"]
    again = build_frame(dataset.reverse().lazy(), document(split={"method": "stratified"}))
    assert again.frame[VALIDATES].to_list() == built.frame[VALIDATES].reverse().to_list()

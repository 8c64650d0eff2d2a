import polars as pl
import pytest

from mlops_assets.errors import FeatureError
from mlops_assets.modeling.dataset_rows import ROW_ID, read_rows
from mlops_assets.spec import ModelSpec
from mlops_assets_tests.modeling.toy import document, rows

HERE = "mlops_assets_tests.modeling.test_dataset_rows"


def add_length(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.with_columns(name_length=pl.col("session").str.len_chars()).reverse()


def drop_rows(frame: pl.LazyFrame) -> pl.LazyFrame:
    return add_length(frame).head(5)


def repeat_rows(frame: pl.LazyFrame) -> pl.LazyFrame:
    made = add_length(frame)
    return pl.concat([made, made.head(1)])


def drop_columns(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.select(pl.lit(1).alias("name_length"))


def fail(frame: pl.LazyFrame) -> pl.LazyFrame:
    raise ZeroDivisionError("division by zero")


def fail_late(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.with_columns(name_length=pl.col("session").cast(pl.Int64))


def collect(frame: pl.LazyFrame) -> pl.DataFrame:
    return frame.collect()


def with_function(name: str) -> ModelSpec:
    return document(features={"numeric": ["name_length"], "function": f"{HERE}:{name}"})


def test_rows_come_in_order_with_their_position() -> None:
    read = read_rows(rows(20).lazy(), document())
    assert read[ROW_ID].to_list() == list(range(20))
    assert set(read.columns) == {ROW_ID, "session", "hours", "age", "genre", "alone", "effect"}


def test_a_feature_function_adds_columns() -> None:
    read = read_rows(rows(12).lazy(), with_function("add_length"))
    assert read["name_length"].to_list() == [2] * 10 + [3] * 2  # s0 to s9, s10, s11


@pytest.mark.parametrize(
    ("name", "told"),
    [
        pytest.param("drop_rows", "made 5 rows of 12; it must keep each row once", id="fewer"),
        pytest.param("repeat_rows", "made 13 rows of 12", id="more"),
        pytest.param("drop_columns", f"dropped the column {ROW_ID}", id="lost_columns"),
        pytest.param("fail", "failed: ZeroDivisionError: division by zero", id="raises"),
        pytest.param("fail_late", "cannot be computed: conversion", id="raises_when_collected"),
        pytest.param("collect", "returned DataFrame, allowed: a polars LazyFrame", id="eager"),
        pytest.param("absent", "has no absent", id="absent"),
        pytest.param("HERE", "is no function", id="no_function"),
    ],
)
def test_a_feature_function_that_breaks_the_rules_is_named(name: str, told: str) -> None:
    with pytest.raises(FeatureError, match=rf"features\.function.*{told}"):
        read_rows(rows(12).lazy(), with_function(name))


def test_missing_columns_are_all_named_with_what_is_near() -> None:
    spec = document(features={"numeric": ["hour", "bpm"]})
    with pytest.raises(FeatureError, match=r"no column hour \(is it hours\?\), bpm; it has sess"):
        read_rows(rows(12).lazy(), spec)


def test_names_of_the_platform_are_refused() -> None:
    frame = rows(12).with_columns(__target=1).lazy()
    with pytest.raises(FeatureError, match="__target: names with __"):
        read_rows(frame, document(features={"numeric": ["__target"]}))

from datetime import UTC, date, datetime

import polars as pl
import pytest

from mlops_assets.errors import FeatureError
from mlops_assets.modeling import columns

ROWS = pl.Series(range(10, 20))


def rows_of(values: pl.Series) -> pl.Series:
    return ROWS.head(values.len())


@pytest.mark.parametrize(
    ("given", "numbers"),
    [
        pytest.param([1, None], [1.0, None], id="integers"),
        pytest.param([999_999_999.0, float("nan")], [999_999_999.0, None], id="outliers_pass"),
        pytest.param(["1.5", "", " "], [1.5, None, None], id="text_that_spells_numbers"),
        pytest.param([True, False], [1.0, 0.0], id="booleans"),
        pytest.param([3.4e38], [3.4e38], id="largest"),
    ],
)
def test_numbers_are_read(given: list[object], numbers: list[float | None]) -> None:
    values = pl.Series("x", given)
    assert columns.as_number(values, rows_of(values)).to_list() == numbers


@pytest.mark.parametrize(
    ("given", "told"),
    [
        pytest.param(["1", "many"], "column x, row 12: found 'many', allowed: numbers", id="text"),
        pytest.param([1.0, float("inf")], "row 12: found inf", id="infinity"),
        pytest.param([3.5e38], "row 11: found 3.5e", id="beyond_32_bits"),
        pytest.param(["a", "b", "c"], r"row 11: found 'a' \(and 2 more rows\)", id="several"),
        pytest.param([datetime(2020, 1, 1, tzinfo=UTC)], "go under features.datetime", id="time"),
    ],
)
def test_what_is_no_number_is_named(given: list[object], told: str) -> None:
    values = pl.Series("x", given)
    with pytest.raises(FeatureError, match=told):
        columns.as_number(values, rows_of(values))


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        pytest.param(["a", "", None], ["a", None, None], id="empty_text_is_missing"),
        pytest.param([1, 2], ["1", "2"], id="integers"),
        pytest.param([1.0, None], ["1", None], id="whole_floats_read_as_integers"),
        pytest.param([1.5, 2.0, -0.0], ["1.5", "2", "0"], id="whole_ones_among_others_too"),
        pytest.param([1e20], ["1e+20"], id="beyond_integers"),
        pytest.param([True], ["true"], id="booleans"),
    ],
)
def test_categories_are_text(given: list[object], texts: list[str | None]) -> None:
    assert columns.as_category(pl.Series("x", given)).to_list() == texts


def test_a_time_is_no_category() -> None:
    with pytest.raises(FeatureError, match="column x holds Date"):
        columns.as_category(pl.Series("x", [date(2020, 1, 1)]))


@pytest.mark.parametrize(
    ("given", "booleans"),
    [
        pytest.param([True, None], [True, None], id="booleans"),
        pytest.param(["Yes", "no", ""], [True, False, None], id="words"),
        pytest.param([1, 0], [True, False], id="integers"),
        pytest.param([1.0, None], [True, None], id="floats"),
    ],
)
def test_booleans_are_read(given: list[object], booleans: list[bool | None]) -> None:
    values = pl.Series("x", given)
    assert columns.as_boolean(values, rows_of(values)).to_list() == booleans


def test_what_is_neither_yes_nor_no_is_named() -> None:
    with pytest.raises(FeatureError, match="row 12: found 'maybe', allowed: true and false"):
        columns.as_boolean(pl.Series("x", ["yes", "maybe"]), ROWS.head(2))


@pytest.mark.parametrize(
    ("given", "text_format"),
    [
        pytest.param(["2022-08-27 19:29:02"], None, id="iso"),
        pytest.param(["8/27/2022 19:29:02"], "%m/%d/%Y %H:%M:%S", id="declared_format"),
        pytest.param([datetime(2022, 8, 27, 19, 29, 2, tzinfo=UTC)], None, id="datetime"),
    ],
)
def test_datetimes_are_read(given: list[object], text_format: str | None) -> None:
    values = pl.Series("x", given)
    found = columns.as_datetime(values, rows_of(values), text_format)
    assert columns.as_utc(found)[0] == datetime(2022, 8, 27, 19, 29, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    "given", [["2022-08-27 10:00:00", "soon"], ["soon", "later"]], ids=["some", "all"]
)
def test_text_that_is_no_time_is_named(given: list[str]) -> None:
    with pytest.raises(FeatureError, match="found 'soon'"):
        columns.as_datetime(pl.Series("x", given), ROWS.head(2))


@pytest.mark.parametrize(
    ("part", "number"),
    [("year", 2022), ("month", 8), ("day", 27), ("weekday", 6), ("hour", 19), ("minute", 29)],
)
def test_parts_of_a_datetime_are_numbers(part: str, number: float) -> None:
    times = pl.Series("x", [datetime(2022, 8, 27, 19, 29, 2, tzinfo=UTC), None])  # a Saturday
    found = columns.datetime_part(times, part)  # type: ignore[arg-type]
    assert found.name == f"x_{part}"
    assert found.to_list() == [number, None]

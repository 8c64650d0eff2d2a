from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.data.casting import LARGEST_WHOLE, cast_values, is_not_finite
from mlops_assets.data.column_types import POLARS_TYPES
from mlops_assets.spec.data import ColumnType

MORNING = datetime(2013, 1, 1, 5, tzinfo=UTC)
DAY = datetime(2013, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("to", "value", "expected"),
    [
        pytest.param("integer", " 3 ", 3, id="blanks_around_an_integer"),
        pytest.param("integer", "3.0", 3, id="an_integer_with_a_point"),
        pytest.param("integer", "1e3", 1000, id="an_integer_with_an_exponent"),
        pytest.param("integer", "2.5", None, id="a_fraction_is_no_integer"),
        pytest.param("integer", "inf", None, id="infinity_is_no_integer"),
        pytest.param("integer", str(2**63 - 1), 2**63 - 1, id="the_largest_64_bit_integer"),
        pytest.param("integer", str(2**63), None, id="an_integer_too_large"),
        pytest.param("integer", float(LARGEST_WHOLE), LARGEST_WHOLE, id="the_largest_exact_float"),
        pytest.param("integer", float(LARGEST_WHOLE) * 2, None, id="a_float_that_is_not_exact"),
        pytest.param("integer", f"{2**53 + 1}.0", None, id="a_text_that_a_float_would_round"),
        pytest.param("integer", DAY, None, id="a_time_is_no_integer"),
        pytest.param("integer", True, 1, id="a_boolean_as_an_integer"),
        pytest.param("number", "1,5", None, id="a_decimal_comma_is_no_number"),
        pytest.param("number", ".5", 0.5, id="a_number_without_leading_zero"),
        pytest.param("number", "1e999", None, id="a_number_that_overflows"),
        pytest.param("number", float("nan"), None, id="nan_is_no_number"),
        pytest.param("number", Decimal("1.50"), 1.5, id="a_decimal_as_a_number"),
        pytest.param("boolean", "YES", True, id="yes_in_any_case"),
        pytest.param("boolean", "f", False, id="f_is_false"),
        pytest.param("boolean", "2", None, id="two_is_no_boolean"),
        pytest.param("boolean", 0.5, None, id="a_half_is_no_boolean"),
        pytest.param("boolean", 1, True, id="one_is_true"),
        pytest.param("datetime", "2013-01-01T05:00:00Z", MORNING, id="a_datetime_with_z"),
        pytest.param("datetime", "2013-01-01 07:00:00+02:00", MORNING, id="another_zone"),
        pytest.param("datetime", "2013-01-01 05:00", MORNING, id="no_seconds_and_no_zone"),
        pytest.param("datetime", "2013-01-01", DAY, id="a_day_begins_at_midnight"),
        pytest.param("datetime", "2013-02-30", None, id="a_day_that_does_not_exist"),
        pytest.param("datetime", 1_356_998_400, None, id="seconds_are_no_datetime"),
        pytest.param("date", "2013-01-01", date(2013, 1, 1), id="a_date"),
        pytest.param("date", "2013-01-01 00:00", date(2013, 1, 1), id="midnight_is_a_date"),
        pytest.param("date", MORNING, None, id="five_in_the_morning_is_no_date"),
        pytest.param("string", 2, "2", id="a_number_has_a_text"),
        pytest.param("string", "1e3", "1e3", id="text_stays_as_it_is"),
        pytest.param("string", MORNING, "2013-01-01T05:00:00Z", id="a_time_has_a_text"),
    ],
)
def test_what_a_value_is_read_as(to: ColumnType, value: Any, expected: Any) -> None:
    read = cast_values(pl.Series("x", [value, None]), to, datetime_format=None)
    assert read.to_list() == [expected, None]
    assert read.dtype == POLARS_TYPES[to]


def test_a_format_reads_dates_that_iso_does_not() -> None:
    text = pl.Series(["8/27/2022 19:29:02", "2022-08-27 19:29:02"])
    read = cast_values(text, "datetime", datetime_format="%m/%d/%Y %H:%M:%S")
    assert read.to_list() == [datetime(2022, 8, 27, 19, 29, 2, tzinfo=UTC), None]


def test_a_format_that_means_nothing_reads_nothing() -> None:
    assert cast_values(pl.Series(["x"]), "date", datetime_format="%Q").to_list() == [None]


@pytest.mark.parametrize("to", POLARS_TYPES)
def test_a_column_without_values_has_the_type_of_its_contract(to: ColumnType) -> None:
    for dtype in (pl.Null(), pl.String(), pl.Float64(), pl.Categorical()):
        read = cast_values(pl.Series("x", [None, None], dtype), to, datetime_format=None)
        assert (read.dtype, read.null_count()) == (POLARS_TYPES[to], 2)


WORDS = ["1", "2.5", "x", "", "2013-01-01", "2013-01-01 05:00:00+02:00", "yes", "nan", "1e3", None]


@settings(deadline=None, max_examples=40)
@given(
    texts=st.lists(st.sampled_from(WORDS), min_size=1, max_size=12),
    to=st.sampled_from(list(POLARS_TYPES)),
)
def test_a_value_is_read_alike_in_any_company(texts: list[str | None], to: ColumnType) -> None:
    together = cast_values(pl.Series(texts, dtype=pl.String), to, datetime_format=None)
    alone = [
        cast_values(pl.Series([text], dtype=pl.String), to, datetime_format=None).item()
        for text in texts
    ]
    assert together.to_list() == alone


def test_only_nan_and_infinity_are_not_finite() -> None:
    texts = pl.DataFrame({"x": ["nan", "-inf", "1e999", "1", "x", None]})
    assert texts.select(is_not_finite("x")).to_series().to_list() == [True] * 3 + [False] * 3

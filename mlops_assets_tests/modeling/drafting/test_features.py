from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from mlops_assets.modeling.drafting.features import (
    choose_features,
    choose_id,
    choose_time,
    is_id,
)
from mlops_assets.modeling.drafting.profile import ColumnProfile, profile_columns

N = 200
START = datetime(2022, 1, 1)  # noqa: DTZ001
HOURS = [START + timedelta(hours=7 * i) for i in range(N)]
MIXED = [HOURS[(i * 61) % N] for i in range(N)]


def profiles(**columns: list[Any]) -> list[ColumnProfile]:
    return profile_columns(pl.LazyFrame(columns, strict=False))


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        pytest.param("x", [f"k{i}" for i in range(N)], True, id="unique_text"),
        pytest.param("x", list(range(5, N + 5)), True, id="integers_that_count_up"),
        pytest.param("x", [i * 3 for i in range(N)], False, id="unique_integers_that_measure"),
        pytest.param("order_id", [i * 3 for i in range(N)], True, id="integers_named_as_an_id"),
        pytest.param("customerId", [i % 60 for i in range(N)], True, id="repeated_and_named"),
        pytest.param("paid", [i % 60 for i in range(N)], False, id="a_name_that_ends_in_id_only"),
        pytest.param("country_code", ["a", "b"] * (N // 2), False, id="few_values_name_a_kind"),
        pytest.param("id", [i / 7 for i in range(N)], False, id="fractions"),
    ],
)
def test_ids(name: str, values: list[Any], expected: bool) -> None:
    [profile] = profiles(**{name: values})
    assert is_id(profile) is expected


def test_a_column_that_names_each_row_comes_before_one_that_repeats() -> None:
    found = profiles(user_id=[i % 60 for i in range(N)], row=[f"k{i}" for i in range(N)])
    chosen = choose_id(found, "y")
    assert chosen is not None
    assert chosen.name == "row"
    repeated = choose_id(found[:1], "y")
    assert repeated is not None
    assert repeated.name == "user_id"


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        pytest.param({"x": HOURS}, "x", id="rows_in_its_order"),
        pytest.param({"x": MIXED}, None, id="neither_ordered_nor_named"),
        pytest.param({"created_at": MIXED}, "created_at", id="named"),
        pytest.param({"created_at": MIXED, "x": HOURS}, "x", id="order_outranks_the_name"),
        pytest.param({"birth_date": HOURS}, None, id="a_date_of_birth"),
        pytest.param({"time": [None, *HOURS[1:]]}, None, id="sometimes_missing"),
        pytest.param({"time": HOURS[:9] * 20}, None, id="nine_different_times"),
    ],
)
def test_time_column(columns: dict[str, list[Any]], expected: str | None) -> None:
    chosen = choose_time(profiles(**columns), "y")
    assert (chosen.name if chosen else None) == expected


def test_parts_of_dates_are_those_that_say_something_of_rows_to_come() -> None:
    two_years = [START + timedelta(days=4 * i) for i in range(N)]
    found = profiles(time=HOURS, due=two_years, opened=HOURS)
    features = choose_features(found, target="y", excluded={}, time="time")
    assert features.datetime == {
        "time": ["weekday", "hour"],
        "due": ["month", "weekday"],
        "opened": ["weekday", "hour"],  # 58 days: not every month was seen
    }


def test_a_column_with_many_rare_names_is_left_out_and_one_with_many_rows_each_is_not() -> None:
    cities = [f"c{i}" for i in range(60)]
    rare = choose_features(
        profiles(city=(cities * 4)[:N], x=[1, 2] * (N // 2)), target="y", excluded={}, time=None
    )
    assert rare.left_out == {"city": "60 different values in 200 rows"}
    frequent = choose_features(profiles(city=cities * 20), target="y", excluded={}, time=None)
    assert frequent.categorical == ["city"]

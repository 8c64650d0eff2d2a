from typing import Any

import polars as pl
import pytest

from mlops_assets.modeling.drafting.contract import draft_contract
from mlops_assets.modeling.drafting.profile import profile_columns
from mlops_assets.spec import ColumnContract


def fields(values: list[Any]) -> dict[str, Any]:
    [profile] = profile_columns(pl.LazyFrame({"x": values}, strict=False))
    drafted = dict(draft_contract(profile).fields)
    ColumnContract.model_validate(drafted)  # whatever is drafted is valid
    return drafted


@pytest.mark.parametrize(
    ("values", "minimum", "maximum"),
    [
        pytest.param(list(range(18, 90)), 0, 160, id="never_below_zero_when_nothing_was"),
        pytest.param(list(range(1956, 2014)), 1890, 2070, id="years"),
        pytest.param(list(range(-10, 11)), -30, 30, id="around_zero"),
        pytest.param([0.1 * i for i in range(11)], 0, 2, id="fractions"),
        pytest.param([*range(100), 10**9], 0, 200, id="without_what_is_far_out"),
        pytest.param(
            list(range(1_380_003_000, 1_380_003_300)),
            1_380_002_700,
            1_380_003_600,
            id="seconds_of_a_few_minutes",
        ),
    ],
)
def test_a_range_reaches_as_far_again_as_what_was_seen(
    values: list[Any], minimum: float, maximum: float
) -> None:
    drafted = fields(values)
    assert (drafted["minimum"], drafted["maximum"]) == (minimum, maximum)


def test_a_long_tail_is_not_far_out() -> None:
    """3 % of the rows are no mistake of a few."""
    drafted = fields([*range(100), *[10**9] * 3])
    assert drafted["maximum"] > 10**9


def test_one_number_gives_no_range() -> None:
    assert fields([3, 3, 3]) == {"type": "integer"}


def test_categories_are_listed_when_each_was_seen_often() -> None:
    assert fields(["b", "a"] * 10)["categories"] == ["a", "b"]
    assert "categories" not in fields([f"v{i % 8}" for i in range(39)])  # 39 rows, 8 values
    assert "categories" not in fields([f"v{i % 21}" for i in range(500)])


def test_infinite_numbers_are_told_and_counted_as_broken() -> None:
    [profile] = profile_columns(pl.LazyFrame({"x": [1.0, 2.0, float("inf"), float("nan")]}))
    drafted = draft_contract(profile)
    assert drafted.n_violating == 1
    assert drafted.fields["nullable"] is True  # not-a-number is a missing value
    assert "1 infinite" in drafted.why


def test_formats_of_dates_are_found_and_swapped_days_and_months_are_told() -> None:
    [clear, swapped] = profile_columns(
        pl.LazyFrame({"a": ["31.12.2020", "01.02.2021"], "b": ["01/02/2020", "03/04/2020"]})
    )
    assert draft_contract(clear).fields == {"type": "date", "datetime_format": "%d.%m.%Y"}
    assert draft_contract(swapped).fields["datetime_format"] == "%m/%d/%Y"
    assert "day and month could be swapped" in draft_contract(swapped).why

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from mlops_assets.monitoring.layout import Kind, WatchedColumn
from mlops_assets.monitoring.values import read_values

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def read(values: Any, kind: Kind, **other: Any) -> tuple[list[Any], str | None]:
    frame = pl.DataFrame({"x": values, **other})
    found = read_values(frame, WatchedColumn("x", kind), "at" if "at" in other else None)
    return found.values.to_list(), found.problem


@pytest.mark.parametrize(
    ("kind", "values", "wanted"),
    [
        pytest.param("number", [1, None], [1.0, None], id="whole_numbers"),
        pytest.param(
            "number", [1.5, float("nan"), float("inf")], [1.5, None, None], id="not_finite"
        ),
        pytest.param("number", [True, False], [1.0, 0.0], id="flags_as_numbers"),
        pytest.param("number", [None, None], [None, None], id="nothing_but_missing"),
        pytest.param("category", ["a", None], ["a", None], id="text"),
        pytest.param("category", [3, None], ["3", None], id="whole_numbers_as_categories"),
        pytest.param("category", [3.0, None, 2.5], ["3", None, "2.5"], id="the_same_as_fractions"),
        pytest.param("category", [True, False], ["true", "false"], id="flags_as_categories"),
        pytest.param("boolean", [True, None], ["true", None], id="flags"),
        pytest.param("boolean", [1, 0], ["true", "false"], id="ones_and_zeros"),
        pytest.param("boolean", ["Yes", "no"], ["true", "false"], id="words"),
        pytest.param("datetime", [NOON, None], [NOON.timestamp(), None], id="moments"),
        pytest.param("datetime", [date(1970, 1, 2)], [86_400.0], id="days"),
        pytest.param("datetime", ["1970-01-01T00:01:00Z"], [60.0], id="moments_as_text"),
    ],
)
def test_values_of_both_sides_are_read_alike(kind: Kind, values: Any, wanted: Any) -> None:
    assert read(values, kind) == (wanted, None)


def test_a_moment_is_compared_by_its_age() -> None:
    assert read([datetime(2026, 1, 1, 12, tzinfo=UTC)], "datetime", at=[NOON])[0] == [86_400.0]


def test_the_time_column_is_compared_by_the_time_of_day() -> None:
    frame = pl.DataFrame({"at": [NOON]})
    found = read_values(frame, WatchedColumn("at", "datetime"), "at")
    assert found.values.to_list() == [43_200.0]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("number", ["1.5", "many"]),
        ("number", [NOON]),
        ("number", [[1.0]]),
        ("boolean", ["true", "perhaps"]),
        ("datetime", ["2026-01-01", "yesterday"]),
    ],
)
def test_a_changed_type_is_told(kind: Kind, values: Any) -> None:
    _, problem = read(values, kind)
    assert problem is not None
    assert problem.startswith("the type changed")


def test_moments_that_can_be_read_beside_others_keep_their_unit() -> None:
    values, problem = read(["1970-01-01T00:01:00Z", "yesterday"], "datetime")
    assert (values, problem is None) == ([60.0, None], False)


@pytest.mark.parametrize("kind", ["number", "category", "boolean", "datetime"])
def test_a_missing_column_is_told(kind: Kind) -> None:
    found = read_values(pl.DataFrame({"y": [1, 2]}), WatchedColumn("x", kind), None)
    assert (found.values.null_count(), found.problem) == (2, "the column is missing")

from typing import Any

import polars as pl
import pytest

from mlops_assets.errors import SourceError
from mlops_assets.modeling.drafting.profile import profile_columns
from mlops_assets.modeling.drafting.target import DraftedTarget, draft_target


def draft(values: list[Any]) -> DraftedTarget:
    [profile] = profile_columns(pl.LazyFrame({"y": values}, strict=False))
    return draft_target(profile)


@pytest.mark.parametrize(
    ("values", "task", "positive"),
    [
        pytest.param([True] * 10 + [False] * 20, "binary", True, id="booleans"),
        pytest.param(["Yes"] * 20 + ["No"] * 10, "binary", "Yes", id="yes_even_if_frequent"),
        pytest.param(["no"] * 20 + ["hit"] * 10, "binary", "hit", id="what_is_not_no"),
        pytest.param(["b"] * 10 + ["a"] * 20, "binary", "b", id="the_rarer_of_two_names"),
        pytest.param([0, 1] * 10, "binary", 1, id="zero_and_one"),
        pytest.param([0.0, 1.0] * 10, "binary", 1, id="zero_and_one_as_fractions"),
        pytest.param([0.5, 1.5] * 10, "regression", None, id="two_fractions"),
        pytest.param(["a", "b", "c"] * 10, "multiclass", None, id="three_names"),
        pytest.param(list(range(10)) * 10, "multiclass", None, id="ten_integers"),
        pytest.param(list(range(11)) * 10, "regression", None, id="eleven_integers"),
        pytest.param([i / 7 for i in range(30)], "regression", None, id="fractions"),
        pytest.param(["a"] * 10 + [None] * 9 + ["b"] * 10, "binary", "b", id="missing_ones"),
    ],
)
def test_task_of_a_target(values: list[Any], task: str, positive: object) -> None:
    drafted = draft(values)
    assert drafted.spec.task == task
    assert drafted.spec.positive == positive
    assert drafted.why


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([None] * 5, "no value in any of 5 rows"),
        (["a"] * 50, "one value only, 'a', in all 50 rows"),
        ([True] * 30 + [False] * 9, "False in 9 of 39 rows, at least 10"),
        (["a"] * 30 + ["b"] * 30 + ["c"] * 9, "'c' in 9 of 69 rows"),
        ([f"name {i}" for i in range(21)], "text with 21 different values"),
        ([[1], [2]], "lists, records or bytes"),
        ([str(i) for i in range(40)] + ["huge"], "98% are numbers; others are not: 'huge'"),
    ],
)
def test_a_target_that_is_no_answer_is_refused(values: list[Any], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        draft(values)


def test_a_few_rows_of_rare_classes_are_set_aside() -> None:
    drafted = draft(["a"] * 100 + ["b"] * 100 + ["c"] * 9)
    assert drafted.spec.task == "multiclass"
    assert drafted.rare == (("c", 9),)

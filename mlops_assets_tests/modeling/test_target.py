from typing import Any

import polars as pl
import pytest

from mlops_assets.errors import FeatureError
from mlops_assets.modeling.target import encode_target, has_target
from mlops_assets.spec import TargetSpec


def encode(given: list[Any], **spec: Any) -> tuple[list[Any], Any, Any]:
    values = pl.Series("y", given)
    found = encode_target(values, TargetSpec(column="y", **spec), pl.Series(range(len(given))))
    return found.values.to_list(), found.classes, found.positive


@pytest.mark.parametrize(
    ("given", "known"),
    [
        pytest.param(["a", "", None], [True, False, False], id="text"),
        pytest.param([1.0, float("nan"), None], [True, False, False], id="floats"),
        pytest.param([0, None], [True, False], id="integers"),
    ],
)
def test_missing_answers_are_found(given: list[Any], known: list[bool]) -> None:
    assert has_target(pl.Series(given)).to_list() == known


@pytest.mark.parametrize(
    ("given", "positive", "encoded", "means"),
    [
        pytest.param(["no", "yes"], None, [0, 1], "yes", id="larger_text"),
        pytest.param([True, False], None, [1, 0], True, id="true"),
        pytest.param([-1, 1], None, [0, 1], 1, id="larger_number"),
        pytest.param([1.0, 2.0], None, [0, 1], 2, id="whole_floats_are_integers"),
        pytest.param(["a", "b", "c"], "b", [0, 1, 0], "b", id="declared_against_the_rest"),
    ],
)
def test_a_binary_target_is_0_and_1(
    given: list[Any], positive: Any, encoded: list[int], means: Any
) -> None:
    assert encode(given, task="binary", positive=positive) == (encoded, [0, 1], means)


def test_classes_are_sorted() -> None:
    assert encode(["b", "c", "a"], task="multiclass")[1] == ["a", "b", "c"]


def test_numbers_stay_numbers() -> None:
    assert encode([1, 2], task="regression") == ([1.0, 2.0], None, None)


@pytest.mark.parametrize(
    ("given", "spec", "told"),
    [
        pytest.param(["a", "a"], {"task": "binary"}, "one class only, 'a', in all 2", id="one"),
        pytest.param(["a", "b", "c"], {"task": "binary"}, "3 values .* declare", id="three"),
        pytest.param(
            ["a", "b"], {"task": "binary", "positive": "x"}, "'x' does not occur", id="absent"
        ),
        pytest.param(
            [0, 1], {"task": "binary", "positive": True}, "True does not occur", id="other_type"
        ),
        pytest.param(
            [1.0, 0.5], {"task": "multiclass"}, "such as 0.5, .*use task regression", id="fractions"
        ),
        pytest.param(list(range(300)), {"task": "multiclass"}, "300 classes", id="too_many"),
        pytest.param([2, 2], {"task": "regression"}, "is 2.0 in all 2", id="constant"),
        pytest.param(["a", "b"], {"task": "regression"}, "row 1: found 'a'", id="text_to_regress"),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(
    given: list[Any], spec: dict[str, Any], told: str
) -> None:
    with pytest.raises(FeatureError, match=told):
        encode(given, **spec)

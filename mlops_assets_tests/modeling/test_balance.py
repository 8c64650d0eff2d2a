import polars as pl
import pytest

from mlops_assets.errors import FeatureError
from mlops_assets.modeling.balance import check_classes, class_counts, require_both_sides
from mlops_assets.modeling.split import SplitRule

STRATIFIED = SplitRule(method="stratified", ratio=0.2, salt="0", id_columns=["id"])
BY_TIME = SplitRule(method="time", ratio=0.2, salt="0")


def counts(training: dict[str, int], validation: dict[str, int]) -> dict[str, dict[str, int]]:
    return {"training": training, "validation": validation}


def test_classes_are_counted_on_both_sides() -> None:
    target = pl.Series(["a", "b", "a", "a"])
    validates = pl.Series([False, False, True, False])
    assert class_counts(target, validates) == counts({"a": 2, "b": 1}, {"a": 1, "b": 0})


@pytest.mark.parametrize("validates", [[True] * 3, [False] * 3], ids=["no_training", "no_judging"])
def test_an_empty_side_is_refused(validates: list[bool]) -> None:
    with pytest.raises(FeatureError, match="both need some"):
        require_both_sides(pl.Series(validates), STRATIFIED)


@pytest.mark.parametrize("rule", [STRATIFIED, BY_TIME], ids=["stratified", "time"])
def test_one_class_in_training_is_refused(rule: SplitRule) -> None:
    with pytest.raises(FeatureError, match=r"one class only, 'a' \(80 rows\)"):
        check_classes(counts({"a": 80, "b": 0}, {"a": 15, "b": 5}), rule)


def test_a_stratified_side_needs_each_class() -> None:
    with pytest.raises(FeatureError, match="class 'c' has 1 rows in training and 0 in validation"):
        check_classes(counts({"a": 40, "b": 40, "c": 1}, {"a": 10, "b": 10, "c": 0}), STRATIFIED)


def test_a_class_missing_from_the_newest_rows_is_a_warning() -> None:
    told = check_classes(counts({"a": 40, "b": 40}, {"a": 20, "b": 0}), BY_TIME)
    assert told == ["class 'b' has 40 rows in training and 0 in validation"]


@pytest.mark.parametrize(
    ("in_validation", "refused"),
    [
        pytest.param(5_180, False, id="within_two_percent"),  # 0.518 of 10,000, 0.5036 of all
        pytest.param(5_300, True, id="beyond"),
    ],
)
def test_shares_of_a_stratified_split_are_kept(in_validation: int, refused: bool) -> None:
    both = counts({"a": 20_000, "b": 20_000}, {"a": in_validation, "b": 10_000 - in_validation})
    if refused:
        with pytest.raises(FeatureError, match=r"name others in split\.id_columns"):
            check_classes(both, STRATIFIED)
    else:
        assert check_classes(both, STRATIFIED) == []


def test_chance_is_allowed_for_in_small_splits() -> None:
    assert check_classes(counts({"a": 56, "b": 24}, {"a": 10, "b": 10}), STRATIFIED) == []

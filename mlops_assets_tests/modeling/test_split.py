import hashlib
from datetime import UTC, datetime, time, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.errors import FeatureError
from mlops_assets.modeling.split import (
    ID_PREFIX,
    TIME,
    SplitRule,
    canonical_text,
    judgeable,
    make_rule,
    sides,
)
from mlops_assets_tests.modeling.toy import LATER, START, document


def by_hash(salt: str = "0", ratio: float = 0.3, columns: tuple[str, ...] = ("id",)) -> SplitRule:
    return SplitRule(method="stratified", ratio=ratio, salt=salt, id_columns=list(columns))


def by_time(cut_at: datetime, column: str = "at") -> SplitRule:
    return SplitRule(method="time", ratio=0.2, salt="0", time_column=column, cut_at=cut_at)


def hourly(n_rows: int) -> pl.DataFrame:
    return pl.DataFrame({TIME: [START + timedelta(hours=i) for i in range(n_rows)]})


def ids(*values: str | None) -> pl.DataFrame:
    return pl.DataFrame({ID_PREFIX + "id": values}, schema={ID_PREFIX + "id": pl.String})


def timed_document(**split: object) -> object:
    return document(time_column="at", split={"method": "time", **split})


def test_a_side_is_decided_by_sha256_of_salt_and_id() -> None:
    frame = ids(*(f"row {i}" for i in range(200)))
    expected = []
    for value in frame[ID_PREFIX + "id"]:
        digest = hashlib.sha256(f"1:0;{len(value)}:{value}".encode()).digest()
        expected.append(int.from_bytes(digest[:8], "big") / 2**64 < 0.3)
    assert sides(by_hash(), frame).to_list() == expected


def test_a_row_keeps_its_side_whatever_stands_beside_it() -> None:
    many = ids(*(f"row {i}" for i in range(500)))
    some = many[100:200].reverse()
    assert sides(by_hash(), some).to_list() == sides(by_hash(), many)[100:200].reverse().to_list()


def test_ids_of_several_columns_do_not_run_into_each_other() -> None:
    frame = pl.DataFrame({"__id_a": ["1", "11", None], "__id_b": ["11", "1", "-"]})
    halves = [sides(by_hash(salt=str(i), ratio=0.5, columns=("a", "b")), frame) for i in range(60)]
    assert any(half[0] != half[1] for half in halves)


def test_another_salt_makes_another_split() -> None:
    frame = ids(*(str(i) for i in range(300)))
    assert sides(by_hash("0"), frame).to_list() != sides(by_hash("1"), frame).to_list()


def test_the_share_that_validates_is_the_declared_ratio() -> None:
    share = sides(by_hash(ratio=0.2), ids(*(str(i) for i in range(20_000)))).mean()
    assert share == pytest.approx(0.2, abs=0.012)  # four standard errors


@pytest.mark.parametrize(
    ("values", "text"),
    [
        pytest.param(pl.Series([5, None]), ["5", None], id="integers"),
        pytest.param(pl.Series([5.0, None, float("nan")]), ["5", None, None], id="whole_floats"),
        pytest.param(pl.Series([0.1]), ["f4591870180066957722"], id="bits_of_other_floats"),
        pytest.param(pl.Series([-0.0, 0.0]), ["0", "0"], id="one_zero"),
        pytest.param(pl.Series([True, None]), ["true", None], id="booleans"),
        pytest.param(
            pl.Series([datetime(1970, 1, 2, tzinfo=UTC)]),
            ["86400000000"],
            id="times_in_microseconds",
        ),
        pytest.param(pl.Series(["x", ""]), ["x", ""], id="text_as_it_is"),
    ],
)
def test_values_have_one_text_however_they_are_typed(
    values: pl.Series, text: list[str | None]
) -> None:
    assert canonical_text(values).to_list() == text


@pytest.mark.parametrize("value", [[1], b"a", time(12, 30), timedelta(days=1)], ids=type)
def test_nested_values_and_times_without_a_day_identify_nothing(value: object) -> None:
    with pytest.raises(FeatureError, match=r"column tags of type .* cannot identify a row"):
        canonical_text(pl.Series("tags", [value]))


@pytest.mark.parametrize(
    ("split", "first_that_validates"),
    [
        pytest.param({"validation_ratio": 0.2}, 80, id="ratio"),
        pytest.param({"validation_ratio": 0.999}, 1, id="ratio_leaves_a_row_to_train_on"),
        pytest.param({"validation_ratio": 0.001}, 99, id="ratio_leaves_a_row_to_judge_on"),
        pytest.param({"validation_window": "1d"}, 76, id="window_holds_24_hours"),
    ],
)
def test_the_newest_rows_validate(split: dict[str, object], first_that_validates: int) -> None:
    frame = hourly(100)
    rule = make_rule(timed_document(**split), frame)  # type: ignore[arg-type]
    assert rule.cut_at == frame[TIME][first_that_validates]
    assert sides(rule, frame).arg_true()[0] == first_that_validates


def test_rows_of_the_same_time_stay_together() -> None:
    times = [START] * 90 + [START + timedelta(hours=1)] * 10
    frame = pl.DataFrame({TIME: times})
    rule = make_rule(timed_document(validation_ratio=0.3), frame)  # type: ignore[arg-type]
    assert sides(rule, frame).to_list() == [False] * 90 + [True] * 10


@pytest.mark.parametrize(
    ("times", "split"),
    [
        pytest.param([START] * 20, {}, id="one_time_only"),
        pytest.param(
            hourly(20)[TIME].to_list(), {"validation_window": "1w"}, id="window_holds_all"
        ),
    ],
)
def test_a_cut_that_leaves_nothing_to_train_on_is_refused(
    times: list[datetime], split: dict[str, object]
) -> None:
    with pytest.raises(FeatureError, match="leaves no row of at to train on"):
        make_rule(timed_document(**split), pl.DataFrame({TIME: times}))  # type: ignore[arg-type]


def test_a_rule_survives_as_text() -> None:
    rule = by_time(START)
    assert SplitRule.model_validate_json(rule.model_dump_json()) == rule


def hours(n: float) -> datetime:
    return START + timedelta(hours=n)


@pytest.mark.parametrize(
    ("candidate", "champion", "decided_at", "judges", "told"),
    [
        pytest.param(by_time(hours(6)), None, LATER, [6, 7, 8, 9], "4 rows", id="no_champion"),
        pytest.param(
            by_time(hours(6)), None, hours(8), [6, 7], "2 of them", id="not_the_decisions_own_hour"
        ),
        pytest.param(
            by_time(hours(6)), by_time(hours(8)), LATER, [8, 9], "trained on 2", id="later_champion"
        ),
        pytest.param(
            by_time(hours(8)), by_time(hours(6)), LATER, [8, 9], "2 rows", id="earlier_champion"
        ),
        pytest.param(
            by_time(hours(6)), by_time(hours(99)), LATER, [], "trained on 4", id="none_is_new"
        ),
        pytest.param(
            by_time(hours(6)), by_hash(), LATER, [], "reads id, which", id="id_is_not_there"
        ),
        pytest.param(
            by_time(hours(6)),
            by_time(hours(6), "made_at"),
            LATER,
            [],
            "split by made_at",
            id="other_time_column",
        ),
    ],
)
def test_only_rows_that_are_new_to_both_judge(
    candidate: SplitRule,
    champion: SplitRule | None,
    decided_at: datetime,
    judges: list[int],
    told: str,
) -> None:
    found = judgeable(candidate, champion, hourly(10), decided_at)
    assert found.mask.arg_true().to_list() == judges
    assert told in found.reason


@settings(max_examples=30)
@given(
    first=st.tuples(st.sampled_from("abc"), st.floats(0.1, 0.9)),
    second=st.tuples(st.sampled_from("abc"), st.floats(0.1, 0.9)),
)
def test_no_model_is_judged_on_a_row_that_it_was_trained_on(
    first: tuple[str, float], second: tuple[str, float]
) -> None:
    frame = ids(*(str(i) for i in range(60)))
    rules = [by_hash(salt, ratio) for salt, ratio in (first, second)]
    judged = judgeable(rules[0], rules[1], frame, LATER).mask
    for rule in rules:
        assert not (judged & ~sides(rule, frame)).any()


def test_a_frame_without_the_ids_is_refused() -> None:
    with pytest.raises(FeatureError, match="reads id, which the frame lacks"):
        sides(by_hash(), hourly(3))

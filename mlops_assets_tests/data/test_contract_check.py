from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.data.contract import ContractReport
from mlops_assets.data.contract_check import CheckedBatch, ContractCheck
from mlops_assets.errors import SourceError
from mlops_assets.spec import ContractSpec

NOW = datetime(2013, 2, 1, tzinfo=UTC)


def check(
    rows: pl.DataFrame, contract: dict[str, Any], sizes: list[int] | None = None
) -> tuple[ContractReport, list[CheckedBatch]]:
    spec = ContractSpec.model_validate(contract)
    checked, batches, at = ContractCheck(spec, rows.schema, inferred={}, time_column=None), [], 0
    for size in [*(sizes or []), len(rows)]:
        batch = rows.slice(at, size)
        numbers = pl.int_range(at + 1, at + 1 + len(batch), eager=True)
        batches.append(checked.check(batch, numbers))
        at += size
    return checked.report(due_at=NOW), batches


def found(report: ContractReport) -> dict[str, list[tuple[int, object]]]:
    """Rows and values of the examples, by column and rule."""
    return {
        f"{one.column} {one.rule}": [(example.row, example.value) for example in one.examples]
        for one in report.columns
    }


@pytest.mark.parametrize(
    ("column", "values", "broken"),
    [
        pytest.param(
            {"type": "integer"},
            ["1", "x", "2.5", None],
            {"x type": [(2, "x"), (3, "2.5")], "x nullable": [(4, None)]},
            id="mixed_types",
        ),
        pytest.param(
            {"type": "number", "minimum": 0, "maximum": 10},
            [0.0, 10.0, -0.1, 10.1, 1e9],
            {"x minimum": [(3, -0.1)], "x maximum": [(4, 10.1), (5, 1e9)]},
            id="bounds_are_inclusive",
        ),
        pytest.param(
            {"type": "number", "nullable": True, "maximum": 10},
            [float("nan"), float("inf"), float("-inf"), 1.0, None],
            {"x finite": [(1, "nan"), (2, "inf"), (3, "-inf")]},
            id="nan_and_infinity_break_one_rule_only",
        ),
        pytest.param(
            {"type": "number", "maximum": 300},
            ["90", "999999999", "1e999", "nan"],
            {"x finite": [(3, "1e999"), (4, "nan")], "x maximum": [(2, "999999999")]},
            id="outliers_in_text",
        ),
        pytest.param(
            {"type": "datetime"},
            ["2013-01-01", "2013-02-30", "soon"],
            {"x type": [(2, "2013-02-30"), (3, "soon")]},
            id="dates_that_do_not_parse",
        ),
        pytest.param(
            {"type": "string", "categories": ["a", "b"]},
            ["a", "A", "b", None],
            {"x nullable": [(4, None)], "x categories": [(2, "A")]},
            id="categories",
        ),
        pytest.param(
            {"type": "integer", "categories": [1, 2], "nullable": True},
            ["1", "3", None],
            {"x categories": [(2, "3")]},
            id="categories_that_are_numbers",
        ),
        pytest.param(
            {"type": "string"},
            [None, None],
            {"x nullable": [(1, None), (2, None)]},
            id="a_column_without_any_value",
        ),
        pytest.param(
            {"type": "integer", "unique": True, "nullable": True},
            [7, 8, 7, None, None, 7],
            {"x unique": [(3, 7), (6, 7)]},
            id="duplicates_after_the_first",
        ),
        pytest.param({"type": "boolean"}, [1, 0, 2], {"x type": [(3, 2)]}, id="two_is_no_boolean"),
    ],
)
def test_what_breaks_which_rule(
    column: dict[str, Any], values: list[Any], broken: dict[str, Any]
) -> None:
    rows = pl.DataFrame({"x": values}, strict=False)
    report, _ = check(rows, {"columns": {"x": column}})
    assert found(report) == broken


def test_at_most_five_examples_and_every_row_counted() -> None:
    rows = pl.DataFrame({"x": [-1] * 12})
    report, _ = check(rows, {"columns": {"x": {"type": "integer", "minimum": 0}}}, [5, 5])
    [broken] = report.columns
    assert (broken.count, [example.row for example in broken.examples]) == (12, [1, 2, 3, 4, 5])
    assert (broken.allowed, report.n_violating_rows) == ("at least 0", 12)


def test_a_row_that_breaks_two_rules_counts_once() -> None:
    rows = pl.DataFrame({"x": ["a", None], "y": [1, 2]})
    columns = {"x": {"type": "integer"}, "y": {"type": "integer", "maximum": 0}}
    report, [batch] = check(rows, {"columns": columns})
    assert report.n_violating_rows == 2
    assert batch.reasons.to_list() == [
        "x: integer; y: at most 0",
        "x: no missing values; y: at most 0",
    ]


def test_values_that_break_their_type_are_missing_and_others_stay() -> None:
    rows = pl.DataFrame({"x": ["1", "many", "1000000000"]})
    _, [batch] = check(rows, {"columns": {"x": {"type": "integer", "maximum": 10}}})
    assert batch.rows["x"].to_list() == [1, None, 1_000_000_000]
    assert batch.broken.to_list() == [False, True, True]


def test_a_missing_column_fails_by_name() -> None:
    report, _ = check(
        pl.DataFrame({"y": [1]}),
        {"columns": {"x": {"type": "integer"}}, "unique_together": [["y", "z"]]},
    )
    assert [(one.column, one.rule) for one in report.columns] == [
        ("x", "missing_column"),
        ("z", "missing_column"),
    ]
    assert not report.passed


def test_uniqueness_of_several_columns_together() -> None:
    rows = pl.DataFrame({"a, b": [1, 1, 1, None, None], "c": ["x", "y", "x", "x", "x"]})
    report, _ = check(rows, {"unique_together": [["a, b", "c"]]})
    assert found(report) == {"a, b, c unique_together": [(3, "1, x")]}


DUPLICATES = pl.DataFrame({"id": [1, 1, 2, 2, 2], "x": [99, 5, 5, 5, 5]})
DUPLICATE_CONTRACT = {
    "columns": {
        "id": {"type": "integer", "unique": True},
        "x": {"type": "integer", "maximum": 10},
    }
}


def test_quarantine_keeps_the_first_good_one_of_duplicates() -> None:
    contract = {**DUPLICATE_CONTRACT, "on_violation": "quarantine"}
    _, [batch] = check(DUPLICATES, contract)
    assert batch.rows.filter(~batch.broken).rows() == [(1, 5), (2, 5)]


def test_without_quarantine_every_row_stays_and_every_repetition_counts() -> None:
    _, [batch] = check(DUPLICATES, {**DUPLICATE_CONTRACT, "on_violation": "fail"})
    assert batch.broken.to_list() == [True, True, False, True, True]


def test_rows_of_other_partitions_count_as_first() -> None:
    contract = ContractSpec.model_validate({"columns": {"id": {"type": "integer", "unique": True}}})
    checked = ContractCheck(contract, {"id": pl.Int64()}, inferred={}, time_column=None)
    assert checked.key_columns == ["id"]
    checked.remember(pl.DataFrame({"id": [1, 2]}))
    batch = checked.check(pl.DataFrame({"id": [2, 3]}), pl.Series([1, 2]))
    assert batch.broken.to_list() == [True, False]
    assert checked.report(due_at=NOW).n_rows == 2


def test_the_newest_time_is_utc() -> None:
    rows = pl.DataFrame({"at": ["2013-01-01", "2013-01-31 12:00", "x", None]})
    contract = ContractSpec.model_validate({"columns": {"at": {"type": "datetime"}}})
    checked = ContractCheck(contract, rows.schema, inferred={}, time_column="at")
    checked.check(rows, pl.Series([1, 2, 3, 4]))
    report = checked.report(due_at=NOW)
    assert report.newest_at == datetime(2013, 1, 31, 12, tzinfo=UTC)
    assert report.age_seconds == 12 * 3600


def test_lists_take_no_contract() -> None:
    with pytest.raises(SourceError, match=r"columns \['x'\] hold lists"):
        check(pl.DataFrame({"x": [[1]]}), {"columns": {"x": {"type": "integer"}}})


CONTRACT = {
    "columns": {
        "id": {"type": "integer", "unique": True},
        "x": {"type": "number", "minimum": 0, "maximum": 5, "nullable": True},
    },
    "unique_together": [["x", "y"]],
    "on_violation": "quarantine",
}


@settings(deadline=None, max_examples=12)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["1", "2", "3", "x", None]),
            st.sampled_from(["1", "6", "nan", "-1", None]),
            st.sampled_from(["a", "b"]),
        ),
        max_size=20,
    ),
    sizes=st.lists(st.integers(0, 6), max_size=5),
)
def test_nothing_depends_on_how_rows_are_cut_into_batches(
    rows: list[Any], sizes: list[int]
) -> None:
    frame = pl.DataFrame(rows, schema=dict.fromkeys(("id", "x", "y"), pl.String), orient="row")
    whole, [at_once] = check(frame, CONTRACT)
    in_parts, batches = check(frame, CONTRACT, sizes)
    assert in_parts == whole
    assert pl.concat([batch.rows for batch in batches]).equals(at_once.rows)
    assert pl.concat([batch.broken for batch in batches]).equals(at_once.broken)
    assert pl.concat([batch.reasons for batch in batches]).to_list() == at_once.reasons.to_list()

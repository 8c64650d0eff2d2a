from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlops_assets.data.contract import ColumnViolations, ContractReport, Counted, judge
from mlops_assets.spec import ContractSpec

NOW = datetime(2013, 2, 1, tzinfo=UTC)
COLUMNS = {"age": {"type": "integer", "maximum": 120}}
TOO_OLD = ColumnViolations(
    column="age", rule="maximum", allowed="at most 120", count=1, examples=[]
)


def report(
    n_rows: int, n_violating: int, *, newest_at: datetime | None = None, **contract: Any
) -> ContractReport:
    columns = [TOO_OLD.model_copy(update={"count": n_violating})] if n_violating else []
    spec = ContractSpec.model_validate({"columns": COLUMNS, **contract})
    return judge(spec, Counted(n_rows, n_violating, columns, newest_at), due_at=NOW)


@pytest.mark.parametrize(
    ("n_violating", "passed"),
    [
        pytest.param(0, True, id="no_violation_passes"),
        pytest.param(5, True, id="the_allowed_share_is_inclusive"),
        pytest.param(6, False, id="one_row_more_fails"),
    ],
)
@pytest.mark.parametrize("on_violation", ["fail", "quarantine"])
def test_the_share_of_violating_rows(on_violation: str, n_violating: int, passed: bool) -> None:
    found = report(100, n_violating, allowed_violation_ratio=0.05, on_violation=on_violation)
    assert found.passed is passed
    assert found.violation_ratio == n_violating / 100


def test_the_reason_has_the_numbers() -> None:
    assert report(2_000, 3).reason == (
        "3 of 2,000 rows (0.15 %) break the contract, 0 % allowed: age (at most 120): 3"
    )
    assert report(2_000, 0).reason == "all 2,000 rows satisfy the contract"
    assert report(7, 0, columns={}).reason == "no contract: 7 rows pass unchecked"


@pytest.mark.parametrize(
    ("age", "passed"),
    [
        pytest.param(timedelta(days=7), True, id="exactly_as_old_as_allowed"),
        pytest.param(timedelta(days=7, seconds=1), False, id="a_second_too_old"),
        pytest.param(timedelta(days=-1), True, id="dated_ahead"),
        pytest.param(None, False, id="no_row_has_a_time"),
    ],
)
def test_freshness(age: timedelta | None, passed: bool) -> None:
    newest_at = NOW - age if age is not None else None
    found = report(10, 0, newest_at=newest_at, maximum_age="7d")
    assert found.passed is passed
    assert found.age_seconds == (age.total_seconds() if age is not None else None)
    if not passed:
        assert found.columns[-1].rule == "maximum_age"
        assert "at most 1w allowed" in found.reason


def test_a_missing_column_is_never_allowed() -> None:
    missing = ColumnViolations(
        column="age", rule="missing_column", allowed="present", count=0, examples=[]
    )
    spec = ContractSpec.model_validate({"columns": COLUMNS, "allowed_violation_ratio": 1.0})
    found = judge(spec, Counted(10, 0, [missing], None), due_at=NOW)
    assert not found.passed
    assert "column 'age' is missing from the source" in found.reason


def test_no_rows_are_no_division_by_zero() -> None:
    assert report(0, 0).violation_ratio == 0

"""What checking a dataset against its contract found: the records, and the verdict in words.

Here: `ContractReport` and `judge`, pure, from what was counted to the report. Not here: reading
values as their types (`casting.py`), the rules over one batch of rows (`contract_rules.py`) and
adding up the batches (`contract_check.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mlops_assets.spec import ContractSpec
from mlops_assets.spec.base import write_duration

Rule = Literal[
    "missing_column",
    "type",
    "finite",
    "nullable",
    "minimum",
    "maximum",
    "categories",
    "unique",
    "unique_together",
    "maximum_age",
]

EXAMPLES = 5
"""Example values shown of each broken rule, at most."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ExampleValue(_Record):
    """One value that breaks a rule.

    Attributes:
        row: 1-based row of the source, the header not counted.
        value: The value as the source has it; text where JSON has no such value.
    """

    row: int
    value: str | int | float | bool | None


class ColumnViolations(_Record):
    """How often a column breaks one rule of its contract.

    Attributes:
        column: The column; for `unique_together` the columns with commas between.
        rule: The rule that is broken. `missing_column` and `maximum_age` concern the dataset as a
            whole and are never allowed.
        allowed: What the contract allows, in words.
        count: Rows that break the rule; 0 for a rule about the dataset as a whole.
        examples: The first of them, at most 5.
    """

    column: str
    rule: Rule
    allowed: str
    count: int
    examples: list[ExampleValue]


class ContractReport(_Record):
    """What the contract found in one snapshot's rows.

    Attributes:
        passed: At most the allowed share of rows breaks a rule, and no rule about the dataset as a
            whole is broken.
        n_rows: Rows checked, quarantined ones included.
        n_violating_rows: Rows that break at least one rule.
        violation_ratio: Their share; 0 when there are no rows.
        allowed_ratio: The share that the contract allows.
        on_violation: What happens to such rows.
        columns: Every broken rule, in the order of the contract.
        newest_at: Newest value of the time column, if there is one.
        age_seconds: Age of the newest row when it was checked.
        reason: The verdict in words, with its numbers.
    """

    passed: bool
    n_rows: int
    n_violating_rows: int
    violation_ratio: float
    allowed_ratio: float
    on_violation: Literal["fail", "quarantine"]
    columns: list[ColumnViolations]
    newest_at: datetime | None
    age_seconds: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Counted:
    """What all batches of a dataset added up to.

    Attributes:
        n_rows: Rows checked.
        n_violating_rows: Rows that break at least one rule.
        columns: The broken rules, in the order of the contract.
        newest_at: Newest value of the time column, aware; None without one.
    """

    n_rows: int
    n_violating_rows: int
    columns: Sequence[ColumnViolations]
    newest_at: datetime | None


def judge(contract: ContractSpec, counted: Counted, *, due_at: datetime) -> ContractReport:
    """The verdict on what was counted.

    Args:
        contract: What the document asks for.
        counted: What the rows are.
        due_at: Aware; what the age of the newest row is measured against.
    """
    ratio = counted.n_violating_rows / counted.n_rows if counted.n_rows else 0.0
    age = due_at - counted.newest_at if counted.newest_at is not None else None
    columns = [*counted.columns, *_too_old(contract, age)]
    whole = [violations for violations in columns if violations.rule in _WHOLE_DATASET]
    return ContractReport(
        passed=ratio <= contract.allowed_violation_ratio and not whole,
        n_rows=counted.n_rows,
        n_violating_rows=counted.n_violating_rows,
        violation_ratio=ratio,
        allowed_ratio=contract.allowed_violation_ratio,
        on_violation=contract.on_violation,
        columns=columns,
        newest_at=counted.newest_at,
        age_seconds=age.total_seconds() if age is not None else None,
        reason="; ".join([_rows_reason(contract, counted), *map(_whole_reason, whole)]),
    )


_WHOLE_DATASET = ("missing_column", "maximum_age")


def _too_old(contract: ContractSpec, age: timedelta | None) -> list[ColumnViolations]:
    limit = contract.maximum_age
    if limit is None or (age is not None and age <= limit):
        return []
    found = "no row has a time" if age is None else f"the newest row is {_words(age)} old"
    allowed = f"{found}, at most {write_duration(limit)} allowed"
    return [ColumnViolations(column="", rule="maximum_age", allowed=allowed, count=0, examples=[])]


def _rows_reason(contract: ContractSpec, counted: Counted) -> str:
    if not contract.columns and not contract.unique_together:
        return f"no contract: {counted.n_rows:,} rows pass unchecked"
    if not counted.n_violating_rows:
        return f"all {counted.n_rows:,} rows satisfy the contract"
    share = 100 * counted.n_violating_rows / counted.n_rows
    rules = [
        f"{found.column} ({found.allowed}): {found.count:,}"
        for found in sorted(counted.columns, key=lambda found: -found.count)
        if found.count
    ]
    more = f" and {len(rules) - 5} more rules" if len(rules) > 5 else ""
    done = "are quarantined" if contract.on_violation == "quarantine" else "break the contract"
    return (
        f"{counted.n_violating_rows:,} of {counted.n_rows:,} rows ({share:.3g} %) {done}, "
        f"{100 * contract.allowed_violation_ratio:.3g} % allowed: {', '.join(rules[:5])}{more}"
    )


def _whole_reason(violations: ColumnViolations) -> str:
    if violations.rule == "missing_column":
        return f"column {violations.column!r} is missing from the source"
    return violations.allowed


def _words(age: timedelta) -> str:
    """An age to the largest unit that says enough: `3.5 days`."""
    hours = age.total_seconds() / 3600
    if abs(hours) >= 48:
        return f"{hours / 24:.1f} days"
    return f"{hours:.1f} hours" if abs(hours) >= 1 else f"{60 * hours:.1f} minutes"

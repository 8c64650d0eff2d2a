"""What checking a dataset against its contract found: the records, and the verdict in words.

Here: `ContractReport` and how it is judged. Not here: reading values as their types (`casting.py`)
and the rules that run over batches of rows (`contract_check.py`).
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

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

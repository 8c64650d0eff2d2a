"""The rules of a contract, as a Pandera schema over one batch of rows.

Here: what each rule asks of a column, and which rows of a batch break it. Not here: rules that need
more than a batch (uniqueness, freshness, missing columns) and adding up (`contract_check.py`).

A batch holds each column of the contract as its type and, as `__raw_<column>`, as it came: what
could not be read is missing in the first and present in the second.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl

from mlops_assets.data.casting import cast_values, is_not_finite
from mlops_assets.data.column_types import POLARS_TYPES
from mlops_assets.data.contract import EXAMPLES, Rule
from mlops_assets.errors import ContractError
from mlops_assets.spec import ColumnContract

if TYPE_CHECKING:
    import pandera.polars as pa


def raw_name(column: str) -> str:
    """Name of the column that holds a batch's values as they came."""
    return f"__raw_{column}"


def cast_batch(batch: pl.DataFrame, contracts: Mapping[str, ColumnContract]) -> pl.DataFrame:
    """The columns under contract as their types, and beside them as they came."""
    typed = [
        cast_values(batch[name], contract.type, datetime_format=contract.datetime_format)
        for name, contract in contracts.items()
    ]
    return pl.DataFrame([*typed, *(batch[name].alias(raw_name(name)) for name in contracts)])


def build_schema(contracts: Mapping[str, ColumnContract]) -> "pa.DataFrameSchema":
    """The Pandera schema that `broken_rows` runs."""
    import pandera.polars as pa

    return pa.DataFrameSchema(
        {
            name: pa.Column(
                POLARS_TYPES[contract.type], nullable=True, checks=_checks(name, contract)
            )
            for name, contract in contracts.items()
        }
    )


def broken_rows(
    schema: "pa.DataFrameSchema", cast: pl.DataFrame
) -> dict[tuple[str, Rule], pl.Series]:
    """Which rows of a batch break which rule of which column; rules that hold are left out."""
    import pandera.errors

    try:
        schema.validate(cast, lazy=True)
    except pandera.errors.SchemaErrors as found:
        broken = {}
        for error in found.schema_errors:
            if error.check_output is None:  # the check itself failed: ours to repair, not the data
                raise ContractError(f"column {error.schema.name!r}: {error}") from error
            held = error.check_output[error.check_output.columns[0]]
            broken[error.schema.name, error.check.name] = ~held
        return broken
    return {}


def allowed_words(rule: Rule, contract: ColumnContract) -> str:
    """What a contract allows, in words: `at most 120`."""
    match rule:
        case "type":
            written = f" written as {contract.datetime_format}" if contract.datetime_format else ""
            return f"{contract.type}{written}"
        case "finite":
            return "finite numbers; write missing ones as missing"
        case "nullable":
            return "no missing values"
        case "minimum":
            return f"at least {contract.minimum:.16g}"
        case "maximum":
            return f"at most {contract.maximum:.16g}"
        case "categories":
            return "one of " + _shortened([str(value) for value in contract.categories or []])
        case "unique":
            return "each value once"
    raise ValueError(f"{rule} is no rule of a single column")


def _checks(column: str, contract: ColumnContract) -> "list[pa.Check]":
    import pandera.polars as pa

    raw, came, read = raw_name(column), pl.col(raw_name(column)), pl.col(column)
    readable = came.is_null() | read.is_not_null()
    checks = []
    if contract.type in ("integer", "number"):
        checks.append(_check("type", readable | is_not_finite(raw)))
        checks.append(_check("finite", ~is_not_finite(raw)))
    else:
        checks.append(_check("type", readable))
    if not contract.nullable:
        checks.append(_check("nullable", came.is_not_null()))
    if contract.minimum is not None:
        checks.append(pa.Check.ge(contract.minimum, name="minimum", n_failure_cases=EXAMPLES))
    if contract.maximum is not None:
        checks.append(pa.Check.le(contract.maximum, name="maximum", n_failure_cases=EXAMPLES))
    if contract.categories is not None:
        allowed = contract.categories
        checks.append(pa.Check.isin(allowed, name="categories", n_failure_cases=EXAMPLES))
    return checks


def _check(rule: Rule, holds: pl.Expr) -> "pa.Check":
    """A check of our own: an expression over the batch that is true where the rule holds."""
    import pandera.polars as pa

    return pa.Check(lambda data: data.lazyframe.select(holds), name=rule, n_failure_cases=EXAMPLES)


def _shortened(words: Sequence[str]) -> str:
    shown = ", ".join(words[:10])
    return shown if len(words) <= 10 else f"{shown} and {len(words) - 10} more"

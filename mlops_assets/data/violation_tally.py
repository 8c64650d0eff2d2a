"""How often each rule of a contract is broken, added up over batches, with the first examples."""

from collections.abc import Mapping
from typing import get_args

import polars as pl

from mlops_assets.data.contract import EXAMPLES, ColumnViolations, ExampleValue, Rule
from mlops_assets.data.contract_rules import allowed_words
from mlops_assets.spec import ColumnContract, ContractSpec

Broken = tuple[str, Rule]
"""A column (several with commas between, for `unique_together`) and the rule that it breaks."""


class ViolationTally:
    """Counts and examples of each broken rule."""

    def __init__(self, contract: ContractSpec) -> None:
        self._contract = contract
        self._counts: dict[Broken, int] = {}
        self._examples: dict[Broken, list[ExampleValue]] = {}

    def add(
        self, found: Mapping[Broken, pl.Series], batch: pl.DataFrame, numbers: pl.Series
    ) -> None:
        """Adds one batch.

        Args:
            found: Which rows break which rule.
            batch: The rows as they came.
            numbers: 1-based number of each row in the source.
        """
        for key, rows in found.items():
            self._counts[key] = self._counts.get(key, 0) + int(rows.sum())
            examples = self._examples.setdefault(key, [])
            if (wanted := EXAMPLES - len(examples)) > 0:
                at = rows.arg_true().head(wanted)
                values = batch.select(self._columns(key))[at].rows()
                examples += [
                    ExampleValue(row=number, value=_shown(value))
                    for number, value in zip(numbers[at], values, strict=True)
                ]

    def violations(self) -> list[ColumnViolations]:
        """Every broken rule, in the order of the contract's columns and of `Rule`."""
        columns, rules = list(self._contract.columns), get_args(Rule)
        keys = sorted(
            self._counts,
            key=lambda key: (
                columns.index(key[0]) if key[0] in columns else len(columns),
                rules.index(key[1]),
                key[0],
            ),
        )
        return [
            ColumnViolations(
                column=key[0],
                rule=key[1],
                allowed=self.allowed(key),
                count=self._counts[key],
                examples=self._examples[key],
            )
            for key in keys
        ]

    def _columns(self, key: Broken) -> list[str]:
        groups = {", ".join(group): group for group in self._contract.unique_together}
        return groups[key[0]] if key[1] == "unique_together" else [key[0]]

    def allowed(self, key: Broken) -> str:
        """What the contract allows, in words."""
        column, rule = key
        if rule == "unique_together":
            return "each combination once"
        contract: ColumnContract = self._contract.columns[column]
        return allowed_words(rule, contract)


def _shown(values: tuple[object, ...]) -> str | int | float | bool | None:
    """A value as JSON has it: text for what JSON has no word for, and for several values."""
    if len(values) > 1:
        return ", ".join(str(value) for value in values)
    (value,) = values
    if value is None or isinstance(value, str | bool | int):
        return value[:200] if isinstance(value, str) else value
    if isinstance(value, float) and abs(value) < float("inf"):
        return value
    return str(value)

"""A contract over a whole dataset that is read in batches.

Here: `ContractCheck`, which types each batch, runs the rules and remembers what later batches need
to know. Its memory does not grow with the rows, but for 16 bytes per row and uniqueness rule.
Held by tests: neither report nor rows depend on how the source is cut into batches.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from mlops_assets.data.casting import cast_values
from mlops_assets.data.column_types import UTC_MICROSECONDS, stored_type, to_stored
from mlops_assets.data.contract import ColumnViolations, ContractReport, Counted, judge
from mlops_assets.data.contract_rules import broken_rows, build_schema, cast_batch
from mlops_assets.data.uniqueness import SeenKeys
from mlops_assets.data.violation_tally import Broken, ViolationTally
from mlops_assets.errors import SourceError
from mlops_assets.spec import ContractSpec
from mlops_assets.spec.data import ColumnType


@dataclass(frozen=True, slots=True)
class CheckedBatch:
    """One batch after the check, in source order.

    Attributes:
        rows: Every column as its stored type; what could not be read as it is missing.
        broken: Whether a row breaks the contract.
        reasons: Of each broken row: which rules, in words.
    """

    rows: pl.DataFrame
    broken: pl.Series
    reasons: pl.Series


class ContractCheck:
    """Checks the batches of one dataset, in order."""

    def __init__(
        self,
        contract: ContractSpec,
        schema: Mapping[str, pl.DataType],
        *,
        inferred: Mapping[str, ColumnType],
        time_column: str | None,
    ) -> None:
        """Prepares the rules.

        Args:
            contract: What the rows must satisfy.
            schema: The columns of the source.
            inferred: Types of text columns without a contract, as found over all their values.
            time_column: Column whose newest value tells the age of the dataset.

        Raises:
            SourceError: a column that a snapshot cannot hold, or lists under contract.
            ContractError: the contract contradicts itself.
        """
        if lists := [name for name in contract.columns if name in schema and _is_odd(schema[name])]:
            raise SourceError(
                f"columns {lists} hold lists, structs or bytes: no contract fits them"
            )
        self._contract = contract
        self._columns = {name: c for name, c in contract.columns.items() if name in schema}
        self._schema = build_schema(self._columns) if self._columns else None
        self._inferred = dict(inferred)
        self._names = set(schema)
        self._types = {
            name: stored_type(name, dtype)
            for name, dtype in schema.items()
            if name not in self._columns
        }
        self._time_column = time_column if time_column in schema else None
        self._seen = _uniqueness_rules(contract, schema)
        self._tally = ViolationTally(contract)
        self._n_rows = self._n_violating_rows = 0
        self._newest_at: datetime | None = None

    @property
    def key_columns(self) -> list[str]:
        """The columns that a uniqueness rule compares."""
        return sorted({column for seen in self._seen.values() for column in seen.columns})

    def remember(self, rows: pl.DataFrame) -> None:
        """Lets rows that the dataset holds already count as first for the uniqueness rules."""
        for seen in self._seen.values():
            seen.mark_repeated(rows, ~_none_of(rows))

    def read_times(self, batch: pl.DataFrame, column: str) -> pl.Series:
        """A column as UTC datetimes, missing where it cannot be read as one."""
        contract = self._columns.get(column)
        written = contract.datetime_format if contract is not None else None
        return cast_values(batch[column], "datetime", datetime_format=written)

    def check(self, batch: pl.DataFrame, numbers: pl.Series) -> CheckedBatch:
        """Types and checks the next batch.

        Args:
            batch: The source's columns, as they came.
            numbers: 1-based number of each row in the source.
        """
        cast = cast_batch(batch, self._columns)
        rows = self._typed(batch, cast)
        found: dict[Broken, pl.Series] = {}
        if self._schema is not None:
            found.update(broken_rows(self._schema, cast))
        broken = _any_of(found.values(), batch)
        for key, seen in self._seen.items():
            # Of equal rows the first is kept, so in quarantine a row that goes anyway is no first.
            counted = ~broken if self._contract.on_violation == "quarantine" else ~_none_of(batch)
            repeated = seen.mark_repeated(rows, counted)
            if repeated.any():
                found[key] = repeated
                broken = broken | repeated
        self._tally.add(found, batch, numbers)
        self._n_rows += len(batch)
        self._n_violating_rows += int(broken.sum())
        self._see_times(rows)
        return CheckedBatch(rows, broken, self._reasons(found, broken))

    def report(self, *, due_at: datetime) -> ContractReport:
        """The verdict on all batches so far; freshness is measured against `due_at`."""
        violations = [*self._missing_columns(), *self._tally.violations()]
        counted = Counted(self._n_rows, self._n_violating_rows, violations, self._newest_at)
        return judge(self._contract, counted, due_at=due_at)

    def _typed(self, batch: pl.DataFrame, cast: pl.DataFrame) -> pl.DataFrame:
        return pl.DataFrame([self._typed_column(batch[name], cast) for name in batch.columns])

    def _typed_column(self, values: pl.Series, cast: pl.DataFrame) -> pl.Series:
        if values.name in self._columns:
            return cast[values.name]
        if values.name in self._inferred:
            return cast_values(values, self._inferred[values.name], datetime_format=None)
        return to_stored(values, self._types[values.name])

    def _see_times(self, rows: pl.DataFrame) -> None:
        if self._time_column is None:
            return
        times = rows[self._time_column].drop_nulls()
        if not times.dtype.is_temporal() or times.is_empty():
            return
        newest = cast_values(times, "datetime", datetime_format=None).cast(UTC_MICROSECONDS).max()
        if isinstance(newest, datetime):
            self._newest_at = max(newest, self._newest_at or newest)

    def _missing_columns(self) -> list[ColumnViolations]:
        asked = [*self._contract.columns]
        asked += [name for group in self._contract.unique_together for name in group]
        return [
            ColumnViolations(
                column=name, rule="missing_column", allowed="present", count=0, examples=[]
            )
            for name in dict.fromkeys(asked)
            if name not in self._names
        ]

    def _reasons(self, found: Mapping[Broken, pl.Series], broken: pl.Series) -> pl.Series:
        words = [
            pl.select(
                pl.when(rows.filter(broken)).then(pl.lit(f"{key[0]}: {self._tally.allowed(key)}"))
            ).to_series()
            for key, rows in found.items()
        ]
        if not words:
            return pl.Series("reason", [], pl.String)
        named = pl.DataFrame([word.alias(str(place)) for place, word in enumerate(words)])
        return named.select(
            reason=pl.concat_str(pl.all(), separator="; ", ignore_nulls=True)
        ).to_series()


def _uniqueness_rules(
    contract: ContractSpec, schema: Mapping[str, pl.DataType]
) -> dict[Broken, SeenKeys]:
    rules: dict[Broken, SeenKeys] = {
        (name, "unique"): SeenKeys([name])
        for name, column in contract.columns.items()
        if column.unique and name in schema
    }
    for group in contract.unique_together:
        if all(name in schema for name in group):
            rules[", ".join(group), "unique_together"] = SeenKeys(group)
    return rules


def _is_odd(dtype: pl.DataType) -> bool:
    return dtype.is_nested() or isinstance(dtype, pl.Binary)


def _none_of(rows: pl.DataFrame) -> pl.Series:
    return pl.repeat(False, len(rows), dtype=pl.Boolean, eager=True)


def _any_of(found: Iterable[pl.Series], rows: pl.DataFrame) -> pl.Series:
    broken = _none_of(rows)
    for one in found:
        broken = broken | one
    return broken

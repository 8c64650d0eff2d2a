"""From a source's rows to staged files: type, check, quarantine, digest, in one pass.

Here: `DatasetWriter`, which puts the pieces together for one snapshot. Not here: when a stage
becomes a version (`lake_table.py`) and the record of it (`snapshots.py`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from mlops_assets.data.batches import BatchedRows
from mlops_assets.data.casting import cast_values
from mlops_assets.data.content_digest import ContentDigest
from mlops_assets.data.contract_check import CheckedBatch, ContractCheck
from mlops_assets.data.inference import infer_types
from mlops_assets.data.partitions import Window, part_names
from mlops_assets.data.staging import Stage
from mlops_assets.errors import ContractError, SourceError
from mlops_assets.spec import ColumnContract, ContractSpec, ModelSpec
from mlops_assets.spec.data import ColumnType

ROW, REASON = "__row", "__reason"
_PART = "__part"
WHOLE = "rows"  # name of the only part of a table without partitions


@dataclass(slots=True)
class StagedParts:
    """Rows that lie in a stage, with the digest of each part."""

    stage: Stage
    parts: dict[str, ContentDigest] = field(default_factory=dict)
    schema: dict[str, pl.DataType] = field(default_factory=dict)

    def write(self, part: str, rows: pl.DataFrame) -> None:
        """Adds rows to a part."""
        self.schema = dict(rows.schema)
        self.parts.setdefault(part, ContentDigest(rows.schema)).update(rows)
        self.stage.write(part, rows)

    @property
    def n_rows(self) -> int:
        """Rows in all parts."""
        return sum(part.n_rows for part in self.parts.values())


class DatasetWriter:
    """Checks and stages the rows of one dataset, or of a window of it."""

    def __init__(
        self, spec: ModelSpec, source: BatchedRows, *, is_text: bool, window: Window | None
    ) -> None:
        """Prepares types and rules; text columns without a contract are read once to infer them.

        Raises:
            SourceError: a column that a snapshot cannot hold, or no time column to partition by.
            ContractError: the contract contradicts itself.
        """
        self._spec, self._source, self._window = spec, source, window
        self._partitions = spec.source.partitions
        self._n_rows = 0  # in the window
        inferred: dict[str, ColumnType] = {}
        if is_text:
            free = [name for name in source.schema if name not in spec.contract.columns]
            inferred = infer_types(source.batches(), free)
        self.contract = effective_contract(spec, source.schema, inferred)
        self.check = ContractCheck(
            self.contract, source.schema, inferred=inferred, time_column=spec.time_column
        )

    def write(self, kept: StagedParts, quarantine: Callable[[], StagedParts]) -> None:
        """Reads all rows, stages the good ones and those that go to quarantine.

        Args:
            kept: Takes the dataset's rows.
            quarantine: Makes what takes the others; called when there is one.

        Raises:
            SourceError: the rows cannot be read, or there are none.
        """
        aside: StagedParts | None = None
        for numbers, batch in self._numbered():
            checked = self.check.check(batch, numbers)
            good = checked.rows
            if self.contract.on_violation == "quarantine":
                good = checked.rows.filter(~checked.broken)
                if checked.broken.any():
                    aside = aside or quarantine()
                    aside.write(WHOLE, _quarantined(batch, numbers, checked))
            self._keep(good, kept)
        if not self._n_rows:
            within = f" in {self._window}" if self._window is not None else ""
            raise SourceError(f"{self._spec.name}: the source has no rows{within}")

    def _numbered(self) -> Iterator[tuple[pl.Series, pl.DataFrame]]:
        """Batches of the rows in the window, and the number of each row in the source."""
        first = 1
        for batch in self._source.batches():
            numbers = pl.int_range(first, first + len(batch), eager=True)
            first += len(batch)
            if self._window is None or self._spec.time_column is None:
                self._n_rows += len(batch)
                yield numbers, batch
                continue
            times = self.check.read_times(batch, self._spec.time_column)
            # A row without a readable time is in no partition: shown as a violation, never lost.
            inside = (times >= self._window.start) & (times < self._window.end)
            self._n_rows += int(inside.sum())
            checked = inside.fill_null(value=True)
            if checked.any():
                yield numbers.filter(checked), batch.filter(checked)

    def _keep(self, rows: pl.DataFrame, kept: StagedParts) -> None:
        kept.schema = dict(rows.schema)
        if self._partitions is None or self._spec.time_column is None:
            kept.write(WHOLE, rows)
            return
        times = cast_values(rows[self._spec.time_column], "datetime", datetime_format=None)
        rows = rows.with_columns(part_names(times, self._partitions).alias(_PART))
        for (part,), some in rows.partition_by(
            _PART, as_dict=True, include_key=False, maintain_order=True
        ).items():
            if part is not None:
                kept.write(str(part), some)


def effective_contract(
    spec: ModelSpec, schema: Mapping[str, pl.DataType], inferred: Mapping[str, ColumnType]
) -> ContractSpec:
    """The document's contract, and what the time column must satisfy in any case.

    It must be a date or datetime, and a value of each row when the dataset is in partitions.

    Raises:
        SourceError: the dataset is in partitions and has no time column.
        ContractError: the contract gives the time column another type.
    """
    name, contract = spec.time_column, spec.contract
    if name is None:
        return contract
    if name not in schema:
        if spec.source.partitions is not None:
            raise SourceError(f"{spec.name}: the source has no column {name!r} to partition by")
        return contract
    declared = contract.columns.get(name)
    if declared is not None and declared.type not in ("datetime", "date"):
        raise ContractError(
            f"contract.columns.{name}.type: found {declared.type}, allowed: datetime or date, "
            "since it is the time column"
        )
    is_time = schema[name].is_temporal() or inferred.get(name) in ("datetime", "date")
    partitioned = spec.source.partitions is not None
    if declared is None and is_time and not partitioned:
        return contract
    column = declared or ColumnContract(
        type="date" if _is_date(schema[name], inferred.get(name)) else "datetime", nullable=True
    )
    if partitioned:
        column = column.model_copy(update={"nullable": False})
    return contract.model_copy(update={"columns": {**contract.columns, name: column}})


def _is_date(dtype: pl.DataType, inferred: ColumnType | None) -> bool:
    return isinstance(dtype, pl.Date) or inferred == "date"


def _quarantined(batch: pl.DataFrame, numbers: pl.Series, checked: CheckedBatch) -> pl.DataFrame:
    """The broken rows as they came, in text, with their number and what is wrong with them."""
    rows = batch.filter(checked.broken)
    return pl.DataFrame(
        [
            numbers.filter(checked.broken).alias(ROW),
            *(_as_text(rows[name]) for name in rows.columns),
            checked.reasons.alias(REASON),
        ]
    )


def _as_text(values: pl.Series) -> pl.Series:
    if values.dtype.is_nested() or isinstance(values.dtype, pl.Binary):
        texts = [None if value is None else str(value) for value in values.to_list()]
        return pl.Series(values.name, texts, pl.String)
    return cast_values(values, "string", datetime_format=None)

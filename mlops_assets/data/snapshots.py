"""The lake: immutable snapshots of datasets and training frames, each named by its digest."""

from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TypedDict

import polars as pl
from pydantic import BaseModel, ConfigDict

from mlops_assets.data.batches import open_batches
from mlops_assets.data.column_types import stored_type, to_stored, type_name
from mlops_assets.data.commit_plan import (
    Part,
    TableState,
    digest_of_partitions,
    plan_parts,
    plan_whole,
)
from mlops_assets.data.contract import ContractReport
from mlops_assets.data.dataset_writer import WHOLE, DatasetWriter, StagedParts
from mlops_assets.data.lake_table import LakeTable
from mlops_assets.data.partitions import Window, parts_in, require_whole_partitions
from mlops_assets.data.source_rows import SourceRows
from mlops_assets.errors import SourceError
from mlops_assets.spec import ModelSpec


class DatasetSnapshot(BaseModel):
    """One immutable state of a model's dataset.

    Attributes:
        model: Name of the model.
        uri: Delta table that holds the rows.
        version: Version of that table; its rows never change.
        digest: SHA-256 of the content, in hexadecimal: same rows, same digest.
        n_rows: Rows in the snapshot (of all partitions).
        columns: Type of each column, in order, in the words of a contract.
        null_counts: Missing values of each column.
        quarantine_uri: Delta table that holds the rows that broke the contract, if any did.
        quarantine_version: Version of that table.
        n_quarantined: Rows in it.
        contract: What the contract found in the rows that were written.
        facts: What the source said about itself.
        partition: The window that was written, `2013-01-01/2013-01-08`; None for the whole dataset.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    uri: str
    version: int
    digest: str
    n_rows: int
    columns: dict[str, str]
    null_counts: dict[str, int]
    quarantine_uri: str | None
    quarantine_version: int | None
    n_quarantined: int
    contract: ContractReport
    facts: dict[str, str]
    partition: str | None


class Lake:
    """Delta tables under one root, a local path or object storage.

    `<root>/<model>/dataset` (`dataset_by_day` when it is in partitions of a day), `quarantine`, and
    one table for each name given to `write_frame`.
    """

    def __init__(self, root: str, storage_options: dict[str, str] | None = None) -> None:
        """Names the root; nothing is opened or made.

        Args:
            root: A path, or the URI of a bucket or a prefix in it.
            storage_options: Options of the object store, as deltalake names them.
        """
        root = root.removeprefix("file://").rstrip("/")
        self.root = root if "://" in root else str(Path(root).absolute())
        self.storage_options = dict(storage_options or {})

    def write_snapshot(
        self,
        spec: ModelSpec,
        rows: SourceRows,
        *,
        now: datetime,
        partition: tuple[datetime, datetime] | None = None,
    ) -> DatasetSnapshot:
        """Check rows against the contract and keep them as a snapshot.

        The same content gives the same digest and version and writes nothing new. A contract that
        does not pass is no error here: the report says so, and the rows are kept to look at.

        Args:
            spec: The model document.
            rows: Its source's rows.
            now: Aware; what freshness is measured against.
            partition: Half-open window of one or more whole partitions, whose rows alone are
                replaced; by default all rows are.

        Raises:
            SourceError: the rows cannot be read, there are none, or the source changed meanwhile.
            ContractError: the contract contradicts itself.
            LakeError: the lake cannot be read or written.
            ValueError: the window is not made of whole partitions.
        """
        window = Window(*partition) if partition is not None else None
        table = self._dataset_table(spec, window)
        with ExitStack() as stages, open_batches(rows) as source:
            writer = DatasetWriter(spec, source, is_text=rows.is_text, window=window)
            self._remember_others(table, writer, window)
            kept = StagedParts(stages.enter_context(table.new_stage()))
            aside = _Quarantine(self._table(spec.name, "quarantine"), stages)
            writer.write(kept, aside.open)
            if rows.is_unchanged is not None and not rows.is_unchanged():
                raise SourceError(f"{spec.name}: the source changed while it was read; run again")
            quarantine = aside.commit()
            new = _state(kept)
            plan = plan_whole(new) if spec.source.partitions is None else plan_parts(new, window)
            version, state = table.commit(kept.stage, kept.schema, plan)
        parts = state.parts.values()
        return DatasetSnapshot(
            model=spec.name,
            uri=table.uri,
            version=version,
            digest=state.digest,
            n_rows=sum(part.n_rows for part in parts),
            columns={name: type_name(dtype) for name, dtype in kept.schema.items()},
            null_counts={name: sum(p.null_counts[name] for p in parts) for name in kept.schema},
            contract=writer.check.report(due_at=now if window is None else min(now, window.end)),
            facts=dict(rows.facts),
            partition=str(window) if window is not None else None,
            **quarantine,
        )

    def read_snapshot(self, snapshot: DatasetSnapshot) -> pl.LazyFrame:
        """The rows of a snapshot in source order; always the same, whatever was written since.

        Raises:
            LakeError: the table or its version is gone.
        """
        return self.read_frame(snapshot.uri, snapshot.version)

    def write_frame(
        self, model: str, name: str, frame: pl.DataFrame | pl.LazyFrame, digest: str
    ) -> tuple[str, int]:
        """Keep a frame under a name; the uri and version of its Delta table.

        A digest that the table already holds writes nothing and answers with its version.

        Raises:
            SourceError: the frame cannot be computed, or has a type that Delta does not know.
            LakeError: the lake cannot be read or written.
        """
        table = self._table(model, name)
        for version, state in table.states().items():
            if state.digest == digest:
                return table.uri, version
        rows = SourceRows(frame.lazy(), sliceable=isinstance(frame, pl.DataFrame))
        with open_batches(rows) as source, table.new_stage() as stage:
            kept = StagedParts(stage)
            types = {column: stored_type(column, t) for column, t in source.schema.items()}
            kept.write(WHOLE, pl.DataFrame(schema=types))
            for batch in source.batches():
                columns = [to_stored(batch[column], dtype) for column, dtype in types.items()]
                kept.write(WHOLE, pl.DataFrame(columns))
            version, _ = table.commit(stage, types, plan_whole(_state(kept, digest)))
            return table.uri, version

    def read_frame(self, uri: str, version: int) -> pl.LazyFrame:
        """The rows of a frame at a version, in the order in which they were written.

        Raises:
            LakeError: the table or its version is gone.
        """
        return LakeTable(uri, self.storage_options).read(version)

    def _table(self, model: str, name: str, *, partitioned: bool = False) -> LakeTable:
        uri = f"{self.root}/{model}/{name}"
        return LakeTable(uri, self.storage_options, partitioned=partitioned)

    def _dataset_table(self, spec: ModelSpec, window: Window | None) -> LakeTable:
        partitions = spec.source.partitions
        if partitions is None:
            if window is not None:
                raise ValueError(f"{spec.name} has no partitions, found the window {window}")
            return self._table(spec.name, "dataset")
        if window is not None:
            require_whole_partitions(window, partitions)
        return self._table(spec.name, f"dataset_by_{partitions.every}", partitioned=True)

    def _remember_others(
        self, table: LakeTable, writer: DatasetWriter, window: Window | None
    ) -> None:
        """Rows of the partitions that stay count as first for the uniqueness rules."""
        columns = writer.check.key_columns
        if window is None or not columns or not (states := table.states()):
            return
        version, state = next(iter(states.items()))
        others = table.read(version, but_parts=frozenset(parts_in(window, state.parts)))
        if set(columns) <= set(others.collect_schema()):
            with open_batches(SourceRows(others.select(columns), sliceable=True)) as source:
                for batch in source.batches():
                    writer.check.remember(batch)


class _QuarantineFields(TypedDict):
    quarantine_uri: str | None
    quarantine_version: int | None
    n_quarantined: int


class _Quarantine:
    """The stage of the quarantine table, made when there is a first row for it."""

    def __init__(self, table: LakeTable, stages: ExitStack) -> None:
        self._table, self._stages = table, stages
        self._staged: StagedParts | None = None

    def open(self) -> StagedParts:
        self._staged = StagedParts(self._stages.enter_context(self._table.new_stage()))
        return self._staged

    def commit(self) -> _QuarantineFields:
        """Where the rows lie, for the snapshot's record."""
        staged = self._staged
        if staged is None:
            return {"quarantine_uri": None, "quarantine_version": None, "n_quarantined": 0}
        version, _ = self._table.commit(staged.stage, staged.schema, plan_whole(_state(staged)))
        return {
            "quarantine_uri": self._table.uri,
            "quarantine_version": version,
            "n_quarantined": staged.n_rows,
        }


def _state(kept: StagedParts, digest: str | None = None) -> TableState:
    """What a table says about itself once it holds the staged parts and nothing else."""
    parts = {
        name: Part(digest=part.hexdigest(), n_rows=part.n_rows, null_counts=part.null_counts)
        for name, part in kept.parts.items()
    }
    if digest is None:
        whole = parts.keys() == {WHOLE}
        digest = parts[WHOLE].digest if whole else digest_of_partitions(parts)
    columns = {name: str(dtype) for name, dtype in kept.schema.items()}
    return TableState(digest=digest, columns=columns, stage=kept.stage.name, parts=parts)

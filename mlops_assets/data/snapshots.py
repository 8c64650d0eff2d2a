"""The lake: immutable snapshots of datasets and training frames, each named by its digest."""

from datetime import datetime

import polars as pl
from pydantic import BaseModel, ConfigDict

from mlops_assets.data.contract import ContractReport
from mlops_assets.data.sources import SourceRows
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
    """Delta tables under one root, a local path or object storage."""

    def __init__(self, root: str, storage_options: dict[str, str] | None = None) -> None:
        self.root = root
        self.storage_options = storage_options or {}

    def write_snapshot(
        self,
        spec: ModelSpec,
        rows: SourceRows,
        *,
        now: datetime,
        partition: tuple[datetime, datetime] | None = None,
    ) -> DatasetSnapshot:
        """Check rows against the contract and keep them as a snapshot.

        The same content gives the same digest and version and writes nothing new.

        Args:
            spec: The model document.
            rows: Its source's rows.
            now: Aware; what freshness is measured against.
            partition: Half-open UTC window, one or more whole partitions, whose rows alone are
                replaced; by default the whole dataset is one piece.

        Raises:
            SourceError: the rows cannot be read, or there are none.
        """
        raise NotImplementedError

    def read_snapshot(self, snapshot: DatasetSnapshot) -> pl.LazyFrame:
        """The rows of a snapshot in source order; always the same, whatever was written since."""
        raise NotImplementedError

    def write_frame(
        self, model: str, name: str, frame: pl.DataFrame | pl.LazyFrame, digest: str
    ) -> tuple[str, int]:
        """Keep a frame under a name; the uri and version of its Delta table.

        A digest that the table already holds writes nothing and answers with its version.
        """
        raise NotImplementedError

    def read_frame(self, uri: str, version: int) -> pl.LazyFrame:
        """The rows of a frame at a version, in the order in which they were written."""
        raise NotImplementedError

"""One Delta table of the lake: its versions by digest, and the commit of a stage.

Here: `LakeTable`. Not here: what is written (`snapshots.py`) and the files themselves
(`staging.py`).

Every commit carries its digest. A commit is a compare-and-swap on the version that was read, and
whoever loses reads again, so of two writers with the same content one commits and both get the same
version. Old versions are never cleaned away: the table's settings keep its log and files.
"""

import json
import time
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import polars as pl
from pydantic import ValidationError

from mlops_assets.data.commit_plan import Change, Plan, TableState
from mlops_assets.data.staging import Stage, StagedFile, arrow_table, clear_left_stages
from mlops_assets.data.table_folder import TableFolder
from mlops_assets.errors import LakeError

if TYPE_CHECKING:
    from deltalake import CommitProperties, DeltaTable

PARTITION_COLUMN = "__partition"

_METADATA_KEY = "mlops_assets"
_HISTORY = 1_000  # newest versions in which a digest is looked for
_ATTEMPTS = 100
_KEEP_ALL = {
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
    "delta.enableExpiredLogCleanup": "false",
}


class LakeTable:
    """A Delta table at a URI, which need not exist yet."""

    def __init__(self, uri: str, options: dict[str, str], *, partitioned: bool = False) -> None:
        self.uri = uri
        self.folder = TableFolder(uri, options)
        self._partition_by = [PARTITION_COLUMN] if partitioned else []

    def new_stage(self) -> Stage:
        """A stage to write to, after what ended processes left was removed.

        Raises:
            LakeError: the store is unreachable.
        """
        clear_left_stages(self.folder, self._committed_stages)
        return Stage(self.folder)

    def states(self) -> dict[int, TableState]:
        """What the newest 1,000 versions say about themselves, newest first."""
        table = self._open()
        return _states(table) if table is not None else {}

    def commit(
        self, stage: Stage, schema: Mapping[str, pl.DataType], plan: Plan
    ) -> tuple[int, TableState]:
        """Makes a stage's files part of the table, or drops them when their content is there.

        Args:
            stage: The files.
            schema: Their columns.
            plan: Decides, from what the table holds at the moment of the commit.

        Returns:
            The version that holds the content, and its state.

        Raises:
            LakeError: the store refuses, or 100 other writers were faster one after the other.
        """
        files = stage.close()
        for _ in range(_ATTEMPTS):
            table = self._open()
            change = plan(_states(table) if table is not None else {})
            if change.reuses is not None:
                stage.discard()
                return change.reuses, change.state
            version = table.version() + 1 if table is not None else 0
            state = change.state.model_copy(update={"version": version})
            change = change.model_copy(update={"state": state})
            try:
                committed = self._try_commit(table, files, schema, change)
            except BaseException:
                stage.leave()  # the store may have taken the commit all the same
                raise
            if committed:
                stage.release()
                return version, state
        raise LakeError(
            f"{self.uri}: other processes committed {_ATTEMPTS} times while this one tried to; "
            "let one process at a time write this model's data"
        )

    def read(self, version: int, *, but_parts: frozenset[str] = frozenset()) -> pl.LazyFrame:
        """The rows of a version in the order in which they were written.

        Args:
            version: One that a commit answered with.
            but_parts: Partitions to leave out.

        Raises:
            LakeError: there is no such table or version.
        """
        table = self._open(version)
        if table is None:
            raise LakeError(f"there is no Delta table at {self.uri}; materialize its asset again")
        # By name: Delta writes a path with a blank as a URI, which Polars takes for another path.
        names = sorted(PurePosixPath(uri).name for uri in table.file_uris())
        kept = [f"{self.uri}/{name}" for name in names if _part_of(name) not in but_parts]
        if not kept:
            empty = pl.scan_delta(table).head(0).collect()
            return empty.drop(PARTITION_COLUMN, strict=False).lazy()
        return pl.scan_parquet(
            kept, storage_options=self.folder.storage_options or None, glob=False
        )

    def _committed_stages(self) -> set[str]:
        return {state.stage for state in self.states().values()}

    def _open(self, version: int | None = None) -> "DeltaTable | None":
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        options = self.folder.storage_options
        try:
            return DeltaTable(self.uri, version=version, storage_options=options)
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as error:
            at = "" if version is None else f" at version {version}"
            raise LakeError(f"{self.uri}{at} cannot be read: {error}") from error

    def _try_commit(
        self,
        table: "DeltaTable | None",
        files: list[StagedFile],
        schema: Mapping[str, pl.DataType],
        change: Change,
    ) -> bool:
        """Whether the commit went in; otherwise another process was faster."""
        from deltalake.exceptions import CommitFailedError, DeltaError

        try:
            if table is None:
                self._create(files, schema, change)
                return True
            table.create_write_transaction(
                [self._action(file) for file in files],
                mode="overwrite",
                schema=self._schema(schema),
                partition_by=self._partition_by,
                partition_filters=_filters(change),
                commit_properties=_properties(change),
            )
        except CommitFailedError:
            return False
        except (DeltaError, OSError) as error:
            if table is None and self._open() is not None:
                return False  # created by another process since
            raise LakeError(f"{self.uri} cannot be written: {error}") from error
        return True

    def _create(
        self, files: list[StagedFile], schema: Mapping[str, pl.DataType], change: Change
    ) -> None:
        from deltalake.transaction import create_table_with_add_actions

        create_table_with_add_actions(
            self.uri,
            self._schema(schema),
            [self._action(file) for file in files],
            mode="error",
            partition_by=self._partition_by,
            configuration=_KEEP_ALL,
            storage_options=self.folder.storage_options,
            commit_properties=_properties(change),
        )

    def _schema(self, schema: Mapping[str, pl.DataType]) -> Any:
        from deltalake import Schema

        partition = dict.fromkeys(self._partition_by, pl.String())
        return Schema.from_arrow(arrow_table(pl.DataFrame(schema={**schema, **partition})).schema)

    def _action(self, file: StagedFile) -> Any:
        from deltalake.transaction import AddAction

        return AddAction(
            path=file.path,
            size=file.n_bytes,
            partition_values=dict.fromkeys(self._partition_by, file.part),
            modification_time=int(time.time() * 1000),
            data_change=True,
            stats=json.dumps({"numRecords": file.n_rows, "nullCount": file.null_counts}),
        )


def _part_of(name: str) -> str:
    """The partition of a file: its name without number, stage and ending."""
    return name.rsplit("-", 3)[0]


def _filters(change: Change) -> list[tuple[str, str, list[str]]] | None:
    return None if change.replaces is None else [(PARTITION_COLUMN, "in", change.replaces)]


def _properties(change: Change) -> "CommitProperties":
    from deltalake import CommitProperties

    return CommitProperties(
        custom_metadata={_METADATA_KEY: change.state.model_dump_json()}, max_commit_retries=0
    )


def _states(table: "DeltaTable") -> dict[int, TableState]:
    """By the version that each commit names itself. Delta's history numbers commits by counting
    down, and counts wrong when another process commits while it reads them."""
    states = {}
    for commit in table.history(_HISTORY):
        try:
            state = TableState.model_validate_json(commit[_METADATA_KEY])
        except (KeyError, ValidationError):
            continue  # somebody else's commit: an optimize, a vacuum
        states[state.version] = state
    return dict(sorted(states.items(), reverse=True))

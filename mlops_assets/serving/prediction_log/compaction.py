"""Makes few files of the many that a day's batches left, once the day is over.

A batch is a file, up to one a second, and every reader opens each. A day is rewritten in one
commit that replaces exactly the files that were read: when somebody else touched the day meanwhile
(a late batch, a second sink, retention), Delta refuses the commit, and the next pass tries again.
Not by deltalake's own `optimize.compact`: two of those at the same time both succeed (1.6.6), and
each record is there twice. What was replaced stays on disk for a day, for readers that hold an
older version.
"""

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote

import polars as pl

from mlops_assets.errors import ServingError
from mlops_assets.serving.home import ServingHome
from mlops_assets.serving.prediction_log.store import PredictionStore
from mlops_assets.serving.prediction_log.tables import FAILURES, HALVES, PREDICTIONS, TRUTH

if TYPE_CHECKING:
    from arro3.core import RecordBatch
    from deltalake import DeltaTable

_LOG = logging.getLogger(__name__)
CLOSED_AFTER = timedelta(hours=3)
"""How long after its end a day is left alone: what is late comes mostly within that."""
FEW_FILES = 8
"""So many are not worth a rewrite; nor is each late record of a day that was rewritten."""
_SMALL_BYTES = 16_000_000  # mean of a day's files; rewritten ones have up to 100 MB
_FILES_AT_ONCE = 256  # 20,000 files of 20 rows: 12 s, and 210 MB above what listing them takes
_BYTES_AT_ONCE = 64_000_000  # compressed
_SHORT_LOG = {
    "delta.logRetentionDuration": "interval 2 days",  # 30 by default: 2.6 million commits
    "delta.deletedFileRetentionDuration": "interval 2 days",  # 7: each checkpoint names them all
}


def compact_closed(home: ServingHome, store: PredictionStore, now: datetime) -> int:
    """Rewrite closed days of many files in all tables, and remove files that nobody needs.

    A table that cannot be treated is logged and tried again the next time.

    Args:
        home: Names the services.
        store: Where the tables are.
        now: Aware.

    Returns:
        How many days were rewritten.
    """
    before = (now.astimezone(UTC) - CLOSED_AFTER).date()
    n_days = 0
    for service in _services(home):
        for table in (PREDICTIONS, HALVES, FAILURES, TRUTH):
            try:
                n_days += compact_table(store, service, table, before)
            except ServingError as error:
                _LOG.error("%s was not compacted: %s", store.uri(service, table), error)
    return n_days


def compact_table(store: PredictionStore, service: str, table: str, before: date) -> int:
    """Rewrite each day before one that has many small files; returns how many were rewritten.

    Raises:
        ServingError: the table cannot be read or written.
    """
    n_days = 0
    found = store.open_table(service, table)
    if found is None:
        return 0
    for day in days_of_many_files(found, before):
        if rewrite_day(store, service, table, found, day):
            n_days += 1
        else:
            _LOG.info("%s: %s was changed meanwhile and waits", store.uri(service, table), day)
        found = store.open_table(service, table) or found
    _keep_short_log(found)
    store.remove_unread_files(service, table)
    return n_days


def days_of_many_files(table: "DeltaTable", before: date) -> list[date]:
    """Days before one with more than a few files, small ones on the whole; oldest first."""
    days = _files(table).group_by("day").agg(n=pl.len(), mean=pl.col("size_bytes").mean())
    many = (pl.col("n") > FEW_FILES) & (pl.col("mean") < _SMALL_BYTES)
    return days.filter(pl.col("day") < before, many)["day"].sort().to_list()


def rewrite_day(
    store: PredictionStore, service: str, name: str, table: "DeltaTable", day: date
) -> bool:
    """Replace a day's files, as a version of the table has them, by few with the same rows.

    Args:
        store: Where the table stands.
        service: Whose.
        name: Of the table.
        table: The version that is rewritten.
        day: Which.

    Returns:
        False: somebody changed the day, or the table's columns, since that version; nothing was
        done.

    Raises:
        ServingError: a file cannot be read, or the table cannot be written; nothing was done.
    """
    from arro3.core import RecordBatchReader, Table  # the predictor's image has no pyarrow
    from deltalake import write_deltalake
    from deltalake.exceptions import CommitFailedError, DeltaError

    uri = store.uri(service, name)
    empty = pl.DataFrame(table.schema().to_arrow().empty_table())
    files = _files(table).filter(pl.col("day") == day).sort("modification_time", "path")
    batches = _batches(uri, files, day, empty.schema, store.storage_options)
    try:
        write_deltalake(
            table,
            RecordBatchReader.from_batches(Table.from_arrow(empty).schema, batches),
            mode="overwrite",
            predicate=f"day = '{day}'",
        )
    except CommitFailedError:
        return False
    except (DeltaError, pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise ServingError(f"{uri}, {day}: {str(error)[:300]}") from error
    return True


def _keep_short_log(table: "DeltaTable") -> None:
    """Have Delta remove old commits with its checkpoints; the setting is the table's own."""
    from deltalake.exceptions import CommitFailedError, DeltaError

    if _SHORT_LOG.items() <= table.metadata().configuration.items():
        return
    try:
        table.alter.set_table_properties(_SHORT_LOG)
    except CommitFailedError:
        _LOG.info("%s: its log's length is set the next time", table.table_uri)
    except (DeltaError, OSError) as error:
        raise ServingError(f"{table.table_uri}: {error}") from error


def _batches(
    uri: str, files: pl.DataFrame, day: date, schema: pl.Schema, options: dict[str, str]
) -> "Iterator[RecordBatch]":
    """The rows of some files, in their order."""
    from arro3.core import Table

    columns = {name: dtype for name, dtype in schema.items() if name != "day"}
    n_rows = 0
    for paths in _portions(files):
        rows = pl.scan_parquet(
            [f"{uri}/{unquote(path)}" for path in paths],
            schema=columns,
            missing_columns="insert",  # those of features that came later
            hive_partitioning=False,
            glob=False,
            storage_options=options or None,
        )
        frame = rows.with_columns(day=pl.lit(day)).select(schema.names()).collect()
        n_rows += frame.height
        yield from Table.from_arrow(frame).to_batches()
    if n_rows != files["num_records"].sum():  # or the table would lose the difference
        raise OSError(f"{n_rows:,} rows were read of {files['num_records'].sum():,}")


def _portions(files: pl.DataFrame) -> Iterator[Sequence[str]]:
    """Paths, so many together as may be in memory at once."""
    paths: list[str] = []
    n_bytes = 0
    for path, size in files.select("path", "size_bytes").iter_rows():
        if paths and (len(paths) == _FILES_AT_ONCE or n_bytes + size > _BYTES_AT_ONCE):
            yield paths
            paths, n_bytes = [], 0
        paths.append(path)
        n_bytes += size
    if paths:
        yield paths


def _files(table: "DeltaTable") -> pl.DataFrame:
    """A table's files: `path`, `size_bytes`, `modification_time`, `num_records` and `day`."""
    wanted = ("path", "size_bytes", "modification_time", "num_records")
    return pl.DataFrame(table.get_add_actions(flatten=True)).select(*wanted, day="partition.day")


def _services(home: ServingHome) -> list[str]:
    """All that were declared here, or of which a segment ever was."""
    declared = {path.stem for path in home.manifests.glob("*.json")}
    folders = (home.predictions, home.events, home.failures, home.truths)
    seen = {path.name for folder in folders for path in folder.glob("*") if path.is_dir()}
    return sorted(declared | seen | {path.stem for path in home.retention("*").parent.glob("*")})

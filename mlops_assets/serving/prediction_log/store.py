"""The tables of predictions, failed requests and ground truth: Delta Lake, for each service.

A batch is written once however often it is offered: the commit carries the segment's name and the
offset behind the batch (a Delta application transaction), and an offset at or below the committed
one is skipped. Truth is joined when it is read, since it may come hours later and more than once.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from mlops_assets.errors import ServingError
from mlops_assets.serving.prediction_log.records import FEATURE_PREFIX
from mlops_assets.serving.prediction_log.tables import (
    FAILURE_TYPES,
    FAILURES,
    HALF_TYPES,
    HALVES,
    PREDICTION_TYPES,
    PREDICTIONS,
    STORED_KINDS,
    TRUTH,
    TRUTH_TYPES,
)

if TYPE_CHECKING:
    from deltalake import DeltaTable

_VACUUM_HOURS = 24
DAYS_APART = 2  # a response comes at most so long after its request


def _scan(table: "DeltaTable") -> pl.LazyFrame:
    """The rows of a table. Delta writes a path with a blank as a URI, which Polars would take for
    another path."""
    uri = table.table_uri
    if uri.startswith("file:") and "%" in uri:
        return pl.scan_pyarrow_dataset(table.to_pyarrow_dataset())
    return pl.scan_delta(table)


class PredictionStore:
    """The log tables under one root: a local folder or a URL of object storage.

    Args:
        root: The tables stand at `<root>/<service>/prediction_log` and `.../ground_truth`.
        storage_options: As deltalake takes them.

    Every method raises ServingError when a table is there and cannot be read.
    """

    def __init__(self, root: str, storage_options: Mapping[str, str] | None = None) -> None:
        self._root = root.rstrip("/")
        self._options = dict(storage_options or {})

    def uri(self, service: str, table: str) -> str:
        """Where a table stands."""
        return f"{self._root}/{service}/{table}"

    @property
    def storage_options(self) -> dict[str, str]:
        """As deltalake takes them."""
        return dict(self._options)

    def open_table(self, service: str, table: str) -> "DeltaTable | None":
        """A table as it is now; None when there is none."""
        return self._open(self.uri(service, table))

    def append_predictions(
        self,
        service: str,
        frame: pl.DataFrame,
        features: Iterable[tuple[str, str]],
        *,
        source: str,
        offset: int,
    ) -> bool:
        """Append predictions. False: this batch of the source is there already.

        Args:
            service: Whose.
            frame: As `frames.py` makes it.
            features: Name and kind of each feature in it.
            source: Segment that they come from.
            offset: Behind the batch in that segment.
        """
        columns = [(FEATURE_PREFIX + name, kind) for name, kind in features]
        frame = frame.rename(self._columns_beside(service, columns)).with_columns(
            day=pl.col("event_time").dt.date()
        )
        return self._append(self.uri(service, PREDICTIONS), frame, source, offset)

    def _columns_beside(self, service: str, columns: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Other names for features whose kind is another than that of their column.

        A version may take as a category what was a number before: both are kept, side by side.
        """
        table = self._open(self.uri(service, PREDICTIONS))
        if table is None:
            return {}
        stored = {field.name: getattr(field.type, "type", None) for field in table.schema().fields}
        return {
            name: f"{name}__{kind}"
            for name, kind in columns
            if name in stored and STORED_KINDS.get(str(stored[name])) != kind
        }

    def append_halves(
        self, service: str, rows: Sequence[Mapping[str, Any]], *, source: str, offset: int
    ) -> bool:
        """Append requests and responses that came apart. False: this batch is there already."""
        frame = pl.DataFrame(rows, schema=HALF_TYPES)
        return self._append(self.uri(service, HALVES), frame, source, offset)

    def find_pairs(self, service: str, ids: Sequence[str], day: date) -> list[tuple[Any, Any]]:
        """Requests and responses of some ids that are both there, each as a row of the table.

        Args:
            service: Whose.
            ids: Of the events.
            day: On or about which they came.
        """
        near = timedelta(days=DAYS_APART)
        halves = self.scan_halves(service, day - near, day + near)
        halves = halves.filter(pl.col("event_id").is_in(ids))
        requests: dict[tuple[str, str], Any] = {}
        responses: dict[tuple[str, str], Any] = {}
        for half in halves.collect().iter_rows(named=True):
            side = requests if half["kind"] == "request" else responses
            side[half["event_id"], half["component"]] = half
        return [(requests[key], responses[key]) for key in requests if key in responses]

    def append_truth(
        self, service: str, rows: Sequence[Mapping[str, Any]], *, source: str, offset: int
    ) -> bool:
        """Append truths. False: this batch of the source is there already."""
        frame = pl.DataFrame(rows, schema=TRUTH_TYPES)
        return self._append(self.uri(service, TRUTH), frame, source, offset)

    def append_failures(
        self, service: str, rows: Sequence[Mapping[str, Any]], *, source: str, offset: int
    ) -> bool:
        """Append failed requests. False: this batch of the source is there already."""
        frame = pl.DataFrame(rows, schema=FAILURE_TYPES)
        return self._append(self.uri(service, FAILURES), frame, source, offset)

    def committed_offset(self, service: str, table: str, source: str) -> int:
        """Offset up to which a source stands in a table already; 0 when nothing does."""
        found = self._open(self.uri(service, table))
        return 0 if found is None else found.transaction_version(source) or 0

    def table_version(self, service: str, table: str) -> int | None:
        """Number of a table's last commit; None when there is no table."""
        found = self._open(self.uri(service, table))
        return None if found is None else int(found.version())

    def forget_before(self, service: str, table: str, day: date) -> bool:
        """Delete whole days before one, and files that no reader of the last day needs.

        Returns:
            Whether there was anything to delete. What a deletion leaves of files, in case someone
            reads an older version of the table, goes a day later.
        """
        from deltalake.exceptions import DeltaError

        found = self.open_table(service, table)
        if found is None:
            return False
        try:
            old = any(part["day"] is None or part["day"] < str(day) for part in found.partitions())
            if old:
                found.delete(f"day < '{day}'")
        except (DeltaError, OSError) as error:
            raise ServingError(f"{found.table_uri}: {error}") from error
        self.remove_unread_files(service, table)
        return old

    def remove_unread_files(self, service: str, table: str) -> None:
        """Remove files that left a table a day ago, and what a killed writer left a day ago."""
        from deltalake.exceptions import DeltaError

        found = self.open_table(service, table)
        if found is None:
            return
        settings: dict[str, Any] = {"enforce_retention_duration": False, "full": True}
        try:
            if found.vacuum(_VACUUM_HOURS, dry_run=True, **settings):
                found.vacuum(_VACUUM_HOURS, dry_run=False, **settings)
        except (DeltaError, OSError) as error:
            raise ServingError(f"{found.table_uri}: {error}") from error

    def _append(self, uri: str, frame: pl.DataFrame, source: str, offset: int) -> bool:
        from deltalake import CommitProperties, Transaction, write_deltalake
        from deltalake.exceptions import DeltaError

        table = self._open(uri)
        if table is not None:
            committed = table.transaction_version(source)
            if committed is not None and committed >= offset:
                return False
        try:
            write_deltalake(
                uri if table is None else table,
                frame,
                mode="append",
                partition_by=["day"],
                schema_mode="merge",
                storage_options=self._options or None,
                commit_properties=CommitProperties(
                    app_transactions=[Transaction(app_id=source, version=offset)]
                ),
            )
        except (DeltaError, OSError) as error:
            raise ServingError(f"{uri} cannot be written: {error}") from error
        return True

    def _open(self, uri: str) -> "DeltaTable | None":
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            return DeltaTable(uri, storage_options=self._options or None)
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as error:
            raise ServingError(f"{uri} cannot be read: {str(error)[:300]}") from error

    def scan_predictions(
        self,
        service: str,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        shadow: bool = False,
    ) -> pl.LazyFrame:
        """Predictions of a window `[start, end)`, each id and row once: the first that was logged.

        With `shadow`, those of shadow revisions, which nobody was answered with and which carry
        the ids of the answers that somebody was; without it, all others. Empty, with the columns
        that every log has, when nothing was ever logged.
        """
        table = self._open(self.uri(service, PREDICTIONS))
        if table is None:
            return pl.LazyFrame(schema=PREDICTION_TYPES)
        frame = inside(_scan(table).filter(pl.col("shadow") == shadow), start, end)
        return frame.sort("event_time", maintain_order=True).unique(
            ["prediction_id", "row"], keep="first", maintain_order=True
        )

    def scan_ids(
        self, service: str, start: datetime | None = None, end: datetime | None = None
    ) -> pl.LazyFrame:
        """`prediction_id` and `row` of a window `[start, end)`, without shadows, in no order; what
        was logged twice may be there twice."""
        table = self._open(self.uri(service, PREDICTIONS))
        key = ["prediction_id", "row"]
        if table is None:
            return pl.LazyFrame(schema=PREDICTION_TYPES).select(key)
        return inside(_scan(table).filter(~pl.col("shadow")), start, end).select(key)

    def count_events(self, service: str, counts: pl.Expr, start: datetime, end: datetime) -> int:
        """Rows of a window that somebody was answered with, those that came twice twice.

        Args:
            service: Whose.
            counts: Which rows count.
            start: Begin of the window, included.
            end: Its end, excluded.
        """
        table = self._open(self.uri(service, PREDICTIONS))
        if table is None:
            return 0
        frame = inside(_scan(table).filter(~pl.col("shadow") & counts), start, end)
        return int(frame.select(pl.len()).collect().item())

    def scan_failures(
        self, service: str, start: datetime | None = None, end: datetime | None = None
    ) -> pl.LazyFrame:
        """Requests of a window `[start, end)` that a revision failed, shadows' among them."""
        table = self._open(self.uri(service, FAILURES))
        if table is None:
            return pl.LazyFrame(schema=FAILURE_TYPES)
        return inside(_scan(table), start, end)

    def scan_halves(
        self, service: str, first: date | None = None, last: date | None = None
    ) -> pl.LazyFrame:
        """Requests and responses that came apart, each once: the first that was received.

        Args:
            service: Whose.
            first: First day (UTC) of which they came; None: all.
            last: Last day, included.
        """
        table = self._open(self.uri(service, HALVES))
        if table is None:
            return pl.LazyFrame(schema=HALF_TYPES)
        halves = _scan(table)
        if first is not None:
            halves = halves.filter(pl.col("day") >= first)
        if last is not None:
            halves = halves.filter(pl.col("day") <= last)
        return halves.sort("received_at", maintain_order=True).unique(
            ["event_id", "component", "kind"], keep="first", maintain_order=True
        )

    def scan_truth(self, service: str) -> pl.LazyFrame:
        """Every truth that was sent, in the order of its arrival."""
        table = self._open(self.uri(service, TRUTH))
        if table is None:
            return pl.LazyFrame(schema=TRUTH_TYPES)
        return _scan(table).sort("received_at", maintain_order=True)

    def scan_judged(
        self, service: str, start: datetime | None = None, end: datetime | None = None
    ) -> pl.LazyFrame:
        """Predictions of a window with their truth: `truth` and `truth_received_at`, or null.

        The first truth counts; `contradicted` tells that a later one differs.
        """
        truth = (
            self.scan_truth(service)
            .group_by("prediction_id", "row", maintain_order=True)
            .agg(
                truth=pl.col("value").first(),
                truth_received_at=pl.col("received_at").first(),
                contradicted=pl.col("value").n_unique() > 1,
            )
        )
        predictions = self.scan_predictions(service, start, end)
        return predictions.join(truth, on=["prediction_id", "row"], how="left").with_columns(
            pl.col("contradicted").fill_null(False)
        )


def inside(frame: pl.LazyFrame, start: datetime | None, end: datetime | None) -> pl.LazyFrame:
    """Rows of a log table in `[start, end)`; whole days are passed over unread."""
    if start is not None:
        begin = start.astimezone(UTC)
        frame = frame.filter(pl.col("day") >= begin.date(), pl.col("event_time") >= begin)
    if end is not None:
        stop = end.astimezone(UTC)
        frame = frame.filter(pl.col("day") <= stop.date(), pl.col("event_time") < stop)
    return frame

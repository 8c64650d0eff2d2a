"""The rows of one window out of the prediction log, as they are judged.

Here: `LoggedWindow` and how it is read: each event once, one version, its features under their own
names. Not here: what is said of them (`judging.py`).

The log may grow while it is read: what stood there counts, and the window is judged again when more
has come. Events that came twice count once; those of other versions are counted and left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.monitoring.quality_counts import LogCounts
from mlops_assets.monitoring.windows import Window, cut_rows, read_rows_key
from mlops_assets.serving.prediction_log.records import FEATURE_PREFIX, PROBE_PREFIX
from mlops_assets.serving.prediction_log.store import PredictionStore

_COLUMNS = (
    "prediction_id", "row", "event_time", "model_version", "prediction", "probability",
    "probabilities", "truth", "truth_received_at", "contradicted",
)  # fmt: skip
_IS_PROBE = pl.col("prediction_id").str.starts_with(PROBE_PREFIX)
_TYPES: dict[str, pl.DataType] = {
    "number": pl.Float64(),
    "category": pl.String(),
    "boolean": pl.Boolean(),
}


@dataclass(frozen=True, slots=True)
class LoggedWindow:
    """What the log holds of a window.

    Attributes:
        window: Which.
        rows: Every row that somebody was answered with, of any version: what was answered, and
            its truth as far as it is known.
        log: What was counted on the way.
    """

    window: Window
    rows: pl.DataFrame
    log: LogCounts

    def versions(self) -> dict[str, int]:
        """Rows by version, most first; rows of unknown versions are left out."""
        counts = self.rows.filter(pl.col("model_version").is_not_null())
        found = counts.group_by("model_version").len().sort(["len", "model_version"])
        return {str(version): int(n) for version, n in reversed(found.rows())}

    def of_version(self, version: str) -> "LoggedWindow":
        """The rows of one version; the others are counted."""
        kept = self.rows.filter(pl.col("model_version") == version)
        n_others = self.log.n_other_versions + self.rows.height - kept.height
        log = self.log.model_copy(update={"n_other_versions": n_others})
        return LoggedWindow(self.window, kept, log)

    def features(self, fields: Sequence[FeatureField]) -> pl.DataFrame:
        """The raw features under their own names; one that was never logged is left out.

        Where a version took as a category what was a number before, the log has both columns.
        """
        columns = []
        for field in fields:
            beside = f"{FEATURE_PREFIX}{field.name}__{field.kind}"
            plain = FEATURE_PREFIX + field.name
            for name in (beside, plain):
                if name in self.rows.columns and self.rows[name].dtype == _TYPES[field.kind]:
                    columns.append(self.rows[name].alias(field.name))
                    break
        return pl.DataFrame(columns) if columns else pl.DataFrame()


def find_rows_window(
    store: PredictionStore,
    service: str,
    key: str,
    n_rows: int,
    begin: datetime | None,
    now: datetime,
) -> tuple[Window, int]:
    """The window of rows of a version that begins where the one before ended, and how many rows of
    the version the log holds behind it.

    Args:
        store: The log.
        service: Whose.
        key: Name of the window.
        n_rows: Rows that fill it.
        begin: End of the one before; None: it is the first.
        now: Aware; end of a window that is not full yet.

    Raises:
        MonitoringError: the name is none.
        ServingError: the log cannot be read.
    """
    version, _ = read_rows_key(key)
    times = (
        store.scan_predictions(service, begin)
        .filter(pl.col("model_version") == version, ~_IS_PROBE)
        .select("event_time")
        .collect()["event_time"]
    )
    window = cut_rows(key, times, n_rows, begin or now, now)
    return window, int((times >= window.end).sum())


def read_window(
    store: PredictionStore,
    service: str,
    window: Window,
    now: datetime,
    *,
    n_lost: int = 0,
    clock_tolerance: timedelta = timedelta(0),
) -> LoggedWindow:
    """The rows of a window as the log holds them now.

    Args:
        store: The log.
        service: Whose.
        window: Which.
        now: Aware; rows that are dated later are counted as from the future.
        n_lost: Records that could not be read on their way into the log.
        clock_tolerance: How far clocks may lie apart.

    Raises:
        ServingError: the log cannot be read.
    """
    rows = store.scan_judged(service, window.start, window.end).filter(~_IS_PROBE).collect()
    rows = rows.select(*_COLUMNS, pl.col(f"^{FEATURE_PREFIX}.*$"))
    rows = rows.sort("event_time", "prediction_id", "row")  # the same rows, the same redraws
    n_events = store.count_events(service, ~_IS_PROBE, window.start, window.end)
    log = LogCounts(
        n_duplicates=max(0, n_events - rows.height),
        n_future=int((rows["event_time"] > now + clock_tolerance).sum()),
        n_lost=n_lost,
    )
    return LoggedWindow(window, rows, log)

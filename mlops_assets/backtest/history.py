"""The past of a model: its rows, when each was predicted and when its truth came.

Here: `History`, and how it is read from a document through the contract, as the dataset is.
Not here: what is trained and judged on it (`training.py`, `judging.py`).
"""

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.data.history import row_times, rows_as_known, truth_times
from mlops_assets.data.snapshots import Lake
from mlops_assets.data.sources import open_source
from mlops_assets.errors import HistoryError
from mlops_assets.modeling.dataset_rows import ROW_ID, read_rows
from mlops_assets.modeling.features import make_features
from mlops_assets.modeling.target import has_target
from mlops_assets.monitoring.windows import Window, ended_windows
from mlops_assets.serving.prediction_log.records import FEATURE_PREFIX, label_text
from mlops_assets.spec import ModelSpec

_TICK = timedelta(microseconds=1)
_TRAINED_PART = 4  # of the time: so much is left to train on where the document names no day


@dataclass(frozen=True)
class History:
    """The past of a model.

    Attributes:
        spec: Its document.
        rows: The dataset as it was in the end, in its order.
        log: The rows that are played, by time, as the prediction log has them but without answers:
            `event_time`, `truth`, `truth_received_at`, `feature__<name>` and others.
        begin: From when on it is played.
        end: Until when.
    """

    spec: ModelSpec
    rows: pl.DataFrame
    log: pl.DataFrame
    begin: datetime
    end: datetime

    def known(self, now: datetime) -> pl.LazyFrame:
        """The dataset as it was known at a moment."""
        return rows_as_known(self.rows.lazy(), self.spec, now)

    def n_known(self, now: datetime) -> int:
        """Its rows."""
        times = row_times(self.rows.lazy(), self.spec)
        return int(self.rows.lazy().select((times < now).sum()).collect().item())

    def windows(self) -> list[Window]:
        """The windows that are judged, as the document cuts them. Rows of the same moment stay
        together, so a window of rows may hold a few more than asked."""
        settings = self.spec.monitoring.window
        if settings.every != "rows":
            return ended_windows(self.begin, self.end, settings.every)
        size = settings.rows or 1
        times = self.log["event_time"]
        found: list[Window] = []
        first = 0
        while first + size <= times.len():
            end = times[first + size - 1] + _TICK
            found.append(Window(key=f"{len(found) + 1:05d}", start=times[first], end=end))
            first = int(times.search_sorted(end, "left"))
        return found

    def positions(self, start: datetime, end: datetime) -> tuple[int, int]:
        """The rows of the log in `[start, end)`: first, and one behind the last."""
        times = self.log["event_time"]
        return int(times.search_sorted(start, "left")), int(times.search_sorted(end, "left"))

    def n_truths(self, window: Window, now: datetime | None = None) -> int:
        """Truths of a window that had come by a moment; None: that ever came."""
        low, high = self.positions(window.start, window.end)
        came: NDArray[np.int64] = self._came[low:high]
        limit = np.iinfo(np.int64).max if now is None else _epoch(now)
        return int((came < limit).sum())

    @cached_property
    def _came(self) -> NDArray[np.int64]:
        never = np.iinfo(np.int64).max
        return self.log["truth_received_at"].dt.epoch("us").fill_null(never).to_numpy()


def read_history(
    spec: ModelSpec, folder: Path, *, begin: datetime | None = None, end: datetime | None = None
) -> History:
    """The past of a model.

    Args:
        spec: Its document.
        folder: Where relative paths of its source start.
        begin: From when on to play; by default as the document says, else after a quarter.
        end: Until when; by default to the last whole window.

    Raises:
        HistoryError: it has no times, the contract refuses its rows, or too few are left.
        SourceError: the source cannot be read.
        FeatureError: features cannot be made of its rows.
    """
    rows = _read_dataset(spec, folder)
    return build_history(spec, rows, begin=begin, end=end)


def build_history(
    spec: ModelSpec,
    rows: pl.DataFrame,
    *,
    begin: datetime | None = None,
    end: datetime | None = None,
) -> History:
    """The same of rows that are read. See `read_history`."""
    lazy = rows.lazy()
    times = lazy.select(row_times(lazy, spec)).collect().to_series()
    oldest, newest = times.min(), times.max()
    if not isinstance(oldest, datetime) or not isinstance(newest, datetime):
        raise HistoryError(f"{spec.name}: the history has no row with a time")
    declared = spec.history.begin
    first = begin or (
        datetime.combine(declared, time(), UTC)
        if declared is not None
        else _midnight(oldest + (newest - oldest) / _TRAINED_PART)
    )
    last = end or newest + _TICK
    if not oldest < first < last:
        raise HistoryError(
            f"{spec.name}: nothing can be played from {first:%Y-%m-%d} to {last:%Y-%m-%d}; the "
            f"rows run from {oldest:%Y-%m-%d} to {newest:%Y-%m-%d}, and some must train first"
        )
    log = _log(spec, rows).filter(pl.col("event_time").is_between(first, last, closed="left"))
    return History(spec, rows, log.sort("event_time", maintain_order=True), first, last)


def _read_dataset(spec: ModelSpec, folder: Path) -> pl.DataFrame:
    """The rows through the contract, as the dataset asset keeps them."""
    source = (spec.history.source or spec.source).model_copy(update={"partitions": None})
    contract = spec.contract.model_copy(update={"maximum_age": None})  # the past is old
    whole = spec.model_copy(update={"source": source, "contract": contract})
    with tempfile.TemporaryDirectory() as scratch:
        lake = Lake(scratch)
        snapshot = lake.write_snapshot(
            whole, open_source(source, base=folder), now=datetime.now(UTC)
        )
        if not snapshot.contract.passed:
            raise HistoryError(
                f"{spec.name}: the contract refuses the history: {snapshot.contract.reason}"
            )
        return lake.read_snapshot(snapshot).collect()


def _log(spec: ModelSpec, rows: pl.DataFrame) -> pl.DataFrame:
    """What the prediction log would hold of the rows, without answers."""
    lazy = rows.lazy()
    raw = read_rows(lazy, spec)
    clocks = lazy.select(
        event_time=row_times(lazy, spec), truth_received_at=truth_times(lazy, spec)
    ).collect()
    target = raw[spec.target.column]
    told = has_target(target)
    texts = pl.Series([None if v is None else label_text(v) for v in target], dtype=pl.String)
    features = [s.alias(FEATURE_PREFIX + s.name) for s in make_features(raw, spec)]
    frame = pl.DataFrame(
        [
            raw[ROW_ID].cast(pl.String).alias("prediction_id"),
            pl.Series("row", [0], dtype=pl.Int32).new_from_index(0, raw.height),
            *clocks.get_columns(),
            texts.set(~told, None).alias("truth"),
            *features,
        ]
    )
    came = pl.when(pl.col("truth").is_not_null()).then("truth_received_at")
    return frame.with_columns(truth_received_at=came, contradicted=pl.lit(value=False))


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def _epoch(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6)

"""Which of the rows that train are really used: `retraining.training_window` of the document.

Here: a pure function from times to the oldest that trains. Rows that validate are not touched by
it, and rows keep their side of the split: one that is left out stays on the training side.
"""

from datetime import datetime

import polars as pl
from pydantic import BaseModel, ConfigDict

from mlops_assets.modeling.features import VALIDATES
from mlops_assets.modeling.split import TIME
from mlops_assets.spec.retraining import TrainingWindowSpec


class TrainingWindow(BaseModel):
    """The rows that a model is trained on.

    Attributes:
        oldest_at: Rows before this are left out; None: none is.
        newest_at: Time of the newest row that trains; None without a time column.
        n_rows: Rows that train.
        n_left_out: Rows on the training side that are older.
        reason: In words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    oldest_at: datetime | None = None
    newest_at: datetime | None = None
    n_rows: int
    n_left_out: int = 0
    reason: str


def choose_training_window(
    frame: pl.DataFrame, declared: TrainingWindowSpec | None, champion_until: datetime | None
) -> TrainingWindow:
    """Which rows train.

    Rows of the same time stay together, so a few more than asked may train.

    Args:
        frame: A training frame with its sides.
        declared: What the document says; None: all rows.
        champion_until: Time of the newest row that the champion was trained on; None: there is no
            champion, or nobody knows.
    """
    side = frame.filter(~frame[VALIDATES])
    if TIME not in frame.columns or not side.height:
        return TrainingWindow(n_rows=side.height, reason=f"all {side.height:,} rows")
    times = side[TIME].sort()
    newest: datetime = times[-1]
    everything = TrainingWindow(
        newest_at=newest, n_rows=side.height, reason=f"all {side.height:,} rows"
    )
    if declared is None or declared.keep == "all":
        return everything
    oldest, told = _oldest(times, declared, champion_until)
    kept = times.filter(times >= oldest).len() if oldest is not None else 0
    if oldest is None or kept < declared.minimum_rows:
        n_wanted = min(declared.minimum_rows, times.len())
        oldest = times[times.len() - n_wanted]
        told = f"{told}, which leaves {kept:,}; so many that there are {n_wanted:,}"
        kept = times.filter(times >= oldest).len()
    return TrainingWindow(
        oldest_at=oldest,
        newest_at=newest,
        n_rows=kept,
        n_left_out=times.len() - kept,
        reason=f"{kept:,} of {times.len():,} rows, since {oldest:%Y-%m-%d %H:%M} UTC: {told}",
    )


def trained_rows(frame: pl.DataFrame, window: TrainingWindow | None) -> pl.DataFrame:
    """The rows of a frame that train."""
    side = frame.filter(~frame[VALIDATES])
    if window is None or window.oldest_at is None:
        return side
    return side.filter(side[TIME] >= window.oldest_at)


def _oldest(
    times: pl.Series, declared: TrainingWindowSpec, champion_until: datetime | None
) -> tuple[datetime | None, str]:
    """The oldest time that trains by the rule alone; None: no row."""
    if declared.keep == "duration" and declared.duration is not None:
        inside = times.filter(times > times[-1] - declared.duration)
        return inside[0], f"the newest {declared.duration}"
    if declared.keep == "rows" and declared.rows is not None:
        return times[max(times.len() - declared.rows, 0)], f"the newest {declared.rows:,}"
    if champion_until is None:
        return times[0], "all, since nobody knows what the champion was trained on"
    newer = times.filter(times > champion_until)
    told = f"newer than the champion's newest, {champion_until:%Y-%m-%d %H:%M} UTC"
    return (newer[0] if newer.len() else None), told

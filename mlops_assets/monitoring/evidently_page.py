"""The page that people look at: Evidently's drift report on a sample, with our verdict in it.

Evidently draws; it does not judge. Each column is marked as the calibrated engine judged it on all
rows, and the verdict stands on top. A page takes 3 s of CPU and 4 MB, whatever the number of rows,
so it is made when a verdict changes, or on demand.
"""

import html
import io
import os
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from mlops_assets.monitoring.report import ColumnDrift, DriftReport
from mlops_assets.monitoring.window_record import WindowRecord

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 2_000
"""Rows of each side on a page."""

_MARK = "<body>"
_SEED = 0


def sample_rows(rows: pl.DataFrame, most: int = MOST_ROWS) -> pl.DataFrame:
    """Some of the rows, the same ones each time."""
    return rows if rows.height <= most else rows.sample(most, seed=_SEED)


def write_sample(rows: pl.DataFrame) -> bytes:
    """A sample of a reference as it is stored: Parquet."""
    opened = io.BytesIO()
    sample_rows(rows).write_parquet(opened)
    return opened.getvalue()


def read_sample(content: bytes) -> pl.DataFrame:
    """The stored sample."""
    return pl.read_parquet(io.BytesIO(content))


def build_page(record: WindowRecord, reference: pl.DataFrame, current: pl.DataFrame) -> bytes:
    """The page of a judged window, in HTML that needs no network.

    Args:
        record: The window, with its drift report.
        reference: A sample of the rows that the version was trained on.
        current: The window's features; a sample is taken.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it imports
        page = _render(record.drift, sample_rows(reference), sample_rows(current))
    return page.replace(_MARK, f"{_MARK}{_banner(record)}", 1).encode()


def _render(drift: DriftReport | None, reference: pl.DataFrame, current: pl.DataFrame) -> str:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    judged = {c.column: c for c in (drift.columns if drift is not None else ())}
    shown = [
        name
        for name in reference.columns
        if name in current.columns
        and reference[name].null_count() < reference.height
        and current[name].null_count() < current.height
    ]
    if not shown or not current.height:
        return f"<html>{_MARK}<p>No column has values on both sides.</p></body></html>"
    numbers = [name for name in shown if reference[name].dtype.is_numeric()]
    definition = DataDefinition(
        numerical_columns=numbers,
        categorical_columns=[name for name in shown if name not in numbers],
    )
    sides = [
        Dataset.from_pandas(_as_pandas(side.select(shown)), data_definition=definition)
        for side in (reference, current)
    ]
    preset = DataDriftPreset(
        columns=shown,
        drift_share=_share_that_says_the_same(drift),
        per_column_method={name: _as_judged(name, judged.get(name)) for name in shown},
    )
    snapshot = Report([preset]).run(sides[1], sides[0])
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "page.html")
        snapshot.save_html(str(path))
        return path.read_text(encoding="utf-8")


def _share_that_says_the_same(drift: DriftReport | None) -> float:
    """The limit at which its headline says what we say; ours knows importance and predictions."""
    share = (drift.share_ratio if drift is not None else None) or 0.0
    if drift is not None and drift.state == "drift":
        return share
    return 0.5 if share < 0.5 else 1.0


def _as_judged(name: str, column: ColumnDrift | None) -> str:
    """A method of Evidently's, by its name, that says what was found on all rows.

    It keeps methods by name for the whole process; the next page says anew what each name means.
    """
    from evidently.legacy.calculations.stattests.registry import StatTest, register_stattest
    from evidently.legacy.core import ColumnType

    moved = (column.shift_ratio if column is not None else None) or 0.0
    has_drifted = column is not None and column.state == "drifted"

    def judged(*_: Any) -> tuple[float, bool]:
        return moved, has_drifted

    method = StatTest(
        name=f"share of rows that moved, {name}",
        display_name="share of rows that moved",
        allowed_feature_types=[ColumnType.Numerical, ColumnType.Categorical],
    )
    register_stattest(method, judged)
    return str(method.name)


def _as_pandas(rows: pl.DataFrame) -> "pd.DataFrame":
    texts = [name for name, dtype in rows.schema.items() if not dtype.is_numeric()]
    return rows.with_columns(pl.col(texts).cast(pl.String)).to_pandas()


def _banner(record: WindowRecord) -> str:
    verdict, window = record.verdict, record.verdict.window
    told = (
        f"{window.model} v{window.model_version}, {window.start:%Y-%m-%d %H:%M} to "
        f"{window.end:%Y-%m-%d %H:%M} UTC, {window.n_rows:,} rows: {verdict.verdict}"
    )
    return (
        '<div style="font-family:sans-serif;padding:12px 24px;background:#f3f4f6">'
        f"<strong>{html.escape(told)}</strong><br>{html.escape(verdict.reason)}<br>"
        f"<small>Judged on all rows; drawn from samples of at most {MOST_ROWS:,}. A column is "
        "marked as drifted when the calibrated engine says so; its score is the share of rows "
        "that moved.</small></div>"
    )

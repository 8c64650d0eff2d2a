"""The rows of the prediction log that a question asks for, reduced to what is measured.

Here: the columns that are kept of each table, as Polars expressions; nothing is read.
Not here: which files are read (`log_source.py`, `log_tail.py`), and the sums (`measuring.py`).
"""

from datetime import UTC, datetime
from typing import Any

import polars as pl

from mlops_assets.rollout.measuring import FEATURE_PREFIX
from mlops_assets.rollout.metrics_source import Question, Subject

ANSWERS: dict[str, Any] = {
    "id": pl.String(),
    "row": pl.Int32(),
    "at": pl.Datetime("us", "UTC"),
    "arm": pl.String(),
    "unit": pl.String(),
    "seconds": pl.Float64(),
    "label": pl.String(),
    "score": pl.Float64(),
    "probabilities": pl.List(pl.Float64()),
    "invalid": pl.Boolean(),
}
FAILED: dict[str, Any] = {
    "id": pl.String(),
    "at": pl.Datetime("us", "UTC"),
    "arm": pl.String(),
    "unit": pl.String(),
}
TRUTHS: dict[str, Any] = {
    "id": pl.String(),
    "row": pl.Int32(),
    "truth": pl.String(),
    "received_at": pl.Datetime("us", "UTC"),
}


def reduce_answers(
    rows: pl.LazyFrame,
    question: Question,
    start: datetime,
    end: datetime | None,
    features: set[str] | None,
) -> pl.LazyFrame:
    """The rows of the arms in the window.

    Args:
        rows: Of the prediction log.
        question: Whose revisions are the arms.
        start: Begin of the window.
        end: Its end, which is not in it; None: there is none yet.
        features: Features that are kept; None: all.
    """
    known = rows.collect_schema().names()
    wanted = [FEATURE_PREFIX + name for name in sorted(features or ())]
    if features is None:
        wanted = [name for name in known if name.startswith(FEATURE_PREFIX)]
    score = score_of_row()
    shares = pl.col("probabilities").list.eval(~pl.element().is_finite()).list.any()
    unit = pl.col("unit") if "unit" in known else pl.lit("")
    return _inside(rows, start, end).select(
        id=pl.col("prediction_id"),
        row=pl.col("row"),
        at=pl.col("event_time"),
        arm=_arm(question),
        unit=pl.when(unit == "").then(pl.col("prediction_id")).otherwise(unit),
        seconds=pl.col("latency_ms") / 1000,
        label=pl.col("prediction"),
        score=score,
        probabilities=pl.col("probabilities"),
        invalid=shares.fill_null(False)
        | (~score.is_finite()).fill_null(question.subject.task == "regression")
        | pl.col("prediction").str.to_lowercase().is_in(_no_answers(question.subject)),
        **{name: pl.col(name) for name in wanted if name in known},
    ).filter(pl.col("arm").is_not_null())  # fmt: skip


def reduce_failures(
    rows: pl.LazyFrame, question: Question, start: datetime, end: datetime | None
) -> pl.LazyFrame:
    """The failed requests of the arms in the window."""
    unit = pl.col("unit")
    return _inside(rows, start, end).select(
        id=pl.col("prediction_id"),
        at=pl.col("event_time"),
        arm=_arm(question),
        unit=pl.when(unit == "").then(pl.col("prediction_id")).otherwise(unit),
    ).filter(pl.col("arm").is_not_null())  # fmt: skip


def reduce_truths(rows: pl.LazyFrame, start: datetime) -> pl.LazyFrame:
    """Truths that arrived in the window or after it, as text."""
    return rows.filter(pl.col("received_at") >= start.astimezone(UTC)).select(
        id=pl.col("prediction_id"),
        row=pl.col("row"),
        truth=pl.col("value"),
        received_at=pl.col("received_at"),
    )


def _inside(rows: pl.LazyFrame, start: datetime, end: datetime | None) -> pl.LazyFrame:
    rows = rows.filter(pl.col("event_time") >= start.astimezone(UTC))
    return rows if end is None else rows.filter(pl.col("event_time") < end.astimezone(UTC))


def _arm(question: Question) -> pl.Expr:
    """Whose answer a row is; null: nobody's that is asked about."""
    arm = pl.lit(None, pl.String)
    for name, revision in question.revisions.items():
        shadow = question.mirrored and name == "challenger"
        is_its = (pl.col("revision") == revision) & (pl.col("shadow") == shadow)
        arm = pl.when(is_its).then(pl.lit(name)).otherwise(arm)
    return arm


def _no_answers(subject: Subject) -> list[str]:
    """Labels that are none; a class may be called like one of them."""
    classes = {label.lower() for label in subject.classes}
    return [word for word in ("nan", "none", "inf", "-inf") if word not in classes]


def score_of_row() -> pl.Expr:
    """The probability, or the predicted number where there is none."""
    number = pl.col("prediction").cast(pl.Float64, strict=False)
    return pl.coalesce(pl.col("probability"), number).alias("score")


def empty(types: dict[str, Any]) -> pl.DataFrame:
    """No rows of these columns."""
    return pl.DataFrame(schema=types)

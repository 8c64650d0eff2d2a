"""Logged answers as frames: the columns of the table of predictions, but for its day.

A whole batch of records becomes columns at once: predictors log thousands of answers a second, and
what is done for each of their values decides whether the sink keeps up.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from mlops_assets.errors import ServingError
from mlops_assets.serving.prediction_log.records import (
    FEATURE_PREFIX,
    LoggedAnswer,
    Preamble,
    RecordReader,
    label_text,
)
from mlops_assets.serving.prediction_log.tables import FEATURE_TYPES, PREDICTION_TYPES
from mlops_assets.serving.prediction_log.timeline import Timeline

_REAL_TIME = Timeline()


def read_frame(
    reader: RecordReader, records: Iterable[bytes], played: Timeline = _REAL_TIME
) -> tuple[pl.DataFrame, list[str]]:
    """The rows of a segment's records, and what is wrong with those that cannot be read.

    Args:
        reader: Of the segment.
        records: As `read_records` gives them; a request of n rows gives n.
        played: Which moments the real ones stand for.
    """
    answers, problems = [], []
    for record in records:
        try:
            answers.append(reader.read(record))
        except ServingError as error:
            problems.append(str(error))
    return _build(reader.preamble, answers, played), problems


def build_frame(
    rows: Sequence[Mapping[str, Any]], features: Iterable[tuple[str, str]]
) -> pl.DataFrame:
    """Rows as a frame.

    Args:
        rows: Values by column; `event_us`, in microseconds since 1970, for `event_time`.
        features: Name and kind of each feature.
    """
    types = _types(features)
    frame = pl.DataFrame(
        {
            name: [row["event_us" if name == "event_time" else name] for row in rows]
            for name in types
        },
        schema_overrides={**types, "event_time": pl.Int64()},
    )
    return _with_time(frame)


def _build(preamble: Preamble, answers: Sequence[LoggedAnswer], played: Timeline) -> pl.DataFrame:
    types = _types(preamble.features)
    if not answers:
        return pl.DataFrame(schema=types)
    records = [answer.record for answer in answers]
    n_rows = np.array([len(record.labels) for record in records], dtype=np.int64)
    requests = pl.DataFrame(
        {
            "prediction_id": [record.prediction_id for record in records],
            "event_time": [played.past_ns(record.at_ns) // 1000 for record in records],
            "protocol": [record.protocol for record in records],
            "latency_ms": [record.latency_ns / 1e6 for record in records],
            "shadow": [record.shadow for record in records],
            "unit": [record.unit for record in records],
            "begins_at": np.cumsum(n_rows) - n_rows,
        },
        schema_overrides={"event_time": pl.Int64()},
    )
    frame = requests[np.repeat(np.arange(len(records)), n_rows)].with_columns(
        *_answer_columns(preamble, answers),
        *_feature_columns(preamble, answers),
        revision=pl.lit(preamble.revision),
        model_version=pl.lit(preamble.model_version),
        row=pl.int_range(pl.len()) - pl.col("begins_at"),
    )
    return _with_time(frame).select(pl.col(name).cast(kind) for name, kind in types.items())


def _answer_columns(preamble: Preamble, answers: Sequence[LoggedAnswer]) -> list[pl.Series]:
    labels = [label_text(label) for answer in answers for label in answer.record.labels]
    told = pl.Series("prediction", labels, pl.String())
    if not any(answer.shares is not None for answer in answers):
        nothing = [None] * len(labels)
        return [told, pl.Series("probability", nothing), pl.Series("probabilities", nothing)]
    n_classes = len(preamble.classes or ())
    shares = np.concatenate(
        [
            np.full((len(answer.record.labels), n_classes), np.nan)
            if answer.shares is None
            else answer.shares
            for answer in answers
        ]
    ).astype(np.float64)
    # Of class 1 for two classes, of the predicted class for more.
    chosen = pl.Series("probability", shares[:, 1] if n_classes == 2 else shares.max(axis=1))
    listed = pl.Series("probabilities", shares).cast(pl.List(pl.Float64()))
    return [told, chosen.fill_nan(None), listed.set(chosen.is_nan(), None)]


def _feature_columns(preamble: Preamble, answers: Sequence[LoggedAnswer]) -> list[pl.Series]:
    rows = [row for answer in answers for row in answer.rows]
    columns: Iterable[Sequence[Any]] = zip(*rows, strict=True)
    return [
        pl.Series(FEATURE_PREFIX + name, values, FEATURE_TYPES[kind])
        for (name, kind), values in zip(preamble.features, columns, strict=True)
    ]


def _types(features: Iterable[tuple[str, str]]) -> dict[str, Any]:
    return {
        **{name: kind for name, kind in PREDICTION_TYPES.items() if name != "day"},
        **{FEATURE_PREFIX + name: FEATURE_TYPES[kind] for name, kind in features},
    }


def _with_time(frame: pl.DataFrame) -> pl.DataFrame:
    moment = pl.from_epoch("event_time", "us").dt.replace_time_zone("UTC")
    return frame.with_columns(event_time=moment)

"""What windows are compared with for drift: counts of the rows that a model was trained on, counts
of its answers to rows that it was not, and how much each feature matters to it.

Here: `DriftReference`, stored as JSON with the evaluation's run, how it is made, and the frames in
which reference and window have the same columns.
Not here: what is made of it in a window (`drift.py`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import polars as pl

from mlops_assets.errors import MonitoringError
from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.modeling.metrics import Floats
from mlops_assets.monitoring.answers import Subject
from mlops_assets.monitoring.counting import sketch_reference
from mlops_assets.monitoring.layout import Layout, Selection, WatchedColumn
from mlops_assets.monitoring.sketch import RowSample, Sketch
from mlops_assets.monitoring.stored import read_sketch, write_sketch
from mlops_assets.serving.prediction_log.records import label_text

FORMAT = 1
TIME, PREDICTION = "__time", "__prediction"


@dataclass(frozen=True)
class DriftReference:
    """What a version's windows are compared with.

    Attributes:
        features: Counts of the rows that it was trained on.
        answers: Counts of its answers to rows that validate; None when there are none.
        importance: Loss by feature when it is shuffled; empty when it is unknown.
    """

    features: Sketch
    answers: Sketch | None
    importance: Mapping[str, float]

    def only(self, names: Sequence[str]) -> "DriftReference":
        """The same for some of the features: those that are logged."""
        layout = self.features.layout
        kept = [name for name in layout.columns if name in set(names)]
        if len(kept) == len(layout.columns):
            return self
        return replace(self, features=_narrow(self.features, kept))

    def to_storage(self) -> str:
        """The stored form: JSON."""
        answers = None if self.answers is None else write_sketch(self.answers)
        return json.dumps(
            {
                "format": FORMAT,
                "features": write_sketch(self.features),
                "answers": answers,
                "importance": dict(self.importance),
            }
        )

    @staticmethod
    def from_storage(text: str) -> "DriftReference":
        """The reference of its stored form.

        Raises:
            MonitoringError: it is none, or was written by a later version of this platform.
        """
        try:
            found: Any = json.loads(text)
            if found["format"] != FORMAT:
                raise MonitoringError(
                    f"a drift reference of format {found['format']}, this platform reads {FORMAT}"
                )
            answers = None if found["answers"] is None else read_sketch(found["answers"])
            return DriftReference(read_sketch(found["features"]), answers, found["importance"])
        except (ValueError, KeyError, TypeError) as error:
            raise MonitoringError(f"a drift reference cannot be read: {error!r}") from error


def build_drift_reference(
    trained: pl.DataFrame,
    fields: Sequence[FeatureField],
    subject: Subject,
    answered: tuple[Floats, pl.Series | None],
    *,
    importance: Mapping[str, float],
    slices: Sequence[str] = (),
    block: Literal["day", "hour"] = "day",
) -> DriftReference:
    """The reference of a model.

    Args:
        trained: Rows that it was trained on: its raw features, and `__time` where there is one.
        fields: The features.
        subject: What it answers.
        answered: Its answers to rows that validate, and the times of these rows.
        importance: Loss by feature when it is shuffled.
        slices: Features whose values are each judged on their own.
        block: Length of the stretches of time that stay together in the null.

    Raises:
        MonitoringError: there are no rows.
    """
    time_column = TIME if TIME in trained.columns else None
    names = {field.name for field in fields}
    selection = Selection(
        tuple(WatchedColumn(field.name, field.kind) for field in fields),
        tuple(name for name in slices if name in names),
        time_column,
        block,
    )
    features = sketch_reference(trained.select([*names, *filter(None, [time_column])]), selection)
    predicted, times = answered
    answers = None
    if len(predicted):
        watched = WatchedColumn(PREDICTION, answer_kind(subject), "prediction")
        frame = answer_frame(answers_as_series(predicted, subject), times)
        has_time = TIME if times is not None else None
        answers = sketch_reference(frame, Selection((watched,), (), has_time, block))
    return DriftReference(features, answers, importance)


def answer_kind(subject: Subject) -> Literal["number", "category"]:
    """How answers are compared: the probability of class 1 of two, the class of more, numbers."""
    return "category" if subject.task == "multiclass" else "number"


def answers_as_series(predicted: Floats, subject: Subject) -> pl.Series:
    """Answers as they are compared, from probabilities [rows, classes] or numbers [rows]."""
    if subject.task == "regression":
        return pl.Series(predicted)
    if subject.task == "binary":
        return pl.Series(predicted[:, 1])
    texts = [label_text(label) for label in subject.classes]
    return pl.Series([texts[k] for k in predicted.argmax(axis=1)], dtype=pl.String)


def answer_frame(answers: pl.Series, times: pl.Series | None) -> pl.DataFrame:
    """The frame in which answers are counted."""
    columns = [answers.alias(PREDICTION)]
    return pl.DataFrame(columns if times is None else [*columns, times.alias(TIME)])


def _narrow(sketch: Sketch, kept: list[str]) -> Sketch:
    layout = sketch.layout
    at = [position for position, name in enumerate(layout.columns) if name in kept]
    slices = [k for k, part in enumerate(layout.slices) if part.column in kept]
    sample = sketch.sample
    columns = {
        name: replace(sketch.columns[name], by_slice=sketch.columns[name].by_slice[slices])
        for name in kept
    }
    return Sketch(
        Layout(
            {name: layout.columns[name] for name in kept},
            tuple(layout.slices[k] for k in slices),
            layout.time_column,
            layout.block,
        ),
        sketch.n_rows,
        sketch.blocks,
        columns,
        RowSample(sample.keys, sample.blocks, sample.codes[:, at]),
        sketch.unknown_columns,
    )

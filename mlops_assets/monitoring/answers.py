"""What a model answered in a window, and what turned out to be true, as arrays.

Here: `Answers`, and how the columns of the prediction log become them.
Not here: metrics (`realised.py`) and estimates (`estimation.py`).

A truth is text, as it came. With two classes whose log says 0 and 1, it may be one of these or the
value of the target column: the positive one is 1, any other is 0. With more classes a text that is
none of them counts as unreadable, as does a text that is no number in a regression.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.modeling.metrics import Floats
from mlops_assets.serving.prediction_log.records import label_text
from mlops_assets.spec.data import Task

Booleans = NDArray[np.bool_]
Label = str | int | bool


@dataclass(frozen=True, slots=True)
class Subject:
    """What a model answers.

    Attributes:
        task: What kind of answer.
        classes: Labels in the order of the probabilities; empty for regression.
        positive: The value of the target column that class 1 of two stands for; None: it is 1.
    """

    task: Task
    classes: tuple[Label, ...] = ()
    positive: Label | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """Rows that a model answered.

    Attributes:
        subject: What it answers.
        predicted: Probabilities [rows, classes], or numbers [rows].
        truth: Class as position of its column, or number; 0 where it is unknown.
        known: Whether the truth of a row is known, readable and not contradicted.
    """

    subject: Subject
    predicted: Floats
    truth: NDArray[Any]
    known: Booleans

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.predicted)

    def with_truth(self) -> "Answers":
        """The rows whose truth is known."""
        return self.at(np.flatnonzero(self.known))

    def at(self, rows: NDArray[np.int64]) -> "Answers":
        """Some rows."""
        return Answers(self.subject, self.predicted[rows], self.truth[rows], self.known[rows])

    def losses(self) -> Floats:
        """The loss of each row with truth: Brier for classes, absolute error for numbers.

        Means of it add up over parts of the rows, so it can be told where a loss comes from.
        """
        if self.subject.task == "regression":
            errors: Floats = np.abs(self.predicted - self.truth)
            return errors
        one_hot = np.eye(self.predicted.shape[1])[self.truth]
        half = 0.5 if self.predicted.shape[1] == 2 else 1.0
        squares: Floats = half * ((self.predicted - one_hot) ** 2).sum(axis=1)
        return squares


def answers_of(subject: Subject, predicted: Floats, truth: NDArray[Any]) -> Answers:
    """Answers whose truth is all known, as at an evaluation."""
    return Answers(subject, predicted, truth, np.ones(len(predicted), dtype=np.bool_))


def read_answers(rows: pl.DataFrame, subject: Subject) -> Answers:
    """The answers of logged rows.

    Args:
        rows: `prediction`, `probabilities`, `truth` and `contradicted` as the prediction log gives
            them; none that `unusable` tells.
        subject: What the model answers.
    """
    truth, known = _read_truth(rows["truth"], subject)
    known &= ~rows["contradicted"].to_numpy()
    if subject.task == "regression":
        numbers = rows["prediction"].cast(pl.Float64, strict=False).to_numpy()
        return Answers(subject, numbers, truth, known)
    shares = rows["probabilities"].to_list()
    predicted = np.array(shares, dtype=np.float64).reshape(rows.height, len(subject.classes))
    return Answers(subject, predicted, truth, known)


def unusable(rows: pl.DataFrame, subject: Subject) -> pl.Series:
    """Rows whose answer is no number, or not one probability for each class."""
    if subject.task == "regression":
        numbers = rows["prediction"].cast(pl.Float64, strict=False)
        return ~numbers.is_finite().fill_null(False)
    shares = rows["probabilities"]
    fits = (shares.list.len() == len(subject.classes)).fill_null(False)
    finite = shares.list.eval(pl.element().is_finite() & pl.element().is_not_null()).list.all()
    return ~(fits & finite.fill_null(False))


def is_readable(truth: pl.Series, subject: Subject) -> Booleans:
    """Whether each truth that is there can be read; false where there is none."""
    return _read_truth(truth, subject)[1]


def _read_truth(truth: pl.Series, subject: Subject) -> tuple[NDArray[Any], Booleans]:
    if subject.task == "regression":
        numbers = truth.cast(pl.Float64, strict=False)
        known = numbers.is_finite().fill_null(False)
        return numbers.set(~known, 0.0).to_numpy(), known.to_numpy()
    texts = [label_text(label) for label in subject.classes]
    positions = truth.replace_strict(
        texts, list(range(len(texts))), default=None, return_dtype=pl.Int64
    )
    if subject.positive is not None and _is_named_otherwise(texts, subject.positive):
        meant = (truth == label_text(subject.positive)).cast(pl.Int64)
        positions = positions.fill_null(meant)
    return positions.fill_null(0).to_numpy(), positions.is_not_null().to_numpy()


def _is_named_otherwise(texts: Sequence[str], positive: Label) -> bool:
    return len(texts) == 2 and label_text(positive) not in texts

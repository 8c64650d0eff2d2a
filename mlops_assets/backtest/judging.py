"""Windows of the past under some champion: what it would have answered, and the verdict on that.

The verdicts are those of `monitoring/judging.py`, on rows as the prediction log would hold them.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.backtest.history import History
from mlops_assets.backtest.training import Candidate, Trainer
from mlops_assets.modeling.contestants import answer
from mlops_assets.monitoring.answers import Answers, read_answers
from mlops_assets.monitoring.at_evaluation import subject_of
from mlops_assets.monitoring.judging import judge
from mlops_assets.monitoring.logged_window import LoggedWindow
from mlops_assets.monitoring.null import NullCache
from mlops_assets.monitoring.quality_counts import LogCounts
from mlops_assets.monitoring.report import DriftReport
from mlops_assets.monitoring.trust import EstimateError
from mlops_assets.monitoring.verdict import WindowVerdict
from mlops_assets.monitoring.windows import Window, window_at
from mlops_assets.serving.prediction_log.records import FEATURE_PREFIX, label_text

_CHUNK = 10_000  # rows that are answered at once


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is said of a window.

    Attributes:
        verdict: In a word, and why.
        errors: How far the estimate was off, once there is enough truth.
        n_truths: Truths that had come.
    """

    verdict: WindowVerdict
    errors: tuple[EstimateError, ...]
    n_truths: int


class Judge:
    """Judges windows of a history; the same window of the same champion once.

    Args:
        history: The past.
        trainer: What the champions come from.
    """

    def __init__(self, history: History, trainer: Trainer) -> None:
        self._history, self._trainer = history, trainer
        self._answered: dict[tuple[str, int], NDArray[np.float64]] = {}
        self._judged: dict[tuple[str, str, int, int], Judgement] = {}
        self._drifts: dict[tuple[str, str], DriftReport] = {}
        self._nulls = NullCache()

    def is_due(self, window: Window, former: Judgement | None, now: datetime) -> bool:
        """Whether a window that ended is to be judged, or once more since truth came.

        Days without a row are passed over. Once more when enough truth is there to compare, and
        when all is.
        """
        if former is None:
            day = window_at(window.start, "day")
            low, high = self._history.positions(day.start, max(day.end, window.end))
            return low < high
        came = self._history.n_truths(window, now)
        if came == former.n_truths:
            return False
        low, high = self._history.positions(window.start, window.end)
        enough = self._history.spec.monitoring.performance.minimum_truth_ratio * (high - low)
        crossed = former.n_truths < enough <= came
        return crossed or came == self._history.n_truths(window)

    def judge(
        self, champion: Candidate, window: Window, now: datetime, errors: list[EstimateError]
    ) -> Judgement:
        """The verdict on a window, as it was possible at a moment."""
        came = self._history.n_truths(window, now)
        key = (champion.version, window.key, came, len(errors))
        if key not in self._judged:
            low, high = self._history.positions(window.start, window.end)
            record = judge(
                self._history.spec,
                LoggedWindow(window, self._rows(champion, low, high, now), LogCounts()),
                self._trainer.references(champion),
                now,
                errors=errors,
                nulls=self._nulls,
                drift=self._drifts.get((champion.version, window.key)),
            )
            if record.drift is not None:
                self._drifts[champion.version, window.key] = record.drift
            self._judged[key] = Judgement(record.verdict, record.errors, came)
        return self._judged[key]

    def answers(self, champion: Candidate, start: datetime, end: datetime) -> Answers:
        """What a champion answered in a stretch of time, with all truth that ever came."""
        low, high = self._history.positions(start, end)
        rows = self._rows(champion, low, high, None)
        return read_answers(rows, subject_of(champion.contestant.manifest)).with_truth()

    def _rows(self, champion: Candidate, low: int, high: int, now: datetime | None) -> pl.DataFrame:
        rows = self._history.log[low:high]
        if now is not None:
            came = pl.col("truth_received_at") < now
            rows = rows.with_columns(
                pl.when(came).then(name).alias(name) for name in ("truth", "truth_received_at")
            )
        return rows.with_columns(*self._told(champion, low, high))

    def _told(self, champion: Candidate, low: int, high: int) -> list[pl.Series]:
        """The columns of the prediction log that say what was answered."""
        classes = champion.contestant.manifest.classes
        chunks = [self._chunk(champion, n) for n in range(low // _CHUNK, -(-high // _CHUNK))]
        shape = (0,) if classes is None else (0, len(classes))
        found = np.concatenate(chunks) if chunks else np.zeros(shape)
        found = found[low - low // _CHUNK * _CHUNK :][: high - low]
        n_rows = high - low
        version = pl.Series("model_version", [champion.version]).new_from_index(0, n_rows)
        if classes is None:
            texts = [label_text(float(value)) for value in found]
            nothing = pl.Series([None]).new_from_index(0, n_rows)
            return [
                version,
                pl.Series("prediction", texts, dtype=pl.String),
                nothing.cast(pl.Float64).alias("probability"),
                nothing.cast(pl.List(pl.Float64)).alias("probabilities"),
            ]
        labels = [label_text(label) for label in classes]
        best = found.argmax(axis=1)
        told = found[:, 1] if len(classes) == 2 else found.max(axis=1, initial=0.0)
        return [
            version,
            pl.Series("prediction", [labels[k] for k in best], dtype=pl.String),
            pl.Series("probability", told),
            pl.Series("probabilities", found.tolist(), dtype=pl.List(pl.Float64)),
        ]

    def _chunk(self, champion: Candidate, number: int) -> NDArray[np.float64]:
        key = (champion.version, number)
        if key not in self._answered:
            rows = self._history.log[number * _CHUNK : (number + 1) * _CHUNK]
            names = {FEATURE_PREFIX + f.name: f.name for f in champion.contestant.manifest.features}
            inputs = rows.select(list(names)).rename(names)
            manifest = champion.contestant.manifest
            self._answered[key] = answer(champion.contestant, inputs, manifest.classes)
        return self._answered[key]

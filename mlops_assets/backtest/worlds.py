"""The real past as a `World`: its rows, its models, its verdicts."""

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property

from mlops_assets.backtest.history import History
from mlops_assets.backtest.judging import Judge, Judgement
from mlops_assets.backtest.simulation import Trained
from mlops_assets.backtest.training import Candidate, Trainer
from mlops_assets.monitoring.trust import EstimateError
from mlops_assets.monitoring.windows import Window


class RealWorld:
    """A history with the models that are trained on it; policies share what one of them made.

    Args:
        history: The past.
        trainer: Trains on it; by default a new one.
    """

    def __init__(self, history: History, trainer: Trainer | None = None) -> None:
        self.history = history
        self._trainer = trainer or Trainer(history)
        self.judgements = Judge(history, self._trainer)
        self._candidates: dict[str, Candidate] = {}

    @property
    def begin(self) -> datetime:
        """When the history begins to be played."""
        return self.history.begin

    @cached_property
    def windows(self) -> Sequence[Window]:
        """The windows of the history."""
        return self.history.windows()

    def n_rows(self, now: datetime) -> int:
        """Rows of the dataset at a moment."""
        return self.history.n_known(now)

    def train(self, now: datetime, champion: str | None) -> Trained:
        """A real candidate, and what the real gates say. The first model serves whatever they say:
        the question is what comes after it."""
        serving = None if champion is None else self._candidates[champion]
        candidate = self._trainer.train(now, serving)
        self._candidates[candidate.version] = candidate
        refused = "" if serving is None else self._trainer.refusal(candidate, serving)
        return Trained(candidate.version, refused, candidate.cpu_minutes, candidate.n_rows)

    def candidate(self, version: str) -> Candidate:
        """One of the models that were trained."""
        return self._candidates[version]

    def is_due(self, window: Window, former: Judgement | None, now: datetime) -> bool:
        """Whether a window is to be judged, or once more since truth came."""
        return self.judgements.is_due(window, former, now)

    def judge(
        self, champion: str, window: Window, now: datetime, errors: list[EstimateError]
    ) -> Judgement:
        """The verdict that `monitoring/judging.py` gives."""
        return self.judgements.judge(self._candidates[champion], window, now, errors)

"""The `history:` part of a model document: its past as it truly came, for `backtest` and `replay`.

Here: what a person may write. Not here: how it is read (`data/history.py`) and played.
"""

from datetime import date, timedelta

from pydantic import Field, model_validator

from mlops_assets.spec.base import Document, Duration, FieldProblem, refusal, write_duration
from mlops_assets.spec.data import SourceSpec


class HistorySpec(Document):
    """The past of a model, row by row, with the time at which each truth became known."""

    source: SourceSpec | None = None
    """Where the rows of all times come from, with the columns of `source`; by default `source`."""
    truth_column: str | None = None
    """Column with the time at which the target of a row became known (UTC when it has no zone).
    Rows without one never had a truth. By default the target is known with the row, or after
    truth_delay."""
    truth_delay: Duration = timedelta(0)
    """How long after the time of a row its target became known; only without truth_column."""
    begin: date | None = Field(None, strict=False)
    """First day (UTC) that is played; rows before it train the first model. By default a quarter
    of the time is left to train on."""

    @model_validator(mode="after")
    def _one_time_of_truth(self) -> "HistorySpec":
        if self.truth_column is not None and self.truth_delay:
            allowed = "only without truth_column, which tells it row by row"
            raise refusal(
                [FieldProblem(("truth_delay",), write_duration(self.truth_delay), allowed)]
            )
        return self

"""The `monitoring:` part of a model document: what a window is and when it counts as drifted.

Here: what a person may write. All of it has defaults.
Not here: the statistics (`monitoring/drift.py`), and what a verdict sets off.
"""

from typing import Literal

from pydantic import Field, model_validator

from mlops_assets.spec.base import Document, FieldProblem, refusal

WindowLength = Literal["day", "hour", "rows"]


class WindowSpec(Document):
    """How predictions are cut into windows that are judged one by one."""

    every: WindowLength = "day"
    """day, hour: by the time of the prediction (UTC). rows: after every so many predictions."""
    rows: int | None = Field(None, ge=30)
    """rows only: how many predictions make a window."""

    @model_validator(mode="after")
    def _rows_with_rows(self) -> "WindowSpec":
        if (self.rows is not None) != (self.every == "rows"):
            allowed = "a number of rows with every: rows, and only then"
            raise refusal([FieldProblem(("rows",), self.rows, allowed)])
        return self


class DriftSpec(Document):
    """When the inputs of a window count as drifted from the training frame.

    A column has drifted when its difference is more than chance would show (p, corrected for the
    number of columns) and also large enough to matter.
    """

    minimum_rows: int = Field(30, ge=10)
    """Fewest rows of a window that are judged; fewer are `not_enough_data`."""
    false_discovery_ratio: float = Field(0.05, gt=0, le=0.2)
    """Share of false alarms allowed among the columns that are called drifted
    (Benjamini–Hochberg). Without any drift it is the chance that some column is called so."""
    minimum_shift_ratio: float = Field(0.05, ge=0, lt=1)
    """Smallest shift that matters, as a share of rows: the largest difference of cumulative shares
    for numbers (Kolmogorov–Smirnov), the share that changed category, the change of the share that
    is missing."""
    share_ratio: float | None = Field(0.5, gt=0, le=1)
    """The window has drifted when at least this share of the columns has. `null`: not judged."""
    weighted_share_ratio: float | None = Field(0.2, gt=0, le=1)
    """The same with each column weighted by the model's feature importance, so that one column
    that decides counts for more than ten that do not. `null`: not judged."""
    domain_auc: float | None = Field(None, gt=0.5, lt=1)
    """The window has drifted when a classifier tells its rows from the training frame's with this
    ROC-AUC or more, and more than chance. By default it is shown and not judged: it also sees
    harmless seasons."""
    prediction: bool = True
    """Whether a drift of the predictions alone makes the window drifted."""
    draws: int = Field(999, ge=999, le=99_999)
    """Redraws behind each p."""


class MonitoringSpec(Document):
    """How the served model is watched."""

    window: WindowSpec = WindowSpec()
    """What is judged at once."""
    slices: list[str] = Field(default_factory=list)
    """Features whose values are each judged on their own, beside the whole."""
    drift: DriftSpec = DriftSpec()
    """When inputs and predictions count as drifted."""

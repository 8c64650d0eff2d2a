"""The `monitoring:` part of a model document: what a window is, and when it counts as drifted, as
broken, or as one in which the model does worse.

Here: what a person may write. All of it has defaults.
Not here: the statistics (`monitoring/`), and what a verdict sets off (`retraining:`).
"""

from datetime import timedelta
from typing import Literal

from pydantic import Field, model_validator

from mlops_assets.spec.base import Document, Duration, FieldProblem, refusal
from mlops_assets.spec.model import Metric

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


class PerformanceSpec(Document):
    """When the model does worse than at its evaluation, as truth says, or an estimate until then.

    Worse is a window whose metric is proven lower (or, for losses and errors, higher) than at the
    evaluation and differs by more than the margin. A window is judged worse, held or unknown.
    """

    metric: Metric | None = None
    """The metric that is compared. Default: that of the gates; mean_absolute_error in place of r2,
    which depends on how much the target happens to vary in a window."""
    margin: float | None = Field(None, ge=0)
    """How much worse is allowed; a share of the value at the evaluation for log_loss, brier_score
    and errors, absolute for the others. Default: 0.1 of the value, or 0.05."""
    minimum_truth_ratio: float = Field(0.8, gt=0, le=1)
    """Least share of a window's rows whose truth must be known before it is compared with the
    evaluation, whose truth is complete. Truth that comes early is not like truth that comes
    late."""
    minimum_rows: int = Field(100, ge=10)
    """Fewest rows with truth that are compared."""
    estimate: bool = True
    """Whether performance is estimated until truth comes (CBPE for classes, DLE for numbers)."""


class QualitySpec(Document):
    """When the data of a window is broken. Nothing is concluded from such a window."""

    maximum_violation_ratio: float = Field(0.1, ge=0, le=1)
    """Share of rows that may break the contract beyond the share at the evaluation; and of answers
    that may be no numbers."""
    maximum_missing_rise: float = Field(0.3, gt=0, le=1)
    """How much a column's share of missing values may rise."""
    maximum_unseen_ratio: float = Field(0.5, gt=0, le=1)
    """Share of a column's values that may be categories never seen in training, beyond what chance
    lets expect."""
    maximum_wild_ratio: float = Field(0.05, ge=0, le=1)
    """Share of a column's numbers that may lie farther out than ten times its range in training."""
    maximum_repeat_ratio: float = Field(0.3, gt=0, le=1)
    """Share of rows that may be one and the same row, beyond the share in training."""
    maximum_skew_ratio: float = Field(0.1, ge=0, le=1)
    """Share of rows whose clocks may be wrong: predicted in the future, or after their truth."""
    clock_tolerance: Duration = timedelta(minutes=5)
    """How far clocks may lie apart before a row counts as skewed."""
    maximum_contradicted_ratio: float = Field(0.1, ge=0, le=1)
    """Share of truths that may contradict each other, or be unreadable."""
    maximum_lost_ratio: float = Field(0.1, ge=0, le=1)
    """Share of a window's log that may be unreadable."""


class MonitoringSpec(Document):
    """How the served model is watched."""

    window: WindowSpec = WindowSpec()
    """What is judged at once."""
    slices: list[str] = Field(default_factory=list)
    """Features whose values are each judged on their own, beside the whole."""
    drift: DriftSpec = DriftSpec()
    """When inputs and predictions count as drifted."""
    performance: PerformanceSpec = PerformanceSpec()
    """When the model does worse than at its evaluation."""
    quality: QualitySpec = QualitySpec()
    """When the data of a window is broken."""

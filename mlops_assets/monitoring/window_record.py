"""What is kept of a judged window: the verdict and all that it rests on.

Light, so that the sensor may import it.
"""

from typing import Literal

from pydantic import AwareDatetime, ValidationError

from mlops_assets.errors import MonitoringError
from mlops_assets.monitoring.change import Change
from mlops_assets.monitoring.estimation import EstimatedPerformance
from mlops_assets.monitoring.quality import QualityReport
from mlops_assets.monitoring.realised import RealisedPerformance
from mlops_assets.monitoring.record import Record
from mlops_assets.monitoring.report import DriftReport
from mlops_assets.monitoring.trust import EstimateError, Trust
from mlops_assets.monitoring.verdict import WindowVerdict
from mlops_assets.monitoring.windows import Window
from mlops_assets.spec.model import Metric


class WindowRecord(Record):
    """A judged window.

    Attributes:
        format: Number of this layout; a reader refuses numbers it does not know.
        window: Which.
        verdict: What is said of it.
        metric: The metric that is compared.
        judged_at: When it was judged; truth that came later is not in it.
        is_ended: Whether it was over by then.
        mlflow_run_id: Run of the version that it judges; None when that is unknown.
        quality: Whether its data can be believed; None when it was compared with nothing.
        drift: Its columns beside the training rows.
        realised: Performance as truth says.
        realised_change: The same beside the evaluation.
        estimated: Performance without truth.
        estimated_change: The same beside the evaluation.
        trust: Whether the estimate is believed.
        errors: How far the estimate was off, once there is enough truth.
        log_version: Version of the log's table when it was read; None when there was none. Of a
            window of rows: when it was first seen full.
        n_behind: Windows of rows: rows of the version that the log held behind it then.
    """

    format: Literal[1] = 1
    window: Window
    verdict: WindowVerdict
    metric: Metric
    judged_at: AwareDatetime
    is_ended: bool = True
    mlflow_run_id: str | None = None
    quality: QualityReport | None = None
    drift: DriftReport | None = None
    realised: RealisedPerformance | None = None
    realised_change: Change | None = None
    estimated: EstimatedPerformance | None = None
    estimated_change: Change | None = None
    trust: Trust | None = None
    errors: tuple[EstimateError, ...] = ()
    log_version: int | None = None
    n_behind: int = 0

    def to_storage(self) -> str:
        """The stored form: JSON."""
        return self.model_dump_json(exclude_defaults=True)

    @staticmethod
    def from_storage(text: str) -> "WindowRecord":
        """The record of its stored form.

        Raises:
            MonitoringError: it is none, or was written by a later version of this platform.
        """
        try:
            return WindowRecord.model_validate_json(text)
        except ValidationError as error:
            raise MonitoringError(f"the record of a window cannot be read: {error}") from error


class RecentWindow(Record):
    """What later decisions ask of a judged window; short, since all recent ones are read at once.

    Attributes:
        window: Which.
        verdict: What was said of it.
        judged_at: When.
        is_ended: Whether it was over by then.
        errors: How far the estimate was off.
        realised: The metric as truth says; None when that is unknown.
        estimated: The metric without truth; None when that is unknown.
        drift_share: Share of the importance that drifted; None when nothing was compared.
        log_version: As in the record.
        n_behind: As in the record.
    """

    window: Window
    verdict: WindowVerdict
    judged_at: AwareDatetime
    is_ended: bool = True
    errors: tuple[EstimateError, ...] = ()
    realised: float | None = None
    estimated: float | None = None
    drift_share: float | None = None
    log_version: int | None = None
    n_behind: int = 0

    @staticmethod
    def of(record: WindowRecord) -> "RecentWindow":
        """The short form of a record."""
        realised, estimated, drift = record.realised, record.estimated, record.drift
        metric = record.metric
        return RecentWindow(
            window=record.window,
            verdict=record.verdict,
            judged_at=record.judged_at,
            is_ended=record.is_ended,
            errors=record.errors,
            realised=None if realised is None else realised.metrics[metric].value,
            estimated=(
                estimated.metrics[metric].value
                if estimated is not None and metric in estimated.metrics
                else None
            ),
            drift_share=None if drift is None else drift.weighted_share_ratio,
            log_version=record.log_version,
            n_behind=record.n_behind,
        )


class RecentWindows(Record):
    """The latest judged windows of a model, by the end of the window."""

    format: Literal[1] = 1
    windows: tuple[RecentWindow, ...] = ()

    def with_window(self, window: RecentWindow, most: int) -> "RecentWindows":
        """With one more; a window that is there already is replaced."""
        others = [w for w in self.windows if w.window.key != window.window.key]
        ordered = sorted([*others, window], key=lambda w: (w.window.end, w.window.start))
        return RecentWindows(windows=tuple(ordered[-most:]))

    def find(self, key: str) -> RecentWindow | None:
        """One of them by name; None when it is not there."""
        return next((w for w in self.windows if w.window.key == key), None)

    @property
    def verdicts(self) -> list[WindowVerdict]:
        """Verdicts of the windows that were over, oldest first."""
        return [w.verdict for w in self.windows if w.is_ended]

    @property
    def latest(self) -> RecentWindow | None:
        """The newest that was over; None when there is none."""
        ended = [w for w in self.windows if w.is_ended]
        return ended[-1] if ended else None

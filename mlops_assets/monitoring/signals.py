"""What a verdict is told of a drift report: found or not, and the columns that moved."""

from collections.abc import Mapping

from mlops_assets.monitoring.report import ColumnDrift, DriftReport, DriftState
from mlops_assets.monitoring.verdict import ColumnFinding, Drift, DriftSignal

_STATES: Mapping[DriftState, Drift] = {
    "drift": "found",
    "no_drift": "none",
    "not_enough_data": "unknown",
    "broken_data": "unknown",
}


def drift_signal(report: DriftReport) -> DriftSignal:
    """The drift signal of a window; the features that moved, then the prediction if it did."""
    columns = list(report.drifted)
    if report.prediction is not None and report.prediction.state == "drifted":
        columns.append(report.prediction)
    return DriftSignal(
        state=_STATES[report.state],
        reason=report.reason,
        columns=tuple(_finding(column) for column in columns),
    )


def _finding(column: ColumnDrift) -> ColumnFinding:
    return ColumnFinding(
        column=column.column if column.role == "feature" else "prediction",
        score=column.shift_ratio or 0.0,
        measure="share of rows that moved",
        reason=column.reason,
    )

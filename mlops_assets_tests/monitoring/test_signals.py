from typing import get_args

import pytest

from mlops_assets.monitoring.report import ColumnDrift, DriftReport, DriftState
from mlops_assets.monitoring.signals import drift_signal


def column(name: str, *, drifted: bool) -> ColumnDrift:
    return ColumnDrift(
        column=name,
        kind="number",
        role="prediction" if name == "score" else "feature",
        state="drifted" if drifted else "stable",
        reason=f"{name} moved",
        n_reference=100,
        n_current=100,
        shift_ratio=0.25,
    )


@pytest.mark.parametrize(
    ("state", "signal"),
    [
        ("drift", "found"),
        ("no_drift", "none"),
        ("not_enough_data", "unknown"),
        ("broken_data", "unknown"),
    ],
)
def test_what_a_report_says_to_a_verdict(state: DriftState, signal: str) -> None:
    report = DriftReport(state=state, reason="so it is", n_reference=9, n_current=9, null="rows")
    found = drift_signal(report)
    assert (found.state, found.reason) == (signal, "so it is")


def test_every_state_of_a_report_is_known() -> None:
    for state in get_args(DriftState):
        drift_signal(DriftReport(state=state, reason="", n_reference=0, n_current=0, null=""))


def test_the_columns_that_moved_are_told_and_the_prediction_last() -> None:
    report = DriftReport(
        state="drift", reason="", n_reference=100, n_current=100, null="rows",
        columns=(column("age", drifted=True), column("spend", drifted=False)),
        prediction=column("score", drifted=True),
    )  # fmt: skip
    found = drift_signal(report).columns
    assert [(c.column, c.score) for c in found] == [("age", 0.25), ("prediction", 0.25)]

"""Drift arrives, and a new champion serves: the real daemon, gateway, sensors and runs."""

from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import expect

from mlops_assets.data.documents import ModelDocuments
from mlops_assets.modeling.tracking import Tracking
from mlops_assets.monitoring.store import MonitoringStore
from mlops_assets.retraining.store import RetrainingStore
from mlops_assets.serving.embedded import EmbeddedServing
from mlops_assets_tests.browser.chromium import opened_page
from mlops_assets_tests.documents import churn_rows
from mlops_assets_tests.integration.loop_project import (
    Callers,
    drifted_rows,
    requests_of,
    running,
    wait_until,
    write_project,
)

PATIENCE_SECONDS = 600  # of a busy machine; benchmarks/drift_to_champion.py takes the time


@pytest.mark.timeout(2 * PATIENCE_SECONDS)
def test_drift_is_found_and_a_new_champion_serves(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", tmp_path / "home")
    documents = ModelDocuments(str(project.home / "monitoring"))
    windows, retraining = MonitoringStore(documents), RetrainingStore(documents)

    def seen() -> str:
        said = [(w.window.key, w.verdict.verdict) for w in windows.recent("churn").windows]
        return f"{said}, {retraining.read('churn')}, callers: {callers.errors[-1:]}"

    with running(project):
        serving = EmbeddedServing(project.home)
        callers = Callers(project.pages["Predictions"], requests_of(churn_rows(200, seed=3)))
        with callers.calling():
            wait_until(lambda: windows.recent("churn").latest is not None, seen, PATIENCE_SECONDS)
            project.write_rows(pl.concat([churn_rows(), drifted_rows()]))
            callers.rows = requests_of(drifted_rows(200, seed=6))
            wait_until(lambda: serving.traffic("churn") == {"v2": 100}, seen, PATIENCE_SECONDS)
            tracking = Tracking(f"sqlite:///{project.home}/mlflow.db")
            champion = tracking.version_of_alias("churn", "champion")
            assert champion is not None
            assert champion.version == 2
        _pages_tell(project.pages["Dagster"])
        state = retraining.read("churn")
        assert state is not None
        assert {attempt.trigger for attempt in state.attempts} == {"drift"}
        assert state.attempts[0].dagster_run_id is not None  # drift goes on: a second may begin


def _pages_tell(dagster_url: str) -> None:
    """The pages show the windows, what was decided and the last tick."""
    pages = {
        "assets/churn/latest_verdict?view=events": ("retraining/attempts", "verdict"),
        "assets/churn/drift_report?view=events": ("v1-00001", "dagster/row_count"),
        "assets/churn/drift_report?view=checks": ("no_drift", "data_quality"),
        "locations/watched/sensors/retraining": ("requested", "churn"),
    }
    with opened_page() as page:
        for path, words in pages.items():
            page.goto(f"{dagster_url}/{path}")
            for word in words:
                expect(page.get_by_text(word).first).to_be_visible(timeout=60_000)

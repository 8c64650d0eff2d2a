"""How long it takes from drift to a new champion that serves: the whole loop, with the real daemon.

`mlops-assets up` on a project of one small model: windows of 60 rows, k = n = 1, no cooldown,
`rolling` without steps, twenty requests a second. At one moment callers become others and their
rows reach the source; the clock stops when the gateway sends all traffic to the second version. In
between: the log reaches the tables, a tick, a run that judges the window, a tick, and a run of the
whole pipeline, which takes the rollout's only step. Limit: 30 s.

Needs a quiet machine of two cores: eight processes take part.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from mlops_assets.data.documents import ModelDocuments
from mlops_assets.monitoring.store import MonitoringStore
from mlops_assets.retraining.store import RetrainingStore
from mlops_assets.serving.embedded import EmbeddedServing
from mlops_assets_tests.documents import churn_rows
from mlops_assets_tests.integration.loop_project import (
    Callers,
    Project,
    drifted_rows,
    requests_of,
    running,
    wait_until,
    write_project,
)

LIMIT_SECONDS = 30.0
PATIENCE_SECONDS = 1_200.0


def stages(project: Project, callers: Callers) -> dict[str, float]:
    """Seconds from the drift until each stage was reached."""
    documents = ModelDocuments(str(project.home / "monitoring"))
    windows, retraining = MonitoringStore(documents), RetrainingStore(documents)
    serving = EmbeddedServing(project.home)

    def found() -> bool:
        latest = windows.recent("churn").latest
        return latest is not None and latest.verdict.signals.drift.state == "found"

    def decided() -> bool:
        state = retraining.read("churn")
        return state is not None and bool(state.attempts)

    reached: dict[str, Callable[[], bool]] = {
        "drift is found": found,
        "training is decided": decided,
        "version 2 is declared": lambda: "v2" in serving.traffic("churn"),
        "version 2 serves everybody": lambda: serving.traffic("churn").get("v2") == 100,
    }
    wait_until(lambda: windows.recent("churn").latest is not None, str, PATIENCE_SECONDS)
    time.sleep(random.uniform(0, 10))  # or drift would always come right behind a judged window
    project.write_rows(pl.concat([churn_rows(), drifted_rows()]))
    callers.rows = requests_of(drifted_rows(200, seed=6))
    began = time.monotonic()
    seconds = {}
    for stage, condition in reached.items():
        wait_until(condition, partial("never: {}".format, stage), PATIENCE_SECONDS)
        seconds[stage] = time.monotonic() - began
    return seconds


def main() -> None:
    """Run the loop, print its stages; exit 1 when the limit is missed."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        project = write_project(Path(scratch, "project"), Path(scratch, "home"))
        with running(project):
            rows = requests_of(churn_rows(200, seed=3))
            callers = Callers(project.pages["Predictions"], rows, pause_seconds=0.05)
            with callers.calling():
                seconds = stages(project, callers)
    table = Table("stage", "s", title="from drift to a new champion")
    for stage, taken in seconds.items():
        table.add_row(stage, f"{taken:.1f}")
    console = Console()
    console.print(table)
    console.print(f"{callers.n_answers:,} answers, {len(callers.errors)} errors")
    sys.exit(0 if max(seconds.values()) <= LIMIT_SECONDS else 1)


if __name__ == "__main__":
    main()

"""The process that moves segments into tables, apart from those that answer callers.

Run by the gateway while there is something to move (`python -m ...prediction_log.sink`), since
Delta Lake takes 150 MB that an idle machine should not pay. `drain_home` does one pass, for an
asset or a test that wants the tables to be current.
"""

import argparse
import fcntl
import logging
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from mlops_assets.serving.home import ServingHome
from mlops_assets.serving.prediction_log.drain import Drained, drain
from mlops_assets.serving.prediction_log.retention import forget_old
from mlops_assets.serving.prediction_log.store import (
    FAILURES,
    PREDICTIONS,
    TRUTH,
    PredictionStore,
)
from mlops_assets.serving.process import configure_log, die_with_parent

_LOG = logging.getLogger(__name__)
PASS_SECONDS = 1.0
IDLE_SECONDS = 20.0
FORGET_SECONDS = 3600.0


def open_store(home: Path) -> PredictionStore:
    """The tables of one machine, under `<MLOPS_HOME>/lake/serving`."""
    return PredictionStore(str(ServingHome.under(home).tables))


def drain_home(home: Path) -> Drained:
    """One pass over all segments of an MLOPS_HOME. Two at once take turns.

    Returns:
        What was moved of predictions, failed requests and truths together.
    """
    paths = ServingHome.under(home)
    folder = paths.predictions.parent
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "drain.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        store = open_store(home)
        predictions = drain(paths.predictions, store, table=PREDICTIONS)
        failures = drain(paths.failures, store, table=FAILURES)
        truths = drain(paths.truths, store, table=TRUTH)
    parts = (predictions, failures, truths)
    return Drained(
        sum(part.n_rows for part in parts),
        sum(part.n_unreadable for part in parts),
        sum(part.n_failed_segments for part in parts),
    )


def forget_home(home: Path, now: datetime) -> int:
    """Apply each model's retention to its tables; returns how many tables lost days."""
    paths = ServingHome.under(home)
    paths.predictions.parent.mkdir(parents=True, exist_ok=True)
    with (paths.predictions.parent / "drain.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return forget_old(paths, open_store(home), now)


def run_sink(home: Path, parent_pid: int | None = None) -> int:
    """Move segments until nothing came for a while. Returns the exit code 0."""
    configure_log()
    if parent_pid is not None:
        die_with_parent(parent_pid)
    last = time.monotonic()
    forget_at = last
    while time.monotonic() - last < IDLE_SECONDS:
        moved = drain_home(home)
        if moved.n_rows:
            last = time.monotonic()
            _LOG.info("%d records moved to the tables", moved.n_rows)
        if time.monotonic() >= forget_at:
            forget_home(home, datetime.now(UTC))
            forget_at = time.monotonic() + FORGET_SECONDS
        time.sleep(PASS_SECONDS)
    return 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--home", required=True, type=Path, help="MLOPS_HOME")
    parser.add_argument("--parent-pid", type=int, help="die with this process")
    found = parser.parse_args()
    return run_sink(found.home, found.parent_pid)


if __name__ == "__main__":
    sys.exit(main())

"""The process that moves segments into tables, apart from those that answer callers.

Run by the gateway while there is something to move (`python -m ...prediction_log.sink`), since
Delta Lake takes 150 MB that an idle machine should not pay. `drain_home` does one pass, for an
asset or a test that wants the tables to be current.
"""

import argparse
import gc
import logging
import os
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from mlops_assets.serving.home import ServingHome
from mlops_assets.serving.prediction_log.compaction import compact_closed
from mlops_assets.serving.prediction_log.drain import Drained, drain
from mlops_assets.serving.prediction_log.retention import forget_old
from mlops_assets.serving.prediction_log.store import PredictionStore
from mlops_assets.serving.prediction_log.tables import FAILURES, HALVES, PREDICTIONS, TRUTH
from mlops_assets.serving.process import configure_log, die_with_parent
from mlops_assets.whole_files import alone

_LOG = logging.getLogger(__name__)
PASS_SECONDS = 1.0
_LONGEST_PAUSE = 15.0  # a rollout takes a log that stands still for a minute for broken
IDLE_SECONDS = 20.0
FORGET_SECONDS = 3600.0
_GC_THRESHOLD = 100_000  # at Python's 700 half of the time goes into circles among a batch's rows


def open_store(home: Path, lake: str | None = None) -> PredictionStore:
    """The tables of one machine, under `<MLOPS_HOME>/lake/serving`, or those of another lake."""
    if lake is not None:
        return PredictionStore(f"{lake.rstrip('/')}/serving")
    return PredictionStore(str(ServingHome.under(home).tables))


def drain_home(home: Path, lake: str | None = None) -> Drained:
    """One pass over all segments of an MLOPS_HOME. Two at once take turns.

    Args:
        home: MLOPS_HOME.
        lake: Root of the tables, where it is not the home's.

    Returns:
        What was moved of predictions, failed requests and truths together.
    """
    paths = ServingHome.under(home)
    folder = paths.predictions.parent
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder / "drain.lock"):
        began = time.time()
        store = open_store(home, lake)
        predictions = drain(paths.predictions, store, table=PREDICTIONS, home=paths)
        halves = drain(paths.events, store, table=HALVES)
        failures = drain(paths.failures, store, table=FAILURES, home=paths)
        truths = drain(paths.truths, store, table=TRUTH, home=paths)
        parts = (predictions, halves, failures, truths)
        drained = Drained(
            sum(part.n_rows for part in parts),
            sum(part.n_unreadable for part in parts),
            sum(part.n_failed_segments for part in parts),
        )
        if not drained.n_failed_segments:
            paths.drained.touch()
            os.utime(paths.drained, (began, began))
    return drained


def forget_home(home: Path, now: datetime, lake: str | None = None) -> int:
    """Apply each model's retention to its tables; returns how many tables lost days."""
    paths = ServingHome.under(home)
    paths.predictions.parent.mkdir(parents=True, exist_ok=True)
    with alone(paths.predictions.parent / "drain.lock"):
        return forget_old(paths, open_store(home, lake), now)


def start_compacting(home: Path, now: datetime, lake: str | None = None) -> threading.Thread:
    """Make few files of each closed day's many, beside the moving of segments.

    It may take minutes, while records must not wait for more than one (`rollout/log_motion.py`).
    So it holds no lock: Delta refuses what does not go together. It ends with the process.
    """
    worker = threading.Thread(
        target=compact_closed,
        args=(ServingHome.under(home), open_store(home, lake), now),
        name="compaction",
        daemon=True,
    )
    worker.start()
    return worker


def pause_after(pass_seconds: float) -> float:
    """Seconds until the next pass: nine times what the last one took, 1 at least and 15 at most.

    A table of many files takes 0.4 s of processor time to open and to append to, of which callers
    would get the less the more often it is done; so it takes a tenth of one processor.

    >>> pause_after(0.02), pause_after(0.5), pause_after(60)
    (1.0, 4.5, 15.0)
    """
    return min(max(PASS_SECONDS, 9 * pass_seconds), _LONGEST_PAUSE)


def run_sink(home: Path, lake: str | None = None, *, once: bool = False) -> int:
    """Move segments until nothing came for a while and nothing is compacted any more.

    Args:
        home: MLOPS_HOME.
        lake: Root of the tables, where it is not the home's.
        once: Move what there is, and no more.

    Returns:
        The exit code: 0, or 1 when `once` left a segment where it is.
    """
    last = time.monotonic()
    forget_at = last
    compacting = None
    while time.monotonic() - last < IDLE_SECONDS or (compacting and compacting.is_alive()):
        began = time.monotonic()
        moved = drain_home(home, lake)
        pause_seconds = pause_after(time.monotonic() - began)
        if once:
            return 1 if moved.n_failed_segments else 0
        if moved.n_rows:
            last = time.monotonic()
            _LOG.info("%d records moved to the tables", moved.n_rows)
        if time.monotonic() >= forget_at:
            forget_home(home, datetime.now(UTC), lake)
            if compacting is None or not compacting.is_alive():
                compacting = start_compacting(home, datetime.now(UTC), lake)
            forget_at = time.monotonic() + FORGET_SECONDS
        time.sleep(pause_seconds)
    return 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--home", required=True, type=Path, help="MLOPS_HOME")
    parser.add_argument("--lake", help="root of the tables (default: HOME/lake)")
    parser.add_argument("--once", action="store_true", help="move what there is, and end")
    parser.add_argument("--parent-pid", type=int, help="die with this process")
    found = parser.parse_args()
    configure_log()
    gc.set_threshold(_GC_THRESHOLD)
    if found.parent_pid is not None:
        die_with_parent(found.parent_pid)
    return run_sink(found.home, found.lake, once=found.once)


if __name__ == "__main__":
    sys.exit(main())

"""Time and memory of a drift verdict, beside Evidently's report on the same rows.

    python benchmarks/drift_speed.py [--rows 1000000] [--evidently-rows 100000]
        [--disk-rows 10000000] [--disk-columns 20]

20 columns: 15 numbers, 4 categories, a flag; on disk they may be fewer, so that 100 million rows
fit (`--disk-rows 100000000 --disk-columns 3`). Each measurement runs in a fresh process; its peak
is that of the whole process, libraries and rows included. Limits: a window of a million rows in
memory judged in 2 s and 1 GB, its reference being counted already; rows on disk within 2 GB.
Exit 1: a limit is missed.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

LIMIT_SECONDS, LIMIT_MB, LIMIT_DISK_MB = 2.0, 1_000, 2_000
PIECE_ROWS = 500_000
NUMBERS = [f"x{i}" for i in range(15)]
CATEGORIES = {f"c{i}": 10 * (i + 1) for i in range(4)}


COLUMNS = ["flag", "c0", *NUMBERS, *list(CATEGORIES)[1:]]


def frame(n: int, seed: int, columns: Sequence[str] = COLUMNS) -> pl.DataFrame:
    """Rows without drift."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame({name: values(name, n, rng) for name in columns})


def values(name: str, n: int, rng: np.random.Generator) -> pl.Series:
    """One column."""
    if name == "flag":
        return pl.Series(rng.random(n) < 0.3)
    if name in CATEGORIES:
        return pl.Series(rng.integers(0, CATEGORIES[name], n)).cast(pl.String)
    return pl.Series(rng.normal(size=n))


def kind_of(name: str) -> Literal["boolean", "category", "number"]:
    """How it is compared."""
    return "boolean" if name == "flag" else "category" if name in CATEGORIES else "number"


def write_rows(file: Path, n_rows: int, columns: Sequence[str]) -> None:
    """Parquet, piece by piece."""
    import pyarrow.parquet as pq

    schema = frame(1, 0, columns).to_arrow().schema
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for piece, first in enumerate(range(0, n_rows, PIECE_ROWS)):
            rows = frame(min(PIECE_ROWS, n_rows - first), piece, columns)
            writer.write_table(rows.to_arrow(), row_group_size=PIECE_ROWS)


def ours(reference: pl.LazyFrame, window: pl.LazyFrame) -> dict[str, float]:
    """Seconds to count the reference, and to count and judge the window."""
    from mlops_assets.monitoring.counting import sketch_reference, sketch_window
    from mlops_assets.monitoring.drift import assess_drift
    from mlops_assets.monitoring.layout import Selection, WatchedColumn
    from mlops_assets.spec import DriftSpec

    names = reference.collect_schema().names()
    selection = Selection(tuple(WatchedColumn(name, kind_of(name)) for name in names))
    began, used = time.monotonic(), time.process_time()
    counted = sketch_reference(reference, selection)
    reference_seconds, reference_cpu = time.monotonic() - began, time.process_time() - used
    began, used = time.monotonic(), time.process_time()
    report = assess_drift(counted, sketch_window(window, counted.layout), DriftSpec())
    assert report.state == "no_drift", report.reason
    return {
        "reference": reference_seconds,
        "reference_cpu": reference_cpu,
        "window": time.monotonic() - began,
        "window_cpu": time.process_time() - used,
    }


def in_memory(n: int) -> dict[str, float]:
    """Both sides as frames."""
    return ours(frame(n, 0).lazy(), frame(n, 1).lazy())


def on_disk(file: str) -> dict[str, float]:
    """The file is the window, too."""
    return ours(pl.scan_parquet(file), pl.scan_parquet(file))


def evidently(n: int) -> dict[str, float]:
    """Its drift preset, without the 5 to 7 s of its import."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(
        numerical_columns=NUMBERS, categorical_columns=[*CATEGORIES, "flag"]
    )
    old, new = (
        Dataset.from_pandas(frame(n, seed).to_pandas(), data_definition=definition)
        for seed in (0, 1)
    )
    began, used = time.monotonic(), time.process_time()
    Report([DataDriftPreset()]).run(new, old)
    return {"window": time.monotonic() - began, "window_cpu": time.process_time() - used}


MEASURES: dict[str, Callable[[Any], dict[str, float]]] = {
    "memory": lambda n: in_memory(int(n)),
    "disk": on_disk,
    "evidently": lambda n: evidently(int(n)),
}


def measure_apart(name: str, argument: str) -> dict[str, float]:
    """One measurement in a fresh process, with the peak of its memory."""
    command = [sys.executable, __file__, "--measure", name, argument]
    answer: dict[str, float] = json.loads(subprocess.check_output(command, text=True))
    return answer


def main() -> int:
    """Prints the table; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--disk-rows", type=int, default=10_000_000)
    parser.add_argument("--disk-columns", type=int, default=len(COLUMNS))
    parser.add_argument("--evidently-rows", type=int, default=100_000)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        name, argument = arguments.measure
        found = MEASURES[name](argument)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        print(json.dumps({**found, "peak_mb": peak}))
        return 0
    print(f"{'what':<44}{'reference s':>12}{'window s':>10}{'CPU s':>8}{'peak MB':>9}")
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.parquet"
        columns = COLUMNS[: arguments.disk_columns]
        write_rows(file, arguments.disk_rows, columns)
        for name, argument, words in (
            ("memory", str(arguments.rows), f"ours, {arguments.rows:,} rows in memory"),
            ("disk", str(file), f"ours, {arguments.disk_rows:,} rows on disk × {len(columns)}"),
            (
                "evidently",
                str(arguments.evidently_rows),
                f"Evidently, {arguments.evidently_rows:,} rows in memory",
            ),
        ):
            found = results[name] = measure_apart(name, argument)
            print(
                f"{words:<44}{found.get('reference', float('nan')):>12.1f}{found['window']:>10.1f}"
                f"{found['window_cpu']:>8.1f}{found['peak_mb']:>9.0f}",
                flush=True,
            )
    missed = [
        words
        for words, is_missed in (
            (f"{LIMIT_SECONDS} s in memory", results["memory"]["window"] > LIMIT_SECONDS),
            (f"{LIMIT_MB} MB in memory", results["memory"]["peak_mb"] > LIMIT_MB),
            (f"{LIMIT_DISK_MB} MB on disk", results["disk"]["peak_mb"] > LIMIT_DISK_MB),
        )
        if is_missed
    ]
    print(f"limits missed: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Memory and time of a snapshot of 10 million rows × 20 columns, against the limit of 2 GB.

    python benchmarks/snapshot_memory.py [--rows 10000000]

Makes a Parquet file of visits to a shop in a temporary folder, piece by piece, and takes a snapshot
of it in a fresh process each time: without a contract, with a contract for every column, and again
with nothing changed. The peak is that of the whole process, libraries included. Exit 1: above 2 GB.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

LIMIT_MB = 2_000
START = datetime(2013, 1, 1, tzinfo=UTC)
PIECE_ROWS = 500_000

NUMBERS = ["price", "weight_kg", "discount_percent", "latitude", "longitude", "score", "tax"]
COUNTS = ["quantity", "age", "n_visits", "n_items", "minutes"]
WORDS = {
    "channel": ["web", "shop", "phone"],
    "country": ["DE", "FR", "IT", "PL", "SE"],
    "payment": ["card", "cash", "transfer"],
    "segment": [f"segment {number}" for number in range(40)],
}


def contract() -> dict[str, Any]:
    """A contract for each of the 20 columns, one of them unique."""
    return {
        "columns": {
            "visit_id": {"type": "string", "unique": True},
            "visited_at": {"type": "datetime"},
            **{name: {"type": "number", "minimum": -1e3, "maximum": 1e3} for name in NUMBERS},
            **{name: {"type": "integer", "minimum": 0, "maximum": 999} for name in COUNTS},
            **{name: {"type": "string", "categories": words} for name, words in WORDS.items()},
            "is_member": {"type": "boolean", "nullable": True},
            "returned": {"type": "boolean"},
        },
        "on_violation": "quarantine",
    }


def write_source(file: Path, n_rows: int) -> None:
    """The visits; memory does not grow with their number."""
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    schema = visits(0, 1, rng).to_arrow().schema
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for first in range(0, n_rows, PIECE_ROWS):
            piece = visits(first, min(PIECE_ROWS, n_rows - first), rng)
            writer.write_table(piece.to_arrow(), row_group_size=PIECE_ROWS)


def visits(first: int, n: int, rng: np.random.Generator) -> pl.DataFrame:
    """Some visits, numbered from the first."""
    numbers = pl.int_range(first, first + n, eager=True)
    return pl.DataFrame(
        {
            "visit_id": numbers.cast(pl.String).str.zfill(12),
            "visited_at": START + numbers * timedelta(seconds=3),
            **{name: rng.normal(50, 20, n) for name in NUMBERS},
            **{name: rng.integers(0, 1_000, n) for name in COUNTS},
            **{name: rng.choice(words, n) for name, words in WORDS.items()},
            "is_member": pl.Series(rng.integers(0, 3, n)).replace_strict(
                {0: False, 1: True, 2: None}
            ),
            "returned": rng.random(n) < 0.1,
        }
    )


def measure(file: Path, lake: Path, *, with_contract: bool) -> dict[str, Any]:
    """Takes the snapshot in this process and tells its time and the peak of its memory."""
    from mlops_assets.data.snapshots import Lake
    from mlops_assets.data.sources import open_source
    from mlops_assets.spec import ModelSpec

    spec = ModelSpec.model_validate(
        {
            "name": "visits",
            "description": "Will the goods be returned?",
            "owners": ["team:shop"],
            "source": {"path": str(file)},
            "contract": contract() if with_contract else {},
            "features": {"numeric": NUMBERS},
            "target": {"column": "returned", "task": "binary"},
            "time_column": "visited_at",
            "model": {"estimator": "sklearn.linear_model.LogisticRegression"},
        }
    )
    began = time.monotonic()
    rows = open_source(spec.source, base=file.parent)
    snapshot = Lake(str(lake)).write_snapshot(spec, rows, now=START)
    return {
        "n_rows": snapshot.n_rows,
        "passed": snapshot.contract.passed,
        "digest": snapshot.digest,
        "seconds": time.monotonic() - began,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }


def measure_apart(file: Path, lake: Path, *, with_contract: bool) -> dict[str, Any]:
    """The same in a fresh process."""
    command = [sys.executable, __file__, "--measure", str(file), str(lake), str(int(with_contract))]
    answer: dict[str, Any] = json.loads(subprocess.check_output(command, text=True))
    return answer


def main() -> int:
    """Prints the table; 1 when a peak is above the limit or a snapshot is not what it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        file, lake, with_contract = arguments.measure
        print(json.dumps(measure(Path(file), Path(lake), with_contract=with_contract == "1")))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        file, lake = Path(folder) / "visits.parquet", Path(folder) / "lake"
        write_source(file, arguments.rows)
        results = {
            "without a contract": measure_apart(file, lake / "a", with_contract=False),
            "20 columns under contract": measure_apart(file, lake / "b", with_contract=True),
            "again, nothing changed": measure_apart(file, lake / "b", with_contract=True),
        }
        print_table(results, file.stat().st_size / 1e6)
    good = all(
        result["passed"] and result["n_rows"] == arguments.rows for result in results.values()
    )
    alike = len({result["digest"] for result in results.values()}) == 1
    return 0 if good and alike and max(r["peak_mb"] for r in results.values()) <= LIMIT_MB else 1


def print_table(results: dict[str, dict[str, Any]], source_mb: float) -> None:
    """The results, a line each."""
    from rich.console import Console
    from rich.table import Table

    n_rows = next(iter(results.values()))["n_rows"]
    title = f"snapshot of {n_rows:,} rows × 20 columns ({source_mb:,.0f} MB of Parquet)"
    table = Table("snapshot", "seconds", "peak memory", f"limit {LIMIT_MB:,} MB", title=title)
    for name, result in results.items():
        verdict = "ok" if result["peak_mb"] <= LIMIT_MB else "above"
        table.add_row(name, f"{result['seconds']:.1f}", f"{result['peak_mb']:,.0f} MB", verdict)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())

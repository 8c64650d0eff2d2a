"""Logged predictions that the sink moves in a second, beside the shortest script for the same.

20,000 requests of a model with 30 numbers, in each form in which callers send them; a second is one
of processor time. *Ours* is the sink's own process, `--once`, with its start taken off. *Script*
reads the same bodies with orjson into dicts and appends them with deltalake, as one would from
KServe's request log: it checks no value, knows no time, latency or label, and would write a batch
twice when it is killed. Takes half a minute. The limit: at least 10,000 requests a second in every
form.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
from rich.console import Console
from rich.table import Table

from mlops_assets.serving.home import ServingHome
from mlops_assets.serving.prediction_log.records import Preamble, PredictionRecord, encode
from mlops_assets.serving.prediction_log.segments import SegmentWriter
from mlops_assets.serving.prediction_log.store import PredictionStore

N_REQUESTS, N_FEATURES = 20_000, 30
NAMES = [f"f{position}" for position in range(N_FEATURES)]
LEAST_PER_SECOND = 10_000


def as_lists(row: list[float]) -> tuple[str, Any]:
    return "v1", {"instances": [row]}


def as_objects(row: list[float]) -> tuple[str, Any]:
    return "v1", {"instances": [dict(zip(NAMES, row, strict=True))]}


def as_matrix(row: list[float]) -> tuple[str, Any]:
    return "v2", {
        "inputs": [{"name": "x", "shape": [1, len(row)], "datatype": "FP64", "data": row}]
    }


def as_columns(row: list[float]) -> tuple[str, Any]:
    tensors = [
        {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
        for name, value in zip(NAMES, row, strict=True)
    ]
    return "v2", {"inputs": tensors}


FORMS = {
    "V1, lists": as_lists,
    "V1, objects": as_objects,
    "V2, one tensor": as_matrix,
    "V2, a tensor for each feature": as_columns,
}


def log(folder: Path, form: Any, rows: list[list[float]]) -> list[bytes]:
    """Log one request for each row; returns their bodies."""
    preamble = Preamble("toy", "v1", "1", [(name, "number") for name in NAMES], [0, 1])
    writer = SegmentWriter(folder, encode(preamble))
    shares = np.array([[0.25, 0.75]], np.float32).tobytes()
    bodies = []
    for number, row in enumerate(rows):
        protocol, request = form(row)
        body = orjson.dumps(request)
        writer.append(
            encode(
                PredictionRecord(
                    f"id{number}", time.time_ns(), protocol, 500_000, body, None, [1], shares
                )
            )
        )
        bodies.append(body)
    writer.close()
    return bodies


def run_sink(home: Path) -> float:
    """Processor time of one pass of the sink's process."""
    command = [sys.executable, "-m", "mlops_assets.serving.prediction_log.sink", "--once"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command, f"--home={home}"], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run_script(bodies: list[bytes], table: Path) -> float:
    """Processor time of reading the bodies and appending their features."""
    from deltalake import write_deltalake

    began = time.process_time()
    rows = [read_row(orjson.loads(body)) for body in bodies]
    frame = pl.DataFrame(rows).with_columns(
        id=pl.Series([f"id{number}" for number in range(len(rows))]),
        day=pl.lit("2026-01-01"),
        probabilities=pl.Series([[0.25, 0.75]] * len(rows)),
    )
    write_deltalake(table, frame, mode="append", partition_by=["day"])
    return time.process_time() - began


def read_row(request: Any) -> dict[str, float]:
    if "instances" in request:
        (row,) = request["instances"]
        return row if isinstance(row, dict) else dict(zip(NAMES, row, strict=True))
    tensors = request["inputs"]
    if len(tensors) == 1:
        return dict(zip(NAMES, tensors[0]["data"], strict=True))
    return {tensor["name"]: tensor["data"][0] for tensor in tensors}


def main() -> int:
    numbers = np.random.default_rng(0).random((N_REQUESTS, N_FEATURES)).round(4).tolist()
    found = Table("20,000 single rows of 30 numbers", "ours", "script", "")
    holds = True
    with tempfile.TemporaryDirectory() as name:
        for form, make in FORMS.items():
            home = Path(name) / form
            log(ServingHome.under(home).predictions / "toy", make, numbers[:1])
            start = run_sink(home)
            bodies = log(ServingHome.under(home).predictions / "toy", make, numbers)
            ours = N_REQUESTS / (run_sink(home) - start)
            script = N_REQUESTS / run_script(bodies, Path(name) / f"{form}, script")
            store = PredictionStore(str(ServingHome.under(home).tables))
            assert store.scan_predictions("toy").collect().height == N_REQUESTS
            ok = ours >= LEAST_PER_SECOND
            holds = holds and ok
            verdict = "ok" if ok else "MISSED"
            found.add_row(form, f"{ours:,.0f}/s", f"{script:,.0f}/s", verdict)
    Console().print(found)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())

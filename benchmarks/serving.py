"""Throughput and latency of the predictor beside stock KServe and a bare handler.

One run, one machine, one model (a random forest of 100 trees on 30 numbers, trained and packaged by
this platform), one client: a process with an epoll loop over raw sockets that sends the next
request when the answer is there. Limits, at 8 connections and batches of 1 unless said otherwise:

- at least 40 times the throughput of stock KServe with scikit-learn
- in every cell at least 80 % of the bare handler's without the prediction log, and at most 15 %
  less with it
- p99 at one connection at most 1.2 times the bare handler's
- through the gateway at least 40 % of the predictor's throughput, and at most 2 ms more at p99
"""

import argparse
import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from mlops_assets.kserve.manifest import build_inference_service
from mlops_assets.modeling.features import build_frame
from mlops_assets.modeling.package import write_package
from mlops_assets.modeling.training import train
from mlops_assets.serving.embedded import EmbeddedServing
from mlops_assets.spec import ModelSpec

N_FEATURES = 30
CELLS = [(1, 1), (8, 1), (1, 100), (8, 100)]
KINDS = ["stock-sklearn", "stock-onnx", "bare", "ours", "ours+log", "gateway"]


@dataclass(frozen=True)
class Cell:
    """One measurement."""

    per_second: float
    p50_ms: float
    p99_ms: float


def make_spec() -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "m",
            "description": "Made to be measured.",
            "owners": ["team:benchmarks"],
            "source": {"path": "rows.parquet"},
            "features": {"numeric": [f"x{n}" for n in range(N_FEATURES)]},
            "target": {"column": "y", "task": "binary"},
            "model": {
                "estimator": "sklearn.ensemble.RandomForestClassifier",
                "parameters": {"n_estimators": 100},
            },
        }
    )


def write_model(directory: Path) -> str:
    """Train and package the forest; returns its digest."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4_000, N_FEATURES))
    y = (x[:, :5].sum(axis=1) + rng.normal(size=len(x)) > 0).astype(int)
    frame = pl.DataFrame({f"x{n}": x[:, n] for n in range(N_FEATURES)}).with_columns(y=y)
    built = build_frame(frame.lazy(), make_spec())
    manifest = write_package(directory, train(make_spec(), built), built, make_spec())
    assert manifest.onnx.usable, manifest.onnx.reason
    return manifest.model_digest


def run_client(port: int, path: str, body: bytes, n_connections: int, seconds: float) -> Cell:
    """Keep every connection busy for a while."""
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    selector = selectors.DefaultSelector()
    latencies: list[float] = []
    for _ in range(n_connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(request)
        selector.register(connection, selectors.EVENT_READ, [time.perf_counter(), b""])
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for key, _ in selector.select():
            connection, state = key.fileobj, key.data
            assert isinstance(connection, socket.socket)
            state[1] += connection.recv(262_144)
            if not is_whole(state[1]):
                continue
            now = time.perf_counter()
            latencies.append(now - state[0])
            state[0], state[1] = now, b""
            connection.sendall(request)
    ordered = sorted(latencies)
    n = len(ordered)
    return Cell(n / seconds, ordered[n // 2] * 1e3, ordered[int(n * 0.99)] * 1e3)


def is_whole(answer: bytes) -> bool:
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return False
    assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
    at = answer.lower().find(b"content-length: ", 0, end) + 16
    return len(answer) >= end + 4 + int(answer[at : answer.find(b"\r", at)])


@contextlib.contextmanager
def running(kind: str, package: Path, digest: str, folder: Path) -> Iterator[int]:
    """A server of one kind; yields its port once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve = [sys.executable, "-m", "mlops_assets.serving.predictor", "--model-name=m"]
    serve += [f"--model-dir={package}", f"--port={port}"]
    home = folder / "home"
    commands = {
        "ours": serve,
        "ours+log": [*serve, f"--log-dir={folder / 'log'}"],
        "gateway": [
            sys.executable, "-m", "mlops_assets.serving.gateway", f"--home={home}",
            f"--port={port}",
        ],
    }  # fmt: skip
    other = [sys.executable, str(Path(__file__).with_name("serving_servers.py")), kind]
    command = commands.get(kind, [*other, str(package), str(port)])
    with (folder / f"{kind}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        if kind == "gateway":
            manifest = build_inference_service(
                make_spec(), version=1, storage_uri=package.as_uri(), model_digest=digest,
                mlflow_run_id="none",
            )  # fmt: skip
            backend = EmbeddedServing(home, f"http://127.0.0.1:{port}")
            backend.apply(manifest)
            backend.wait_ready("m", 1, 60)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=1)
                break
            time.sleep(0.1)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def measure(port: int, batch: int, n_connections: int, seconds: float) -> Cell:
    """One cell, with the client in a process of its own."""
    command = [sys.executable, __file__, "--client", str(port), str(n_connections), str(batch)]
    done = subprocess.run([*command, str(seconds)], capture_output=True, text=True, check=True)
    return Cell(**json.loads(done.stdout))


def measure_all(ports: dict[str, int], seconds: float, rounds: int) -> "Results":
    """Every cell of every server, taking turns, so that what else the machine does hurts all.

    A cell is the median of its rounds; of the latencies too.
    """
    found: dict[str, dict[tuple[int, int], list[Cell]]] = {
        kind: {cell: [] for cell in CELLS} for kind in ports
    }
    for _ in range(rounds):
        for n, batch in CELLS:
            for kind, port in ports.items():
                found[kind][n, batch].append(measure(port, batch, n, seconds))
    return {
        kind: {cell: middle(measured) for cell, measured in cells.items()}
        for kind, cells in found.items()
    }


def middle(measured: list[Cell]) -> Cell:
    return Cell(
        float(np.median([cell.per_second for cell in measured])),
        float(np.median([cell.p50_ms for cell in measured])),
        float(np.median([cell.p99_ms for cell in measured])),
    )


def client_main(port: int, n_connections: int, batch: int, seconds: float) -> None:
    rows = np.random.default_rng(1).normal(size=(batch, N_FEATURES)).round(6).tolist()
    body = json.dumps({"instances": rows}).encode()
    path = "/v1/models/m:predict"
    run_client(port, path, body, n_connections, min(0.3, seconds))
    cell = run_client(port, path, body, n_connections, seconds)
    print(json.dumps(cell.__dict__))


Results = dict[str, dict[tuple[int, int], Cell]]


def check(results: Results) -> list[tuple[str, str, bool]]:
    """Each limit with what was found."""

    def rate(kind: str, cell: tuple[int, int]) -> float:
        return results[kind][cell].per_second

    hot = (8, 1)
    found = []
    if "stock-sklearn" in results:
        times = rate("ours", hot) / rate("stock-sklearn", hot)
        found.append(("ours / stock-sklearn ≥ 40", f"{times:.0f}", times >= 40))
    for cell in CELLS:
        share, logged = rate("ours", cell) / rate("bare", cell), rate("ours+log", cell)
        name = f"{cell[0]} connections, batch {cell[1]}"
        found.append((f"ours / bare ≥ 0.80: {name}", f"{share:.2f}", share >= 0.8))
        share = logged / rate("ours", cell)
        found.append((f"with log / without ≥ 0.85: {name}", f"{share:.2f}", share >= 0.85))
    p99 = results["ours"][1, 1].p99_ms / results["bare"][1, 1].p99_ms
    found.append(("p99 ours / bare ≤ 1.2 at 1 connection", f"{p99:.2f}", p99 <= 1.2))
    share = rate("gateway", hot) / rate("ours+log", hot)
    found.append(("gateway / predictor ≥ 0.40", f"{share:.2f}", share >= 0.4))
    more = results["gateway"][hot].p99_ms - results["ours+log"][hot].p99_ms
    found.append(("p99 gateway - predictor ≤ 2 ms", f"{more:.2f} ms", more <= 2))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one turn")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every cell")
    parser.add_argument("--skip-stock", action="store_true", help="leave stock KServe out")
    parser.add_argument("--client", nargs=4, type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        port, n_connections, batch, seconds = arguments.client
        client_main(int(port), int(n_connections), int(batch), seconds)
        return 0
    console = Console()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        digest = write_model(folder / "package")
        kinds = KINDS[2:] if arguments.skip_stock else KINDS
        with contextlib.ExitStack() as servers:
            ports = {
                kind: servers.enter_context(running(kind, folder / "package", digest, folder))
                for kind in kinds
            }
            results = measure_all(ports, arguments.seconds, arguments.rounds)
    table = Table("server", *(f"{n} conn., batch {batch}" for n, batch in CELLS))
    for kind, cells in results.items():
        texts = [
            f"{c.per_second:,.0f}/s p50 {c.p50_ms:.2f} p99 {c.p99_ms:.2f} ms"
            for c in cells.values()
        ]
        table.add_row(kind, *texts)
    console.print(table)
    limits = check(results)
    verdict = Table("limit", "found", "")
    for limit, found, holds in limits:
        verdict.add_row(limit, found, "ok" if holds else "MISSED")
    console.print(verdict)
    return 0 if all(holds for *_, holds in limits) else 1


if __name__ == "__main__":
    sys.exit(main())

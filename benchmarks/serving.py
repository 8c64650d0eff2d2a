"""Throughput and latency of the predictor beside stock KServe and a bare handler.

One run, one machine, the same models and one client (`serving_client.py`) for all servers. The
servers of a model run at the same time; in each round the client asks them by turns of a tenth of
a second, every other time in the opposite order, so that whatever else the machine does hurts all
alike. There are three processes of each: at one connection a server answers a tenth more or less
than its twin, by where the system happened to place it. Stock KServe and a shadow have rounds of
their own: a turn would be over before the first has answered, and a mirror works on when its turn
is over. A ratio is the median of the ratios of the rounds. Client and server share the processors:
on two cores neither has one to itself. The processor time of a request (all threads of the server)
hardly depends on what else runs; no limit goes by it. Takes about 11 minutes.
Limits:

- at least 40 times the throughput of stock KServe with scikit-learn: forest, 8 connections, batch 1
- in every cell at least 80 % of the bare handler's without the prediction log, and at most 15 %
  less with it
- p99 at one connection at most 1.2 times the bare handler's
- through the gateway at least 40 % of the predictor's throughput, and at most 2 ms more at p99
- a shadow costs nothing measurable: the medians of p50 and p99 move by less than they differ
  between two halves of the turns without it, or 0.1 ms
- answers equal to scikit-learn's on 10,000 rows of each model: labels where they are no tie, at
  most 0.5 % of rows beyond 1e-5, none beyond 0.02

`bare` uses granian's own interface (RSGI), as ours does, and is what the limits go by; `bare-asgi`
is the same handler through ASGI.
"""

import argparse
import contextlib
import json
import os
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
import psutil
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))
from serving_models import PACKAGERS, Packaged, compare_answers

from mlops_assets.kserve.manifest import build_inference_service
from mlops_assets.modeling.signing import SIGNING_KEY, ensure_key_pair, sign_package
from mlops_assets.serving.embedded import EmbeddedServing

Key = tuple[str, int, int]  # server, connections, batch
Limits = list[tuple[str, str, bool]]
Running = tuple[int, int]  # port, process

CELLS = [(1, 1), (8, 1), (1, 100), (8, 100)]
SLOW_KINDS = ["stock-sklearn", "stock-onnx"]
KINDS = ["bare", "ours", "ours+log", "bare-asgi"]
GATEWAY_CELLS = [(1, 1), (8, 1)]
PAUSE_SECONDS = 0.005
N_TWINS = 3
STOCK_EVERY = 3  # rounds: it is so slow that few turns tell
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Cell:
    """One server in one round."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float  # of the server and its children, for one answer


@contextlib.contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[int]:
    """A server, once it answers; ended by SIGTERM, and killed when that does not end it.

    In a group of its own and in our session, so that it gets as much of the processor as we do.
    Yields its process number.
    """
    with log.open("wb") as opened:
        process = subprocess.Popen(command, stdout=opened, stderr=opened, process_group=0)
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, f"it never answers: {log.read_text()}"
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/live", timeout=1)
                break
            time.sleep(0.1)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running_kind(kind: str, model: Packaged, folder: Path) -> Iterator[Running]:
    """A server of one kind."""
    port = find_port()
    ours = [sys.executable, "-m", "mlops_assets.serving.predictor", "--model-name=m"]
    ours += [f"--model-dir={model.directory}", f"--port={port}"]
    if kind == "ours+log":
        ours.append(f"--log-dir={folder / 'log'}")
    other = [sys.executable, str(HERE / "serving_servers.py"), kind, str(model.directory)]
    command = ours if kind.startswith("ours") else [*other, str(port)]
    with running(command, port, folder / f"{kind}.log") as pid:
        yield port, pid


@contextlib.contextmanager
def running_gateway(model: Packaged, folder: Path, *, shadow: bool) -> Iterator[Running]:
    """A gateway with the model as v1 and, as a shadow, as v2."""
    port = find_port()
    home = folder / f"home-{shadow}"
    backend = EmbeddedServing(home, f"http://127.0.0.1:{port}")
    v1, v2 = (
        build_inference_service(
            model.spec, version=version, storage_uri=model.directory.as_uri(),
            model_digest=model.manifest.model_digest, mlflow_run_id="none",
        )
        for version in (1, 2)
    )  # fmt: skip
    if shadow:
        v1["spec"]["canary"] = [{"trafficPercent": 0, "predictor": v2["spec"]["predictor"]}]
    ensure_key_pair(home / "keys")
    sign_package(model.directory, home / "keys" / SIGNING_KEY)
    backend.apply(v1)
    if shadow:
        backend.set_traffic("m", {"v1": 100}, shadow="v2")
    command = [sys.executable, "-m", "mlops_assets.serving.gateway", f"--home={home}"]
    with running([*command, f"--port={port}"], port, folder / f"gateway-{shadow}.log") as pid:
        backend.wait_ready("m", 1, 60)
        yield port, pid


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and those below it, so far."""
    root = psutil.Process(pid)
    files = [Path(f"/proc/{p.pid}/task") for p in (root, *root.children(recursive=True))]
    total_ns = 0
    for task in [task for folder in files for task in folder.iterdir()]:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            total_ns += int((task / "schedstat").read_text().split()[0])
    return total_ns / 1e9


def take_turns(
    servers: list[Running], body: Path, n: int, seconds: float, pause_seconds: float | None = None
) -> list[Cell]:
    """One round, with the client in a process of its own: so many seconds for each server."""
    before = [cpu_seconds(pid) for _, pid in servers]
    ports = ",".join(str(port) for port, _ in servers)
    command = [sys.executable, str(HERE / "serving_client.py"), ports, "/v1/models/m:predict"]
    command += [str(body), str(n), str(seconds)]
    if pause_seconds is not None:
        command.append(str(pause_seconds))
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    cells = []
    for found, (_, pid), started in zip(json.loads(done.stdout), servers, before, strict=True):
        cpu_us = (cpu_seconds(pid) - started) / found.pop("n_answers") * 1e6
        cells.append(Cell(**found, cpu_us=cpu_us))
    return cells


class Results:
    """The rounds of every server and cell of one model, in their order."""

    def __init__(self) -> None:
        self.turns: dict[Key, list[Cell]] = {}

    def add(self, kind: str, n: int, batch: int, cell: Cell) -> None:
        self.turns.setdefault((kind, n, batch), []).append(cell)

    def middle(self, kind: str, n: int, batch: int, value: str = "per_second") -> float:
        return float(np.median([getattr(cell, value) for cell in self.turns[kind, n, batch]]))

    def ratio(self, kind: str, to: str, n: int, batch: int, value: str = "per_second") -> float:
        ours, theirs = self.turns[kind, n, batch], self.turns[to, n, batch]
        step = 1 if len(ours) == len(theirs) else STOCK_EVERY * N_TWINS
        pairs = zip(ours, theirs[::step], strict=True)
        return float(np.median([getattr(a, value) / getattr(b, value) for a, b in pairs]))


def measure_model(
    model: Packaged, folder: Path, seconds: float, rounds: int, *, with_stock: bool
) -> tuple[Results, dict[str, float]]:
    """Every cell of every server, taking turns; and how far ours is from scikit-learn."""
    results = Results()
    bodies = {batch: model.write_body(batch) for _, batch in CELLS}
    with contextlib.ExitStack() as servers:
        slow = {
            kind: servers.enter_context(running_kind(kind, model, folder))
            for kind in (SLOW_KINDS if with_stock else [])
        }
        fast: list[Running] = []
        for twin in range(N_TWINS):
            (folder / str(twin)).mkdir()
            fast += [
                servers.enter_context(running_kind(kind, model, folder / str(twin)))
                for kind in KINDS
            ]
        for number in range(rounds):
            for n, batch in CELLS:
                cells = take_turns(fast, bodies[batch], n, seconds)
                for kind, cell in zip(KINDS * N_TWINS, cells, strict=True):
                    results.add(kind, n, batch, cell)
                for kind in slow if number % STOCK_EVERY == 0 else {}:
                    (cell,) = take_turns([slow[kind]], bodies[batch], n, seconds * 2)
                    results.add(kind, n, batch, cell)
        differences = compare_answers(model, fast[KINDS.index("ours")][0])
    return results, differences


def measure_gateway(model: Packaged, folder: Path, seconds: float, rounds: int) -> Results:
    """The gateway beside the predictor."""
    results = Results()
    body = model.write_body(1)
    with contextlib.ExitStack() as servers:
        running = {
            "ours+log": servers.enter_context(running_kind("ours+log", model, folder)),
            "gateway": servers.enter_context(running_gateway(model, folder, shadow=False)),
        }
        for _ in range(rounds):
            for n, batch in GATEWAY_CELLS:
                cells = take_turns(list(running.values()), body, n, seconds)
                for kind, cell in zip(running, cells, strict=True):
                    results.add(kind, n, batch, cell)
    return results


def measure_shadow(model: Packaged, folder: Path, seconds: float, rounds: int) -> Results:
    """The gateway with a shadow beside one without."""
    results = Results()
    body = model.write_body(1)
    with contextlib.ExitStack() as servers:
        running = {
            kind: servers.enter_context(running_gateway(model, folder, shadow=shadow))
            for kind, shadow in (("gateway", False), ("gateway+shadow", True))
        }
        for number in range(rounds):
            for kind in list(running)[:: -1 if number % 2 else 1]:
                (cell,) = take_turns([running[kind]], body, 1, seconds)
                results.add(kind, 1, 1, cell)
                (cell,) = take_turns([running[kind]], body, 1, seconds * 2, PAUSE_SECONDS)
                results.add(f"{kind}, paced", 1, 1, cell)
    return results


def check_model(name: str, found: Results, differences: dict[str, float]) -> Limits:
    """The limits that hold for every model."""
    limits = []
    for n, batch in CELLS:
        cell = f"{name}, {n} conn., batch {batch}"
        share = found.ratio("ours", "bare", n, batch)
        limits.append((f"ours / bare ≥ 0.80: {cell}", f"{share:.2f}", share >= 0.8))
        share = found.ratio("ours+log", "ours", n, batch)
        limits.append((f"with log / without ≥ 0.85: {cell}", f"{share:.2f}", share >= 0.85))
    p99 = found.ratio("ours", "bare", 1, 1, "p99_ms")
    limits.append((f"p99 ours / bare ≤ 1.2: {name}, 1 conn.", f"{p99:.2f}", p99 <= 1.2))
    labels, beyond = differences["n_labels_differ"], differences["share_beyond"]
    largest = differences["largest"]
    text = f"{labels:.0f} labels, {beyond:.2%} of rows beyond 1e-5, largest {largest:.1e}"
    equal = labels == 0 and beyond <= 0.005 and largest <= 0.02
    limits.append((f"as scikit-learn on 10,000 rows: {name}", text, equal))
    return limits


def check_stock(found: Results) -> Limits:
    times = 1 / found.ratio("stock-sklearn", "ours", 8, 1)
    return [("ours / stock-sklearn ≥ 40: forest, 8 conn., batch 1", f"{times:.0f}", times >= 40)]


def check_gateway(found: Results) -> Limits:
    share = found.ratio("gateway", "ours+log", 8, 1)
    limits = [("gateway / predictor ≥ 0.40: 8 conn.", f"{share:.2f}", share >= 0.4)]
    for n, batch in GATEWAY_CELLS:
        more = found.middle("gateway", n, batch, "p99_ms")
        more -= found.middle("ours+log", n, batch, "p99_ms")
        limits.append((f"p99 gateway - predictor ≤ 2 ms: {n} conn.", f"{more:.2f} ms", more <= 2))
    return limits


def check_shadow(found: Results) -> Limits:
    limits = []
    for kind in ("", ", paced"):
        for value in ("p50_ms", "p99_ms"):
            without = [getattr(cell, value) for cell in found.turns[f"gateway{kind}", 1, 1]]
            noise = abs(float(np.median(without[::2]) - np.median(without[1::2])))
            more = found.middle(f"gateway+shadow{kind}", 1, 1, value) - float(np.median(without))
            text = f"{more:+.3f} ms (two halves without: {noise:.3f} ms)"
            name = f"shadow, {value[:3]}: 1 conn.{kind or ', without pause'}"
            limits.append((name, text, more <= max(noise, 0.1)))
    return limits


def show(console: Console, name: str, found: Results) -> None:
    cells = sorted({key[1:] for key in found.turns}, key=lambda cell: (cell[1], cell[0]))
    table = Table(name, *(f"{n} conn., batch {batch}" for n, batch in cells))
    for kind in dict.fromkeys(key[0] for key in found.turns):
        texts = []
        for n, batch in cells:
            if (kind, n, batch) not in found.turns:
                texts.append("")
                continue
            p50 = found.middle(kind, n, batch, "p50_ms")
            p99 = found.middle(kind, n, batch, "p99_ms")
            rate = found.middle(kind, n, batch)
            cpu = found.middle(kind, n, batch, "cpu_us")
            texts.append(f"{rate:,.0f}/s p50 {p50:.2f} p99 {p99:.2f} ms, cpu {cpu:.0f} µs")
        table.add_row(kind, *texts)
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.4, help="for each server in a round")
    parser.add_argument("--rounds", type=int, default=6, help="of every cell")
    parser.add_argument(
        "--quick", action="store_true", help="2 rounds of 0.2 s, stock KServe for the forest only"
    )
    parser.add_argument("--models", nargs="*", default=list(PACKAGERS), choices=list(PACKAGERS))
    parser.add_argument("--skip-stock", action="store_true", help="leave stock KServe out")
    parser.add_argument("--skip-gateway", action="store_true", help="leave the gateway out")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seconds, arguments.rounds = 0.2, 2
    console = Console(width=None if sys.stdout.isatty() else 150)
    limits: Limits = []
    with tempfile.TemporaryDirectory() as name:
        models = {}
        for one in arguments.models:
            (Path(name) / one).mkdir()
            models[one] = PACKAGERS[one](Path(name) / one)
        for one, model in models.items():
            stock = not arguments.skip_stock and (one == "forest" or not arguments.quick)
            found, differences = measure_model(
                model, Path(name) / one, arguments.seconds, arguments.rounds, with_stock=stock
            )
            show(console, one, found)
            limits += check_model(one, found, differences)
            if one == "forest" and not arguments.skip_stock:
                limits += check_stock(found)
        if "forest" in models and not arguments.skip_gateway:
            folder = Path(name) / "forest"
            rounds = arguments.rounds * N_TWINS
            found = measure_gateway(models["forest"], folder, arguments.seconds, rounds)
            show(console, "forest, through the gateway", found)
            limits += check_gateway(found)
            (folder / "shadow").mkdir()
            found = measure_shadow(models["forest"], folder / "shadow", arguments.seconds, rounds)
            show(console, "forest, with a shadow", found)
            limits += check_shadow(found)
    verdict = Table("limit", "found", "")
    for limit, text, holds in limits:
        verdict.add_row(limit, text, "ok" if holds else "MISSED")
    console.print(verdict)
    return 0 if all(holds for *_, holds in limits) else 1


if __name__ == "__main__":
    sys.exit(main())

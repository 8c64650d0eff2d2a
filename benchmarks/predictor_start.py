"""How long a predictor takes from its start until it is ready, and how much memory it then holds.

The benchmark's forest (100 trees, 30 numbers), with ONNX and through scikit-learn alone; the worst
of three starts each. Limits: 2 s and 150 MB with ONNX, 6 s and 300 MB through scikit-learn.
"""

import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))
from serving import find_port
from serving_models import package_forest

LIMITS = {True: (2.0, 150.0), False: (6.0, 300.0)}
ROUNDS, PATIENCE_SECONDS = 3, 60.0


def start(directory: Path) -> tuple[float, float]:
    """Seconds until it is ready, and its resident megabytes then."""
    port = find_port()
    command = [str(Path(sys.executable).with_name("mlops-assets")), "predictor"]
    command += ["--model-name=m", f"--model-dir={directory}", f"--port={port}"]
    began = time.perf_counter()
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=1)
                break
            except (urllib.error.URLError, TimeoutError):
                assert process.poll() is None, "it ended before it was ready"
                assert time.perf_counter() - began < PATIENCE_SECONDS, "it is never ready"
                time.sleep(0.01)
        seconds = time.perf_counter() - began
        main = psutil.Process(process.pid)
        workers = [main, *main.children(recursive=True)]
        megabytes = sum(each.memory_info().rss for each in workers) / 1e6
        process.terminate()
    return seconds, megabytes


def main() -> int:
    """Measures, prints the table, and says by the exit code whether the limits hold."""
    table = Table("served through", "seconds", "limit", "MB", "limit", title="predictor, start")
    missed = False
    for onnx, (most_seconds, most_megabytes) in LIMITS.items():
        with tempfile.TemporaryDirectory() as scratch:
            directory = package_forest(Path(scratch), onnx=onnx).directory
            found = [start(directory) for _ in range(ROUNDS)]
        seconds, megabytes = (max(values) for values in zip(*found, strict=True))
        missed |= seconds > most_seconds or megabytes > most_megabytes
        name = "onnxruntime" if onnx else "scikit-learn"
        table.add_row(
            name, f"{seconds:.2f}", f"{most_seconds:.0f}", f"{megabytes:.0f}",
            f"{most_megabytes:.0f}",
        )  # fmt: skip
    Console().print(table)
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())

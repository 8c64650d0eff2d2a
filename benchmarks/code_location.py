"""How fast Dagster loads the code location: as shipped, and with 200 generated documents.

Each figure is of a fresh process, as Dagster's code server is one. Limits: import 2 s; 200
documents 5 s and 800 MB.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

N_DOCUMENTS = 200
LIMITS = {"import": (2.0, None), "load 200 documents": (5.0, 800.0)}

IMPORT = """
import time; start = time.perf_counter()
import mlops_assets.definitions
seconds = time.perf_counter() - start
"""
LOAD = """
import pathlib, sys, time
sys.path.insert(0, {root!r})
start = time.perf_counter()
import dagster as dg
import generated.defs
from mlops_assets.component import ModelPipeline
tree = dg.ComponentTree.from_module(defs_module=generated.defs, project_root=pathlib.Path({root!r}))
definitions = tree.build_defs()
repository = definitions.get_repository_def()
seconds = time.perf_counter() - start
assert len(repository.asset_graph.get_all_asset_keys()) == 10 * {n}
"""
REPORT = """
import json, resource
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([seconds, memory]))
"""


def write_documents(root: Path) -> None:
    """A package `generated.defs` with one folder for each document."""
    defs = root / "generated" / "defs"
    defs.mkdir(parents=True)
    (root / "generated" / "__init__.py").touch()
    (defs / "__init__.py").touch()
    for i in range(N_DOCUMENTS):
        columns = [f"x{j}" for j in range(8)]
        document = {
            "type": "mlops_assets.component.ModelPipeline",
            "attributes": {
                "name": f"model_{i:03d}",
                "description": "A generated document.",
                "owners": ["team:platform"],
                "source": {"path": "data.csv"},
                "contract": {"columns": {name: {"type": "number"} for name in columns}},
                "features": {"numeric": columns},
                "target": {"column": "y", "task": "binary"},
                "model": {"estimator": "sklearn.linear_model.LogisticRegression"},
                "schedule": {"cron": "0 3 * * *"},
            },
        }
        (defs / f"model_{i:03d}").mkdir()
        (defs / f"model_{i:03d}" / "defs.yaml").write_text(yaml.safe_dump(document))


def measure(script: str) -> tuple[float, float]:
    """Seconds and peak megabytes of a script in a process of its own; the best of three."""
    found: list[tuple[float, float]] = []
    for _ in range(3):
        run = subprocess.run(
            [sys.executable, "-c", script + REPORT], capture_output=True, text=True, check=False
        )
        if run.returncode:
            raise SystemExit(run.stderr)
        seconds, megabytes = json.loads(run.stdout.splitlines()[-1])
        found.append((seconds, megabytes))
    return min(found)


def main() -> int:
    """Measures, prints the table, and says by the exit code whether the limits hold."""
    with tempfile.TemporaryDirectory() as scratch:
        write_documents(Path(scratch))
        results = {
            "import": measure(IMPORT),
            "load 200 documents": measure(LOAD.format(root=scratch, n=N_DOCUMENTS)),
        }
    table = Table("what", "seconds", "limit", "MB", "limit", title="code location")
    missed = False
    for name, (seconds, memory) in results.items():
        seconds_limit, memory_limit = LIMITS[name]
        missed |= seconds > seconds_limit or bool(memory_limit and memory > memory_limit)
        shown_limit = f"{memory_limit:.0f}" if memory_limit else "–"
        table.add_row(name, f"{seconds:.2f}", f"{seconds_limit:.1f}", f"{memory:.0f}", shown_limit)
    Console().print(table)
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())

"""A project of one small model that is watched in windows of rows, and callers whose inputs drift.

The project is real: its own code location, its own document, its own source of rows, run by
`mlops-assets up`.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import yaml

from mlops_assets_tests.documents import churn_document, churn_rows

ROOT = Path(__file__).parents[2]
WINDOW_ROWS = 60
_LOCATION = """
import os
from pathlib import Path

import dagster as dg

from mlops_assets.component import build_pipeline
from mlops_assets.resources.environment import default_resources, executor
from mlops_assets.spec.reading import read_documents

FOLDER = Path(__file__).parent / "defs" / "churn"
defs = dg.Definitions.merge(
    *[build_pipeline(spec, FOLDER) for spec in read_documents(FOLDER / "defs.yaml")],
    dg.Definitions(resources=default_resources(), executor=executor(os.environ)),
)
"""
_WORKSPACE = """
load_from:
  - python_module:
      module_name: watched.definitions
      location_name: watched
      working_directory: {project}
"""
QUICK = {
    "monitoring": {"window": {"every": "rows", "rows": WINDOW_ROWS}},
    "retraining": {
        "triggers": ["drift"],
        "verdicts": ["drift_harmful", "concept_drift", "drift_harmless", "not_enough_data"],
        "violations": 1,
        "of_windows": 1,
        "minimum_rows": 30,
        "cooldown": "0s",
    },
    "rollout": {
        "strategy": "rolling",
        "steps": [],
        "interval": "1s",
        "minimum_samples": 5,
        "warm_up_requests": 0,
        "watch": {"duration": "0s"},
        "warm_standby": "0s",
    },
    "gates": {"not_worse_than_champion": None, "beats_baseline": None},
}
"""The quickest that a document allows: every window counts, nothing waits."""


def drifted_rows(n: int = 600, seed: int = 5) -> pl.DataFrame:
    """Customers of a new kind: they have been there for years, and now the oldest of them leave."""
    rng = np.random.default_rng(seed)
    rows = churn_rows(n, seed)
    months = rows["months"] + 60
    churned = rng.random(n) < 1 / (1 + np.exp(-0.1 * (months.to_numpy() - 90)))
    return rows.with_columns(
        months=months,
        customer=pl.Series([f"d{i:05d}" for i in range(n)]),
        churned=pl.Series(np.where(churned, "yes", "no")),
    )


@dataclass
class Project:
    """The project on disk, and its home."""

    folder: Path
    home: Path
    pages: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """The source of the model's rows."""
        return self.folder / "watched" / "defs" / "churn" / "churn.csv"

    def write_rows(self, rows: pl.DataFrame) -> None:
        """Put the source in place at once."""
        aside = self.data.with_suffix(".new")
        rows.write_csv(aside)
        aside.replace(self.data)

    def environment(self) -> dict[str, str]:
        """What its processes run under."""
        return {
            **os.environ,
            "MLOPS_PROJECT": str(self.folder),
            "MLOPS_HOME": str(self.home),
            "PYTHONPATH": f"{self.folder}:{ROOT}",
        }

    def command(self, *words: str) -> list[str]:
        """A command line of this home."""
        return [str(Path(sys.executable).with_name("mlops-assets")), *words]

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            self.command(*words), env=self.environment(), capture_output=True, text=True
        )


def write_project(folder: Path, home: Path, **changes: Any) -> Project:
    """Write the project; a change replaces a part of the document."""
    module = folder / "watched"
    (module / "defs" / "churn").mkdir(parents=True)
    (module / "__init__.py").touch()
    (module / "definitions.py").write_text(_LOCATION)
    shutil.copy(ROOT / "dagster.yaml", folder)
    (folder / "workspace.yaml").write_text(_WORKSPACE.format(project=folder))
    document = {
        "type": "mlops_assets.component.ModelPipeline",
        "attributes": churn_document(**(QUICK | changes)),
    }
    (module / "defs" / "churn" / "defs.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    project = Project(folder, home)
    project.write_rows(churn_rows())
    return project


@contextmanager
def running(project: Project) -> Iterator[Project]:
    """The platform, up until the block is left."""
    options = ["--dagster-port=0", "--mlflow-port=0", "--gateway-port=0"]
    with subprocess.Popen(
        project.command("up", *options),
        env=project.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            project.pages = pages_of(process)
            yield project
            process.send_signal(signal.SIGINT)
            process.wait(60)
        finally:
            process.kill()  # its guardian stops what it started


def pages_of(process: "subprocess.Popen[str]") -> dict[str, str]:
    """URLs by name, which `up` prints on its standard error once everything is up."""
    assert process.stderr is not None
    lines: list[str] = []
    found: dict[str, str] = {}
    for line in process.stderr:
        lines.append(line)
        words = line.split()
        if len(words) == 2 and words[1].startswith("http://"):
            found[words[0]] = words[1]
        if "Ctrl-C stops everything" in line:
            break
    assert len(found) == 3, "".join(lines)
    threading.Thread(target=process.stderr.read, daemon=True).start()  # or its pipe runs full
    return found


@dataclass
class Callers:
    """Requests one after the other, with rows that can be exchanged while they run."""

    url: str
    rows: list[dict[str, Any]]
    pause_seconds: float = 0.1
    n_answers: int = 0
    errors: list[str] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def calling(self) -> Iterator["Callers"]:
        """Calls until the block is left."""
        done = threading.Event()
        thread = threading.Thread(target=self._call, args=(done,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            done.set()
            thread.join()

    def _call(self, done: threading.Event) -> None:
        with httpx.Client(timeout=60) as client:
            at = 0
            while not done.wait(self.pause_seconds):
                row = self.rows[at % len(self.rows)]
                at += 1
                try:
                    answer = client.post(
                        f"{self.url}/v1/models/churn:predict",
                        content=json.dumps({"instances": [row]}),
                    )
                except httpx.HTTPError as error:
                    self.errors.append(repr(error))
                    continue
                if answer.status_code == 200:
                    self.n_answers += 1
                    self.last = answer.json()
                else:
                    self.errors.append(answer.text)


def requests_of(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """What callers send of some customers."""
    return rows.select(pl.col("months").cast(pl.Float64), "spend", "plan").to_dicts()


def wait_until(condition: Callable[[], bool], what: Callable[[], str], seconds: float) -> float:
    """Wait for a condition; the seconds that it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + seconds, what()
        time.sleep(0.1)
    return time.monotonic() - began

"""A project of two tiny models, and the materializing process in it."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.platform.environment import Addresses, kill_marked, process_environment
from mlops_assets.platform.events import Event, ModelMade, Planned
from mlops_assets.platform.home import Home, prepare_home
from mlops_assets.platform.instance import code_location, ensure_instance
from mlops_assets.platform.materialize import run

ROOT = Path(__file__).parents[2]
WORKSPACE = """
load_from:
  - python_module:
      module_name: mlops_assets_tests.platform.tiny_location
      location_name: tiny
      working_directory: {root}
"""


@dataclass(frozen=True)
class Tiny:
    """The project, its home, and what its processes run under."""

    project: Path
    home: Home
    environment: dict[str, str]

    def behave(self, **changes: Any) -> None:
        """Says how the model `apple` is to behave."""
        (self.home.root / "tiny.json").write_text(json.dumps(changes))

    def command(self, *models: str) -> list[str]:
        """The materializing process."""
        module = "mlops_assets.platform.materialize"
        return [sys.executable, "-m", module, str(self.home.root), str(self.project), *models]

    def start(self, *models: str) -> "subprocess.Popen[str]":
        """Starts it."""
        return subprocess.Popen(
            self.command(*models),
            env=self.environment,
            cwd=self.project,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def materialize(self, *models: str) -> list[Event]:
        """Does in this process what it does, and returns what it would tell."""
        told: list[Event] = []
        run(self.home, code_location(self.project), models, told.append)
        return told

    def instance(self) -> dg.DagsterInstance:
        """The Dagster instance of the home."""
        return dg.DagsterInstance.from_config(str(self.home.dagster))


@pytest.fixture(scope="session")
def fresh_dagster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DAGSTER_HOME as it is first made; a copy takes a hundredth of the time."""
    place = Home(tmp_path_factory.mktemp("fresh"))
    ensure_instance(ROOT, place)
    return place.dagster


@pytest.fixture
def tiny(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_dagster: Path
) -> Iterator[Tiny]:
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(ROOT / "dagster.yaml", project)
    (project / "workspace.yaml").write_text(WORKSPACE.format(root=ROOT))
    found = Home(home)
    prepare_home(found)
    shutil.copytree(fresh_dagster, found.dagster)
    ensure_instance(project, found)
    write_registry(found)
    environment = process_environment(os.environ, found, Addresses("127.0.0.1", 1, 2, 3), "tiny")
    environment["TINY_RECORDS"] = str(home / "records")
    for name in ("DAGSTER_HOME", "MLOPS_HOME", "TINY_RECORDS"):
        monkeypatch.setenv(name, environment[name])
    yield Tiny(project, found, environment)
    kill_marked(found)


def write_registry(home: Home) -> None:
    """A registry of a few tables, in MLflow's place: MLflow takes seconds to load."""
    with contextlib.closing(sqlite3.connect(home.mlflow_database)) as opened:
        opened.executescript(
            "CREATE TABLE alembic_version (version_num);"
            "CREATE TABLE experiments (experiment_id);"
            "CREATE TABLE runs (run_uuid, status);"
            "CREATE TABLE model_versions (name, version, current_stage);"
            "CREATE TABLE registered_model_aliases (name, alias, version);"
            "INSERT INTO alembic_version VALUES ('x'); INSERT INTO experiments VALUES (0);"
        )


def outcomes(events: list[Event]) -> dict[str, ModelMade]:
    """What was told of each model in the end."""
    return {event.model: event for event in events if isinstance(event, ModelMade)}


def runs(events: list[Event]) -> list[tuple[str, list[str]]]:
    """Model and steps of each run that was begun."""
    return [(e.model, list(e.reasons)) for e in events if isinstance(e, Planned)]

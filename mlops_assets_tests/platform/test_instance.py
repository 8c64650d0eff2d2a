"""The Dagster instance: one source for two ways to start it, and whole or not at all."""

import os
import shutil
import sqlite3
from pathlib import Path

import dagster as dg
import pytest
import yaml

from mlops_assets.errors import PlatformError
from mlops_assets.platform.instance import (
    code_location,
    ensure_instance,
    instance_settings,
    is_whole,
)
from mlops_assets_tests.platform.conftest import ROOT, Tiny


def test_only_the_folders_differ_from_the_projects_file() -> None:
    source = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    derived = yaml.safe_load(instance_settings(ROOT))
    folders = {"storage", "local_artifact_storage", "compute_logs"}
    assert derived == {key: value for key, value in source.items() if key not in folders}


def test_no_setting_needs_a_variable() -> None:
    assert "env:" not in "".join(
        line for line in (ROOT / "dagster.yaml").read_text().splitlines() if line[:1] != "#"
    )


def test_dagster_dev_sees_the_runs_of_up(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `dagster dev` opens it: the project's file, and folders relative to where it starts."""
    tiny.materialize("pear")
    shutil.copytree(tiny.home.dagster, tiny.project / ".mlops" / "dagster")
    monkeypatch.chdir(tiny.project)
    with dg.DagsterInstance.from_config(os.fspath(tiny.project)) as instance:
        (run,) = instance.get_runs()
        assert run.job_name == "pear_pipeline"
        logs = Path(instance.storage_directory(), run.run_id, "compute_logs")
        assert list(logs.glob("*.err"))
        assert not instance.telemetry_enabled


def test_the_code_location_of_this_project() -> None:
    found = code_location(ROOT)
    assert (found.module, found.attribute) == ("mlops_assets.definitions", "defs")
    assert found.name == "mlops_assets"


@pytest.mark.parametrize("text", ["", "load_from: []", "load_from: [{python_file: x.py}]", "[]"])
def test_a_workspace_without_a_module_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "workspace.yaml").write_text(text)
    with pytest.raises(PlatformError, match=r"workspace\.yaml: found"):
        code_location(tmp_path)


@pytest.mark.parametrize("victim", ["history/runs.db", "history/runs/index.db"])
def test_a_half_written_folder_is_put_aside(tiny: Tiny, victim: str) -> None:
    database = tiny.home.dagster / victim
    for table in ("alembic_version", "secondary_indexes"):
        with sqlite3.connect(database) as opened:
            opened.execute(f"DELETE FROM {table}")
    assert not is_whole(tiny.home.dagster)
    ensure_instance(tiny.project, tiny.home)
    assert is_whole(tiny.home.dagster)
    (aside,) = tiny.home.root.glob("dagster.half-written-*")
    assert (aside / victim).exists()


def test_a_file_that_is_no_database_is_named_and_kept(tiny: Tiny) -> None:
    database = tiny.home.dagster / "history" / "runs.db"
    for suffix in ("", "-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    database.write_text("no database " * 100)
    with pytest.raises(PlatformError, match=r"runs\.db is no SQLite database"):
        ensure_instance(tiny.project, tiny.home)
    assert database.exists()


def test_changed_settings_are_taken_over(tiny: Tiny) -> None:
    source = tiny.project / "dagster.yaml"
    source.write_text(
        source.read_text().replace("max_concurrent_runs: 4", "max_concurrent_runs: 7")
    )
    ensure_instance(tiny.project, tiny.home)
    assert "max_concurrent_runs: 7" in (tiny.home.dagster / "dagster.yaml").read_text()

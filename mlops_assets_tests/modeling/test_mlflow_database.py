"""MLflow's database, made by MLflow itself."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.errors import PlatformError
from mlops_assets.modeling.mlflow_database import ensure_database, is_whole


def test_a_half_written_database_is_put_aside_and_made_anew(home: Path) -> None:
    home.mkdir()
    path = home / "mlflow.db"
    with sqlite3.connect(path) as half:
        half.execute("CREATE TABLE experiments (experiment_id)")
    assert not is_whole(path)
    ensure_database(path)
    assert is_whole(path)
    assert len(list(home.glob("mlflow.db.half-written-*"))) == 1
    assert not list(home.glob(".mlflow.db.new*"))
    before = path.stat().st_ino
    ensure_database(path)
    assert path.stat().st_ino == before


def test_processes_that_begin_at_once_share_one_database(home: Path) -> None:
    use = (
        "import sys; from mlops_assets.modeling.tracking import Tracking;"
        "Tracking(sys.argv[1]).client.create_experiment(sys.argv[2])"
    )
    uri = (
        f"sqlite:///{home}/mlflow.db"  # in a folder that is not there yet, as `dagster dev` has it
    )
    started = [subprocess.Popen([sys.executable, "-c", use, uri, name]) for name in ("a", "b")]
    try:
        assert [process.wait(60) for process in started] == [0, 0]
    finally:
        for process in started:
            process.kill()
    with sqlite3.connect(home / "mlflow.db") as opened:
        names = {name for (name,) in opened.execute("SELECT name FROM experiments")}
    assert names == {"Default", "a", "b"}


def test_a_file_that_is_no_database_is_named_and_kept(home: Path) -> None:
    home.mkdir()
    path = home / "mlflow.db"
    path.write_text("no database " * 100)
    with pytest.raises(PlatformError, match=r"mlflow\.db is no SQLite database.*backup"):
        ensure_database(path)
    assert path.read_text().startswith("no database")

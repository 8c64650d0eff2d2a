"""MLflow's database, made by MLflow itself."""

import sqlite3
from pathlib import Path

import pytest

from mlops_assets.errors import PlatformError
from mlops_assets.platform.home import Home
from mlops_assets.platform.mlflow_database import ensure_database, is_whole
from mlops_assets.platform.registry_glance import (
    champion_version,
    count_aliases,
    count_running,
    has_version,
)
from mlops_assets.platform.retirement import withdraw_aliases


@pytest.fixture
def place(home: Path) -> Home:
    home.mkdir()
    return Home(home)


def test_a_half_written_database_is_put_aside_and_made_anew(place: Home) -> None:
    with sqlite3.connect(place.mlflow_database) as half:
        half.execute("CREATE TABLE experiments (experiment_id)")
    assert not is_whole(place.mlflow_database)
    ensure_database(place)
    assert is_whole(place.mlflow_database)
    assert len(list(place.root.glob("mlflow.db.half-written-*"))) == 1
    assert not list(place.root.glob(".mlflow.db.new*"))
    before = place.mlflow_database.stat().st_ino
    ensure_database(place)
    assert place.mlflow_database.stat().st_ino == before

    from mlflow import MlflowClient

    uri = f"sqlite:///{place.mlflow_database}"
    client = MlflowClient(uri, uri)
    run = client.create_run(client.create_experiment("churn"))
    client.create_registered_model("churn")
    client.create_model_version("churn", "file:///nowhere", run.info.run_id)
    client.set_registered_model_alias("churn", "champion", "1")
    assert count_running(place) == 1
    assert (count_aliases(place, "churn"), count_aliases(place, "other")) == (1, 0)
    assert (champion_version(place, "churn"), champion_version(place, "other")) == (1, None)
    assert has_version(place, "churn", 1)
    assert not has_version(place, "churn", 2)
    assert withdraw_aliases(place, "churn") == 1
    assert withdraw_aliases(place, "churn") == 0
    assert champion_version(place, "churn") is None


def test_nothing_is_found_where_nothing_is(place: Home) -> None:
    assert (count_running(place), count_aliases(place, "churn")) == (0, 0)
    assert champion_version(place, "churn") is None
    assert not place.mlflow_database.exists()


def test_a_file_that_is_no_database_is_named_and_kept(place: Home) -> None:
    place.mlflow_database.write_text("no database " * 100)
    with pytest.raises(PlatformError, match=r"mlflow\.db is no SQLite database.*backup"):
        ensure_database(place)
    assert place.mlflow_database.read_text().startswith("no database")

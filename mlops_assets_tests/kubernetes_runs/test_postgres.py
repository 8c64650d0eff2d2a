"""PostgreSQL: the driver that Dagster needs; older databases of Dagster and of MLflow."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg
import dagster_postgres
import pytest
import sqlalchemy as sa  # noqa: TID253
import yaml
from alembic import command
from dagster._core.storage.sql import get_alembic_config
from packaging.requirements import Requirement

from mlops_assets_tests.postgres import Postgres, running_postgres

_OLDER = "1aca709bba64"  # before runs could be found by tags quickly, and backfills had tags

_OLDER_MLFLOW = "5b0e9adcef9c"  # before it knew logged models and spans


@dg.op
def work() -> None:
    """Nothing."""


@dg.job
def toy() -> None:
    """A job with one step."""
    work()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


def test_sqlalchemy_keeps_the_driver_that_dagster_brings() -> None:
    """With 2.1, `postgresql://` means psycopg 3: no process of Dagster starts, or no run does."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    required = map(Requirement, project["dependencies"])
    (pinned,) = (each for each in required if each.name == "sqlalchemy")
    assert "2.1.0" not in pinned.specifier
    assert "2.0.58" in pinned.specifier
    assert version("sqlalchemy") in pinned.specifier
    assert sa.make_url("postgresql://x").get_dialect().driver == "psycopg2"


def test_a_run_is_executed_and_kept(postgres: Postgres, tmp_path: Path) -> None:
    with instance_in(postgres.create("kept"), tmp_path) as instance:
        result = toy.execute_in_process(instance=instance)
        assert result.success
        assert [run.status.value for run in instance.get_runs()] == ["SUCCESS"]


def test_a_database_of_an_older_release_is_migrated_and_a_second_time_changes_nothing(
    postgres: Postgres, tmp_path: Path
) -> None:
    url = postgres.create("older")
    with instance_in(url, tmp_path) as instance:
        run = instance.create_run_for_job(toy, tags={"of": "before"})
    newest = revision(url)
    _downgrade(url)
    assert revision(url) == _OLDER
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "dagster", "instance", "migrate"],
            env={"DAGSTER_HOME": str(tmp_path), "DAGSTER_DISABLE_TELEMETRY": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert revision(url) == newest
    with instance_in(url, tmp_path) as instance:
        (found,) = instance.get_runs(dg.RunsFilter(tags={"of": "before"}))
        assert found.run_id == run.run_id


def test_mlflow_s_database_of_an_older_release_is_upgraded_and_a_second_time_changes_nothing(
    postgres: Postgres,
) -> None:
    from mlflow.store.db.utils import _get_alembic_config, _get_latest_schema_revision
    from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    url = postgres.create("older_mlflow")
    engine = sa.create_engine(url)
    InitialBase.metadata.create_all(engine)
    with engine.connect() as connection:
        config = _get_alembic_config(url)
        config.attributes["connection"] = connection
        command.upgrade(config, _OLDER_MLFLOW)
        connection.execute(
            sa.text(
                "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage)"
                " VALUES (7, 'churn', 's3://mlops/mlflow/7', 'active')"
            )
        )
        connection.commit()
    assert revision(url) == _OLDER_MLFLOW
    found = set()
    for _ in range(2):
        done = subprocess.run(
            [Path(sys.executable).with_name("mlflow"), "db", "upgrade", url],
            env={"MLFLOW_DISABLE_TELEMETRY": "true"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        found.add(revision(url))
    assert found == {_get_latest_schema_revision()}
    experiment = SqlAlchemyStore(url, "s3://mlops/mlflow").get_experiment("7")
    assert (experiment.name, experiment.artifact_location) == ("churn", "s3://mlops/mlflow/7")


def instance_in(url: str, home: Path) -> dg.DagsterInstance:
    """An instance whose storage is a database."""
    settings = {"storage": {"postgres": {"postgres_url": url}}, "telemetry": {"enabled": False}}
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    return dg.DagsterInstance.from_config(str(home))


def revision(url: str) -> str:
    """The schema's revision."""
    with sa.create_engine(url).connect() as connection:
        found = connection.execute(sa.text("SELECT version_num FROM alembic_version"))
        return str(found.scalar_one())


def _downgrade(url: str) -> None:
    """Have the schema be that of an older release, by Dagster's own steps back."""
    config: Any = get_alembic_config(dagster_postgres.__file__)
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, _OLDER)

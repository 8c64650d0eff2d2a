"""The Job that brings databases of older releases to the image's schemas, by its own commands and
with no more than its containers have."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import dagster_postgres
import pytest
import sqlalchemy as sa  # noqa: TID253
import yaml
from alembic import command
from dagster._core.storage.sql import get_alembic_config

from mlops_assets_tests.k8s.made_pods import DAGSTER_YAML, settings_of
from mlops_assets_tests.k8s.rendering import Object, render
from mlops_assets_tests.postgres import Postgres, running_postgres

OVERLAY = "kind"  # whose database speaks without TLS, as the test's
_OLDER_DAGSTER = "1aca709bba64"  # before runs were found by tags quickly, and backfills had tags
_OLDER_MLFLOW = "5b0e9adcef9c"  # before it knew logged models and spans


@dg.job
def toy() -> None:
    """A job without a step."""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


def container(name: str) -> Object:
    """One of the Job's."""
    (job,) = (
        content
        for content in render(OVERLAY)
        if (content["kind"], content["metadata"]["name"]) == ("CronJob", "migration")
    )
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (found,) = (content for content in pod["containers"] if content["name"] == name)
    made: Object = found
    return made


def migrate(name: str, server: Postgres, home: Path) -> None:
    """Run a container as the cluster does; only the database's address and role are the test's."""
    made = container(name)
    variables = {
        **settings_of(OVERLAY),
        **{item["name"]: item.get("value", "unused") for item in made["env"]},
        "DAGSTER_PG_HOST": server.host,
        "MLFLOW_PG_HOST": server.host,
    }
    program, *arguments = made["args"]
    for variable, value in variables.items():
        arguments = [text.replace(f"$({variable})", value) for text in arguments]
    here = f"{server.user}@{server.host}:{server.port}"
    arguments = [text.replace(f"mlflow@{server.host}:5432", here) for text in arguments]
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *arguments],
        env={
            "PATH": os.environ["PATH"],
            "DAGSTER_HOME": str(home),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **variables,
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_dagsters_database_of_an_older_release_is_migrated_and_a_second_time_changes_nothing(
    postgres: Postgres, tmp_path: Path
) -> None:
    url = postgres.create("dagster")
    settings = {"storage": {"postgres": {"postgres_url": url}}, "telemetry": {"enabled": False}}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        run = instance.create_run_for_job(toy, tags={"of": "before"})
    newest = revision(url)
    _downgrade_dagster(url)
    assert revision(url) == _OLDER_DAGSTER
    cluster = DAGSTER_YAML.read_text().replace("port: 5432", f"port: {postgres.port}")
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(
        cluster.replace("username: dagster", f"username: {postgres.user}")
    )
    migrate("dagster", postgres, home)
    assert revision(url) == newest
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        instance.upgrade()
        assert revision(url) == newest
        (found,) = instance.get_runs(dg.RunsFilter(tags={"of": "before"}))
        assert found.run_id == run.run_id


def test_mlflows_database_of_an_older_release_is_upgraded_and_a_second_time_changes_nothing(
    postgres: Postgres, tmp_path: Path
) -> None:
    from mlflow.store.db.utils import (
        _get_alembic_config,
        _get_latest_schema_revision,
        _upgrade_db,
    )
    from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    url = postgres.create("mlflow")
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
    migrate("mlflow", postgres, tmp_path)
    assert revision(url) == _get_latest_schema_revision()
    _upgrade_db(engine)
    assert revision(url) == _get_latest_schema_revision()
    experiment = SqlAlchemyStore(url, "s3://mlops/mlflow").get_experiment("7")
    assert (experiment.name, experiment.artifact_location) == ("churn", "s3://mlops/mlflow/7")


def test_it_never_starts_by_itself() -> None:
    (suspended,) = (
        content["spec"]["suspend"]
        for content in render(OVERLAY)
        if (content["kind"], content["metadata"]["name"]) == ("CronJob", "migration")
    )
    assert suspended is True


def revision(url: str) -> str:
    """The schema's revision."""
    with sa.create_engine(url).connect() as connection:
        found = connection.execute(sa.text("SELECT version_num FROM alembic_version"))
        return str(found.scalar_one())


def _downgrade_dagster(url: str) -> None:
    """Have the schema be that of an older release, by Dagster's own steps back."""
    config: Any = get_alembic_config(dagster_postgres.__file__)
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, _OLDER_DAGSTER)

"""PostgreSQL: the driver that Dagster needs."""

import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa  # noqa: TID253
import yaml
from packaging.requirements import Requirement

from mlops_assets_tests.postgres import Postgres, running_postgres


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


def instance_in(url: str, home: Path) -> dg.DagsterInstance:
    """An instance whose storage is a database."""
    settings = {"storage": {"postgres": {"postgres_url": url}}, "telemetry": {"enabled": False}}
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    return dg.DagsterInstance.from_config(str(home))

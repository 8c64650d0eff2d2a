"""A glance at MLflow's database, without MLflow."""

from pathlib import Path

import pytest

from mlops_assets.modeling.tracking import Tracking
from mlops_assets.platform.home import Home
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


def test_it_counts_what_mlflow_wrote(place: Home) -> None:
    client = Tracking(f"sqlite:///{place.mlflow_database}").client
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
    client.delete_model_version("churn", "1")
    assert not has_version(place, "churn", 1)


def test_nothing_is_found_where_nothing_is(place: Home) -> None:
    assert (count_running(place), count_aliases(place, "churn")) == (0, 0)
    assert champion_version(place, "churn") is None
    assert not place.mlflow_database.exists()

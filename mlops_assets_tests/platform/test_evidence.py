"""Whether what records speak of is there."""

import json
import sqlite3
from typing import Any

import pytest

from mlops_assets.platform.evidence import declared_services, find_lost, read_record
from mlops_assets.platform.home import Home
from mlops_assets.serving.home import ServingHome, write_json
from mlops_assets_tests.platform.conftest import write_registry


@pytest.fixture
def place(home: Any) -> Home:
    home.mkdir()
    found = Home(home)
    write_registry(found)
    with sqlite3.connect(found.mlflow_database) as opened:
        opened.execute("INSERT INTO model_versions VALUES ('churn', 3, 'None')")
    return found


def record(place: Home, asset: str, **content: Any) -> None:
    path = place.root / "records" / "churn" / f"{asset}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def declare(place: Home, revision: str) -> None:
    manifest = {
        "metadata": {"name": "churn-service", "labels": {"mlops-assets/model": "churn"}},
        "spec": {"predictor": {"name": revision}},
    }
    write_json(ServingHome.under(place.root).manifest("churn-service"), manifest)


def test_a_record_that_is_gone_or_damaged_is_lost(place: Home) -> None:
    assert find_lost(place, "churn", "features") == "its record is gone"
    record(place, "features", uri="s3://bucket/features")
    assert find_lost(place, "churn", "features") is None  # of other places nothing is known
    (place.root / "records" / "churn" / "features.json").write_text("{")
    assert read_record(place, "churn", "features") is None


def test_a_folder_that_is_gone_is_lost(place: Home) -> None:
    folder = place.root / "lake" / "churn"
    record(place, "dataset", uri=folder.as_uri())
    assert find_lost(place, "churn", "dataset") == f"{folder.as_uri()} is gone"
    folder.mkdir(parents=True)
    assert find_lost(place, "churn", "dataset") is None


def test_a_service_that_is_taken_away_meanwhile_is_not_declared(place: Home) -> None:
    """As `retire` does beside: the folder was listed when it was still there."""
    declare(place, "v3")
    manifests = ServingHome.under(place.root).manifests
    (manifests / "gone.json").symlink_to(manifests / "nowhere")
    assert declared_services(place) == {"churn": "churn-service"}


def test_a_version_that_the_registry_does_not_have_is_lost(place: Home) -> None:
    record(place, "model_version", name="churn", version=3)
    assert find_lost(place, "churn", "model_version") is None
    record(place, "model_version", name="churn", version=4)
    assert find_lost(place, "churn", "model_version") == "version 4 of churn is not in the registry"
    place.mlflow_database.unlink()
    assert find_lost(place, "churn", "model_version") is not None


def test_a_service_that_serves_another_version_is_lost(place: Home) -> None:
    record(place, "inference_service", service="churn-service", version=3)
    lost = find_lost(place, "churn", "inference_service")
    assert lost == "service churn-service is not declared to the gateway"
    declare(place, "v2")
    lost = find_lost(place, "churn", "inference_service")
    assert lost == "the gateway is to serve v2, the record says v3"
    declare(place, "v3")
    assert find_lost(place, "churn", "inference_service") is None
    assert declared_services(place) == {"churn": "churn-service"}

from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.modeling.signing import SIGNING_KEY, rotate_key
from mlops_assets.resources.environment import build_resources
from mlops_assets.resources.lake import LakeResource
from mlops_assets.resources.prediction_log import PredictionLogResource
from mlops_assets.resources.records import RecordIOManager
from mlops_assets.resources.tracking import TrackingResource

CLUSTER = {
    "MLOPS_HOME": "/tmp/mlops",
    "MLOPS_STORAGE_URI": "s3://bucket/platform/",
    "MLOPS_MLFLOW_URI": "http://mlflow:5000",
    "MLOPS_MLFLOW_UI_URL": "https://mlflow.example.com",
    "MLOPS_KSERVE_NAMESPACE": "models",
}


def test_without_a_word_everything_lies_in_the_home(tmp_path: Path) -> None:
    made = build_resources({"MLOPS_HOME": str(tmp_path)})
    assert made["lake"] == LakeResource(root=f"{tmp_path}/lake")
    assert made["records"] == RecordIOManager(root=f"{tmp_path}/records")
    assert made["predictions"] == PredictionLogResource(lake=f"{tmp_path}/lake", home=str(tmp_path))
    assert made["tracking"].uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert made["tracking"].artifact_root == f"file://{tmp_path}/mlartifacts"


def test_a_variable_without_a_value_is_none_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty home was the working folder itself, an empty key a file of no name."""
    monkeypatch.chdir(tmp_path)
    empty = dict.fromkeys([*CLUSTER, "MLOPS_SIGNING_KEY", "MLOPS_GATEWAY_URL"], "")
    made, expected = build_resources(empty), build_resources({})
    for name in ("lake", "records", "tracking", "serving", "predictions"):
        assert made[name] == expected[name]


def test_a_cluster_keeps_everything_in_object_storage_and_leaves_artifacts_to_mlflow() -> None:
    made = build_resources(CLUSTER)
    assert made["lake"] == LakeResource(root="s3://bucket/platform/lake")
    assert made["records"] == RecordIOManager(root="s3://bucket/platform/records")
    assert made["tracking"] == TrackingResource(
        uri="http://mlflow:5000", artifact_root=None, ui_url="https://mlflow.example.com"
    )


def test_what_the_keys_of_the_home_signed_is_trusted_to_be_judged(tmp_path: Path) -> None:
    resource = build_resources({"MLOPS_HOME": str(tmp_path)})["tracking"]
    tracking = resource.create_resource(dg.build_init_resource_context())
    (former,) = tracking.read_trusted().keys
    new = rotate_key(tmp_path / "keys")
    assert set(tracking.read_trusted().keys) == {former, new}
    cluster = CLUSTER | {"MLOPS_SIGNING_KEY": str(tmp_path / "keys" / SIGNING_KEY)}
    resource = build_resources(cluster)["tracking"]
    tracking = resource.create_resource(dg.build_init_resource_context())
    assert set(tracking.read_trusted().keys) == {new}


def test_where_a_cluster_serves_the_sink_alone_moves_what_is_logged() -> None:
    assert build_resources(CLUSTER)["predictions"] == PredictionLogResource(
        lake="s3://bucket/platform/lake", home=None
    )


@pytest.mark.parametrize("environment", [{}, CLUSTER], ids=["one machine", "cluster"])
def test_definitions_load_with_either(environment: dict[str, str]) -> None:
    dg.Definitions.validate_loadable(dg.Definitions(resources=build_resources(environment)))

"""The manifest holds against the SDK's classes and names what it serves."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.kserve.manifest import (
    ENTITY_KEY,
    LOG_RETENTION,
    build_inference_service,
    manifest_digest,
)
from mlops_assets.serving.http_server.server import PARTING_SECONDS
from mlops_assets.serving.predictor.server import SHIPPING_SECONDS
from mlops_assets.serving.predictor.settings import PredictorSettings
from mlops_assets.spec import EstimatorSpec, FeaturesSpec, ModelSpec, SourceSpec, TargetSpec
from mlops_assets.spec.operations import PredictionLogSpec

SPEC = ModelSpec(
    name="flight_delay",
    description="Will it be late?",
    owners=["team:ml"],
    source=SourceSpec(path="flights.csv"),
    features=FeaturesSpec(numeric=["distance"]),
    target=TargetSpec(column="late", task="binary"),
    model=EstimatorSpec(estimator="sklearn.linear_model.LogisticRegression"),
)


def build(version: int = 7) -> dict[str, Any]:
    return build_inference_service(
        SPEC,
        version=version,
        storage_uri=f"s3://models/flight_delay/{version}",
        model_digest="d" * 64,
        mlflow_run_id="run-1",
    )


def test_revision_service_and_evidence_are_named() -> None:
    manifest = build()
    predictor = manifest["spec"]["predictor"]
    assert manifest["metadata"]["name"] == "flight-delay"
    assert predictor["name"] == "v7"
    assert predictor["annotations"]["mlops-assets/model-digest"] == "d" * 64
    assert f"--model-digest={'d' * 64}" in predictor["model"]["args"]
    assert manifest["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"


@pytest.mark.parametrize(
    ("seconds", "attempts"), [(1, 1), (2, 1), (3, 2), (60, 30)], ids=lambda value: str(value)
)
def test_startup_probe_waits_at_least_the_ready_timeout(seconds: int, attempts: int) -> None:
    spec = SPEC.model_copy(
        update={"serving": SPEC.serving.model_copy(update={"ready_timeout_seconds": seconds})}
    )
    manifest = build_inference_service(
        spec, version=1, storage_uri="s3://m/1", model_digest="d", mlflow_run_id="r"
    )
    probe = manifest["spec"]["predictor"]["model"]["startupProbe"]
    assert probe["failureThreshold"] == attempts


def test_a_pod_gets_longer_to_stop_than_its_predictor_and_the_rest_of_its_log_may_take() -> None:
    predictor = build()["spec"]["predictor"]
    serving_on = predictor["model"]["lifecycle"]["preStop"]["sleep"]["seconds"]
    answering = (
        PredictorSettings(model_name="churn", model_dir=Path("model")).drain_seconds
        + PARTING_SECONDS
    )
    assert serving_on + answering + SHIPPING_SECONDS < predictor["terminationGracePeriodSeconds"]


def test_digest_depends_on_content_and_not_on_key_order() -> None:
    manifest = build()
    reordered = dict(reversed(manifest.items()))
    assert manifest_digest(manifest) == manifest_digest(reordered)
    assert manifest_digest(manifest) != manifest_digest(build(8))


def test_every_field_is_one_of_the_sdk_and_the_import_leaves_our_arguments_alone() -> None:
    # A process of its own: the SDK takes 4 s and 200 MB that no other test should carry.
    command = [sys.executable, "-m", "mlops_assets_tests.kserve.sdk_check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_entity_key_stands_in_the_manifest_and_not_on_its_pods() -> None:
    spec = SPEC.model_copy(update={"entity_key": "carrier"})
    manifest = build_inference_service(
        spec, version=1, storage_uri="s3://m/1", model_digest="d", mlflow_run_id="r"
    )
    assert manifest["metadata"]["annotations"][ENTITY_KEY] == "carrier"
    assert ENTITY_KEY not in manifest["spec"]["predictor"]["annotations"]
    assert ENTITY_KEY not in build()["metadata"]["annotations"]


def test_the_log_policy_reaches_predictor_and_sink() -> None:
    policy = PredictionLogSpec(retention=timedelta(days=90), leave_out=["a"], hash=["b", "c"])
    spec = SPEC.model_copy(
        update={"serving": SPEC.serving.model_copy(update={"prediction_log": policy})}
    )
    manifest = build_inference_service(
        spec, version=1, storage_uri="s3://m/1", model_digest="d", mlflow_run_id="r"
    )
    arguments = manifest["spec"]["predictor"]["model"]["args"]
    assert arguments[-3:] == ["--log-leave-out=a", "--log-hash=b", "--log-hash=c"]
    assert manifest["metadata"]["annotations"][LOG_RETENTION] == str(90 * 86400)

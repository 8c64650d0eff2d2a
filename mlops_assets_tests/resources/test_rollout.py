from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.errors import PlatformError
from mlops_assets.resources.rollout import KServeRolloutResource, rollouts_from
from mlops_assets.rollout.file_store import FileStore
from mlops_assets.rollout.log_source import PredictionLogSource


def test_this_machine_keeps_files_and_reads_its_prediction_log(tmp_path: Path) -> None:
    settings = {"MLOPS_DAGSTER_UI_URL": "http://127.0.0.1:3000"}
    with dg.build_init_resource_context() as context:
        made = rollouts_from(settings, tmp_path).create_resource(context)
    assert isinstance(made.store, FileStore)
    assert isinstance(made.source, PredictionLogSource)
    assert made.ui_url == "http://127.0.0.1:3000"


def test_a_namespace_names_a_cluster(tmp_path: Path) -> None:
    settings = {"MLOPS_KSERVE_NAMESPACE": "models", "MLOPS_PROMETHEUS_URL": "http://prometheus"}
    made = rollouts_from(settings, tmp_path)
    assert isinstance(made, KServeRolloutResource)
    assert (made.namespace, made.prometheus_url) == ("models", "http://prometheus")


def test_a_cluster_with_a_lake_reads_its_log_too(tmp_path: Path) -> None:
    settings = {
        "MLOPS_KSERVE_NAMESPACE": "models",
        "MLOPS_STORAGE_URI": "s3://bucket/mlops/",
        "MLOPS_PROMETHEUS_URL": "http://prometheus",
        "MLOPS_PROMETHEUS_QUERIES": '{"errors": "sum(failed{{service}})"}',
    }
    made = rollouts_from(settings, tmp_path)
    assert isinstance(made, KServeRolloutResource)
    assert made.lake == "s3://bucket/mlops/lake"
    assert made.prometheus_queries == {"errors": "sum(failed{{service}})"}


@pytest.mark.parametrize("queries", ["up", "[]", '{"error": "x"}', '{"errors": 1}'])
def test_queries_that_are_none_are_refused(queries: str, tmp_path: Path) -> None:
    settings = {"MLOPS_KSERVE_NAMESPACE": "models", "MLOPS_PROMETHEUS_QUERIES": queries}
    with pytest.raises(PlatformError, match="MLOPS_PROMETHEUS_QUERIES: found"):
        rollouts_from(settings, tmp_path)

from pathlib import Path

import dagster as dg

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

"""The code location as Dagster loads it."""

import json
import subprocess
import sys

import dagster as dg
import pytest

from mlops_assets.assets.monitoring import MONITORED
from mlops_assets.automation.schedules import ASSETS
from mlops_assets.definitions import defs as code_location
from mlops_assets_tests.documents import churn_document

EVERY_ASSET = {*ASSETS, "prediction_log", *MONITORED}
HEAVY = {
    "mlflow", "evidently", "kserve", "feast", "sklearn", "kubernetes", "pandas", "matplotlib",
    "scipy", "pandera", "deltalake", "skops", "onnxruntime",
}  # fmt: skip


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return code_location()


def test_the_code_location_loads_and_can_run(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)


@pytest.mark.parametrize("model", ["flight_delay", "music_therapy"])
def test_each_model_has_its_assets_checks_and_job(definitions: dg.Definitions, model: str) -> None:
    graph = definitions.resolve_asset_graph()
    keys = {key for key in graph.get_all_asset_keys() if key.path[0] == model}
    assert keys == {dg.AssetKey([model, asset]) for asset in EVERY_ASSET}
    for key in keys:
        node = graph.get(key)
        assert (node.group_name, node.tags["mlops/model"]) == (model, model)
        assert node.description
        assert node.owners
        assert node.kinds
        assert node.code_version
    checks = {(c.asset_key.path[1], c.name) for c in graph.asset_check_keys if c.asset_key in keys}
    assert {("dataset", "contract"), ("features", "no_giveaway")} < checks
    assert ("evaluation", "beats_baseline") in checks
    assert {("drift_report", "no_drift"), ("drift_report", "data_quality")} < checks
    assert ("performance_report", "performance") in checks
    assert definitions.resolve_job_def(f"{model}_pipeline").tags["mlops/model"] == model


def test_loading_imports_nothing_heavy() -> None:
    script = (
        "import sys, json; from mlops_assets.definitions import defs; defs();"
        "print(json.dumps([name.partition('.')[0] for name in sys.modules]))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert HEAVY & set(json.loads(found.stdout.splitlines()[-1])) == set()


def test_a_component_is_made_of_attributes_alone() -> None:
    from mlops_assets.component import ModelPipeline

    component = ModelPipeline.from_attributes_dict(attributes=churn_document())
    loaded = dg.component_defs(component=component)
    assert {key.path[-1] for key in loaded.resolve_all_asset_keys()} == EVERY_ASSET

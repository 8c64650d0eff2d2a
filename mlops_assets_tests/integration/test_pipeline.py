"""A document's whole life with the real lake, MLflow, Dagster and gateway."""

from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from mlops_assets.modeling.signing import SIGNATURE_FILE, SIGNING_KEY, sign_package
from mlops_assets.modeling.stored_package import local_path
from mlops_assets_tests.documents import churn_document, churn_rows, write_churn
from mlops_assets_tests.integration.conftest import Platform, materialized, told


def aliases(platform: Platform) -> dict[str, int]:
    names = ("champion", "challenger", "previous")
    found = {name: platform.tracking.version_of_alias("churn", name) for name in names}
    return {name: version.version for name, version in found.items() if version is not None}


def with_impossible_months(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows, with −1 for every 7 months."""
    return rows.with_columns(months=rows["months"].replace(7, -1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("defs")


@pytest.fixture(scope="module")
def first(platform: Platform, folder: Path) -> dg.ExecuteInProcessResult:
    """The first run of the pipeline; the tests of this module go on from there, in order."""
    write_churn(folder)
    return platform.run(platform.definitions(folder))


def test_a_document_becomes_a_champion_that_answers(
    platform: Platform, first: dg.ExecuteInProcessResult
) -> None:
    assert first.success, told(first)
    assert aliases(platform) == {"champion": 1}
    answer = platform.serving.predict("churn", [{"months": 3, "spend": None, "plan": "unheard"}])
    assert answer["predictions"][0] in ("yes", "no", 0, 1)
    assert platform.serving.traffic("churn") == {"v1": 100}


def test_metadata_answers_which_data_code_run_and_manifest(
    platform: Platform, first: dg.ExecuteInProcessResult
) -> None:
    made = materialized(first)
    version = platform.tracking.version("churn", 1)
    run = platform.tracking.client.get_run(version.mlflow_run_id)
    digest = made["dataset"].metadata["snapshot_digest"].value
    assert version.tags["mlops.dataset_digest"] == run.data.tags["mlops.dataset_digest"] == digest
    assert made["trained_model"].metadata["mlflow_run_id"].value == version.mlflow_run_id
    assert version.tags["mlops.dagster_run_id"] == first.run_id
    assert version.tags["mlops.image"] == run.data.tags["mlops.image"] == "none"  # one machine
    assert run.info.status == "FINISHED"
    assert {"roc_auc", "roc_auc_low", "baseline_roc_auc"} <= set(run.data.metrics)
    manifest: Any = made["inference_service"].metadata["manifest"].value
    assert manifest["kind"] == "InferenceService"
    artifacts = {file.path for file in platform.tracking.client.list_artifacts(run.info.run_id)}
    assert {"plots", "model_card.html", "evaluation.json"} <= artifacts
    assert {"performance_reference.json", "quality_profile.json"} <= artifacts


def test_the_same_data_and_code_give_the_same_version(platform: Platform, folder: Path) -> None:
    before = platform.tracking.version("churn", 1)
    again = platform.run(platform.definitions(folder))
    assert again.success, told(again)
    assert aliases(platform) == {"champion": 1}
    assert platform.tracking.version("churn", 1).model_digest == before.model_digest
    made = materialized(again)
    assert made["dataset"].metadata["snapshot_version"].value == 0


def test_new_data_makes_a_champion_and_remembers_the_previous_one(
    platform: Platform, folder: Path
) -> None:
    write_churn(folder, churn_rows(900))
    result = platform.run(platform.definitions(folder))
    assert result.success, told(result)
    assert aliases(platform) == {"champion": 2, "previous": 1}
    checks = {c.check_name: c for c in result.get_asset_check_evaluations()}
    assert "champion" in str(checks["not_worse_than_champion"].description)
    assert platform.serving.traffic("churn") == {"v2": 100}


def test_a_refused_candidate_is_registered_nowhere(platform: Platform, folder: Path) -> None:
    rows = churn_rows(900)
    write_churn(folder, rows.with_columns(churned=pl.col("churned").shuffle(seed=1)))
    result = platform.run(platform.definitions(folder))
    assert not result.success
    assert {c.check_name for c in result.get_asset_check_evaluations() if not c.passed} & {
        "beats_baseline",
        "not_worse_than_champion",
    }
    assert set(materialized(result)) == {"dataset", "features", "trained_model", "evaluation"}
    assert aliases(platform) == {"champion": 2, "previous": 1}
    assert platform.serving.traffic("churn") == {"v2": 100}
    later = platform.run(platform.definitions(folder), only=["model_version"])
    assert "refused: " in told(later)


def test_the_run_of_a_failed_training_is_failed(platform: Platform, folder: Path) -> None:
    write_churn(folder)
    model = {
        "estimator": "sklearn.linear_model.LogisticRegression",
        "parameters": {"C": -1.0},
    }
    result = platform.run(platform.definitions(folder, model=model))
    assert "C" in told(result)
    experiment = platform.tracking.client.get_experiment_by_name("churn")
    mine = f"tags.`dagster.run_id` = '{result.run_id}'"
    (run,) = platform.tracking.client.search_runs([experiment.experiment_id], mine)
    assert run.info.status == "FAILED"


def test_quarantined_rows_are_kept_and_the_rest_goes_on(platform: Platform, folder: Path) -> None:
    rows = churn_rows()
    write_churn(folder, with_impossible_months(rows))
    declared: dict[str, Any] = churn_document()["contract"]
    contract = declared | {"on_violation": "quarantine", "allowed_violation_ratio": 0.1}
    result = platform.run(platform.definitions(folder, contract=contract), only=["dataset"])
    assert result.success, told(result)
    made = materialized(result)["dataset"].metadata
    assert made["quarantined_rows"].value == (rows["months"] == 7).sum()
    assert made["dagster/row_count"].value == (rows["months"] != 7).sum()


def test_a_broken_contract_blocks_what_follows(platform: Platform, folder: Path) -> None:
    rows = churn_rows()
    write_churn(folder, with_impossible_months(rows))
    result = platform.run(platform.definitions(folder))
    assert set(materialized(result)) == {"dataset"}
    assert "months" in told(result)
    later = platform.run(platform.definitions(folder), only=["features"])
    assert "months" in told(later)
    assert materialized(later) == {}


def test_a_champion_without_its_signature_refuses_the_candidate_with_the_reason(
    platform: Platform, folder: Path
) -> None:
    """Its manifest was believed, and with it whatever the store held."""
    champion = platform.tracking.version_of_alias("churn", "champion")
    assert champion is not None
    place = local_path(champion.uri)
    assert place is not None
    (place / SIGNATURE_FILE).unlink()
    write_churn(folder, churn_rows(1_000))
    result = platform.run(platform.definitions(folder))
    (refused,) = [c for c in result.get_asset_check_evaluations() if not c.passed]
    assert refused.check_name == "not_worse_than_champion"
    assert f"champion v{champion.version} cannot be loaded" in str(refused.description)
    assert f"{champion.uri} is not signed" in str(refused.description)
    sign_package(place, platform.home / "keys" / SIGNING_KEY)
    again = platform.run(platform.definitions(folder), only=["evaluation"])
    assert again.success, told(again)


def test_a_candidate_that_answers_no_number_is_refused_by_the_gates(
    platform: Platform, folder: Path
) -> None:
    """The step ended with an error about the references that it leaves."""
    own = "mlops_assets_tests.modeling.own_estimator.NotANumber"
    model = {"estimator": own, "trusted_types": [own]}
    result = platform.run(platform.definitions(folder, model=model))
    assert "evaluation" in materialized(result), told(result)
    refused = {c.check_name: c for c in result.get_asset_check_evaluations() if not c.passed}
    assert {"beats_baseline", "calibration"} <= set(refused)
    assert "roc_auc is undefined" in str(refused["beats_baseline"].description)
    version = platform.tracking.client.get_run(
        materialized(result)["evaluation"].metadata["mlflow_run_id"].value
    )
    assert "beats_baseline" in version.data.tags["mlops.refused"]

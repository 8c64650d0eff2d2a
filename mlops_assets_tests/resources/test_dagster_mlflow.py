"""dagster-mlflow's contract under the key `mlflow`, with the defects of MLflow 3 repaired."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.resources.dagster_mlflow import claim_run, run_status
from mlops_assets_tests.resources import dagster_mlflow_jobs as jobs


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Of one database for the module: step processes keep the environment of the first test."""
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder}/mlflow.db"
    client = MlflowClient(uri, uri)
    client.create_experiment("dagster", artifact_location=f"file://{folder}/artifacts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_TRACKING_URI", uri)
        yield client


@pytest.mark.parametrize(
    ("steps", "interrupted", "status"),
    [
        pytest.param({"a": "SUCCESS"}, False, "RUNNING", id="one_step_is_still_to_end"),
        pytest.param({"a": "SUCCESS", "b": "SUCCESS"}, False, "FINISHED", id="all_ended"),
        pytest.param({"a": "SUCCESS", "b": "SKIPPED"}, False, "FINISHED", id="a_skip_is_an_end"),
        pytest.param({"a": "FAILURE"}, False, "FAILED", id="failure_outranks_what_is_to_come"),
        pytest.param({"a": "FAILURE"}, True, "KILLED", id="an_interrupt_outranks_failure"),
    ],
)
def test_status_follows_the_steps(steps: dict[str, str], interrupted: bool, status: str) -> None:
    assert run_status({"a", "b"}, steps, interrupted=interrupted) == status


LEFT_RIGHT = {"left": 1.0, "right": 2.0}


@pytest.mark.filterwarnings("ignore:InitResourceContext:DeprecationWarning")  # in dagster-mlflow
@pytest.mark.parametrize(
    ("job", "success", "mlflow_status", "metrics"),
    [
        (jobs.side_by_side_multiprocess, True, "FINISHED", {**LEFT_RIGHT, "join": 3.0}),
        (jobs.failing_in_process, False, "FAILED", {**LEFT_RIGHT, "broken": 1.0}),
        (jobs.failing_multiprocess, False, "FAILED", {**LEFT_RIGHT, "broken": 1.0}),
    ],
    ids=["side_by_side_multiprocess", "failing_in_process", "failing_multiprocess"],
)
def test_one_dagster_run_is_one_mlflow_run_that_ends_alike(
    job: Callable[[], dg.JobDefinition],
    success: bool,
    mlflow_status: str,
    metrics: dict[str, float],
    client: Any,
    tmp_path: Path,
) -> None:
    with (
        dg.DagsterInstance.local_temp(str(tmp_path)) as instance,
        dg.execute_job(dg.reconstructable(job), instance=instance) as result,
    ):
        assert result.success == success
        run_id = result.run_id
    experiment = client.get_experiment_by_name("dagster").experiment_id
    runs = client.search_runs([experiment], f"tags.dagster_run_id = '{run_id}'")
    assert [r.info.status for r in runs] == [mlflow_status]
    assert runs[0].data.metrics == metrics


def test_processes_that_claim_at_once_agree_on_one_run(client: Any) -> None:
    experiment = client.create_experiment("claims")
    for _ in range(2):  # both searched before either created
        client.create_run(experiment, tags={"dagster_run_id": "d1"})
    assert {claim_run(client, "claims", "d1") for _ in range(2)} == {
        client.search_runs([experiment])[0].info.run_id
    }

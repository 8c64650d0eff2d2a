"""A step whose run is over, or that was given up, publishes nothing."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterRunStatus as Status
from dagster._core.events import DagsterEvent
from dagster._core.execution.plan.objects import ErrorSource, StepFailureData
from pydantic import BaseModel

from mlops_assets.resources.fence import find_refusal, require_live_run
from mlops_assets.resources.records import RecordIOManager


class Shoe(BaseModel):
    size: int


@pytest.mark.parametrize(
    ("status", "own", "n_ends", "words"),
    [
        pytest.param(Status.STARTED, 0, 0, None, id="a_run_that_works"),
        pytest.param(Status.STARTED, 1, 1, None, id="a_step_that_was_started_anew"),
        pytest.param(Status.STARTED, 0, 1, "start 1 of it", id="its_former_self"),
        pytest.param(Status.STARTING, 0, 0, None, id="a_run_whose_start_is_still_being_written"),
        pytest.param(Status.FAILURE, 0, 0, "is over: FAILURE", id="failed"),
        pytest.param(Status.SUCCESS, 0, 0, "is over: SUCCESS", id="succeeded_without_it"),
        pytest.param(Status.CANCELED, 0, 0, "is over: CANCELED", id="terminated"),
        pytest.param(Status.CANCELING, 0, 0, "being terminated", id="on_its_way_to_that"),
        pytest.param(None, 0, 0, "unknown", id="deleted"),
    ],
)
def test_who_may_publish(status: Status | None, own: int, n_ends: int, words: str | None) -> None:
    refusal = find_refusal(status, own, n_ends)
    assert (refusal is None) == (words is None)
    assert words is None or words in str(refusal)


def test_dagster_by_itself_takes_what_a_dead_run_made(tmp_path: Path) -> None:
    @dg.asset
    def features(context: dg.AssetExecutionContext) -> int:
        context.instance.report_run_failed(context.run, "the worker is gone")
        return 42

    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        dg.materialize([features], instance=instance)
        assert instance.get_latest_materialization_event(dg.AssetKey("features")) is not None


@pytest.mark.parametrize("is_zombie", [False, True])
def test_a_record_of_a_dead_run_is_not_written(tmp_path: Path, is_zombie: bool) -> None:
    @dg.asset(key=["churn", "features"], io_manager_key="records", dagster_type=dg.Any)
    def features(context: dg.AssetExecutionContext) -> object:
        if is_zombie:  # what run monitoring does when the run's worker was killed
            context.instance.report_run_failed(context.run, "the worker is gone")
        return Shoe(size=42)

    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path / "instance")) as instance:
        records = RecordIOManager(root=str(tmp_path / "records"))
        result = dg.materialize(
            [features], instance=instance, resources={"records": records}, raise_on_error=False
        )
        made = instance.get_latest_materialization_event(dg.AssetKey(["churn", "features"]))
    assert result.success is not is_zombie
    assert (made is None) is is_zombie
    assert (tmp_path / "records" / "churn" / "features.json").exists() is not is_zombie
    if is_zombie:
        assert "publishes nothing: its run is over: FAILURE" in str(
            [event.event_specific_data for event in result.get_step_failure_events()]
        )


def test_a_step_that_its_run_gave_up_publishes_nothing(tmp_path: Path) -> None:
    @dg.asset(key=["churn", "features"], io_manager_key="records", dagster_type=dg.Any)
    def features(context: dg.AssetExecutionContext) -> object:
        step = context.get_step_execution_context()
        failure: Any = StepFailureData
        by_signal = failure(None, None, ErrorSource.INTERRUPT)
        DagsterEvent.step_failure_event(step, by_signal)  # as its former worker told
        require_live_run(context)
        DagsterEvent.step_failure_event(step, failure(None, None))  # as the executor does
        return Shoe(size=42)

    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path / "instance")) as instance:
        records = RecordIOManager(root=str(tmp_path / "records"))
        result = dg.materialize(
            [features], instance=instance, resources={"records": records}, raise_on_error=False
        )
    errors = str([event.event_specific_data for event in result.get_step_failure_events()])
    assert "publishes nothing: start 1 of it, which this is, was given up" in errors
    assert not (tmp_path / "records" / "churn" / "features.json").exists()

import json
from datetime import UTC, datetime

import dagster as dg

from mlops_assets.automation.retraining import training_request
from mlops_assets.automation.schedules import build_job, build_refresh, build_schedule
from mlops_assets_tests.documents import churn_spec

AT = datetime(2024, 3, 5, 3, tzinfo=UTC)


def test_without_a_schedule_nothing_runs_by_itself() -> None:
    assert build_schedule(churn_spec()) is None


def test_the_declared_schedule_runs_from_the_start_in_its_time_zone() -> None:
    declared = {"cron": "0 3 * * 1", "timezone": "Europe/Berlin"}
    schedule = build_schedule(churn_spec(schedule=declared))
    assert schedule is not None
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert (schedule.cron_schedule, schedule.execution_timezone) == tuple(declared.values())
    context = dg.build_schedule_context(scheduled_execution_time=AT)
    request = schedule(context)
    assert isinstance(request, dg.RunRequest)
    assert (request.partition_key, request.tags) == (None, {"mlops/model": "churn"})


def test_resources_of_the_document_reach_run_pods_and_step_pods() -> None:
    from mlops_assets.assets.attributes import asset_attributes
    from mlops_assets.modeling.features import TrainingFrame

    steps = {"features": {"cpu": "4", "memory": "1Gi", "maximum_memory": "8Gi"}}
    spec = churn_spec(kubernetes={"run": {"memory": "2Gi"}, "steps": steps, "step_pods": True})
    run = (build_job(spec).tags or {})["dagster-k8s/config"]
    assert '"memory": "2Gi"' in str(run)
    step = asset_attributes(spec, "features", {"polars"}, TrainingFrame)["op_tags"]
    resources = step["dagster-k8s/config"]["container_config"]["resources"]
    assert resources == {"requests": {"memory": "1Gi", "cpu": "4"}, "limits": {"memory": "1Gi"}}
    assert step["mlops/maximum_memory"] == "8Gi"
    assert asset_attributes(spec, "dataset", {"polars"}, TrainingFrame)["op_tags"] is None


def test_the_pods_of_a_refresh_and_of_a_retraining_have_room_for_their_steps() -> None:
    """Neither is a run of the job, whose tags say it: they got what `run` asks for, or nothing."""
    steps = {
        "dataset": {"memory": "3Gi"},
        "trained_model": {"cpu": "4", "memory": "6Gi", "maximum_memory": "9Gi"},
    }
    spec = churn_spec(
        refresh={"cron": "0 3 * * *"},
        kubernetes={"run": {"cpu": "1"}, "steps": steps, "step_pods": True},
    )
    refresh = build_refresh(spec)
    assert refresh is not None
    asked = refresh(dg.build_schedule_context(scheduled_execution_time=AT))
    assert isinstance(asked, dg.RunRequest)
    assert room(asked) == ("1", "3Gi", None)
    assert room(training_request(spec, "churn:1", AT)) == ("4", "6Gi", "9Gi")


def room(request: dg.RunRequest) -> tuple[str, str, str | None]:
    """CPU and memory of the pod of a run, and what its memory may grow to."""
    config = json.loads(request.tags["dagster-k8s/config"])
    requests = config["container_config"]["resources"]["requests"]
    return requests["cpu"], requests["memory"], request.tags.get("mlops/maximum_memory")

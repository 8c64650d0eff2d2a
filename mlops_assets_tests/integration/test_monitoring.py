"""Reports, checks and the retraining sensor of a served model, in Dagster, tick by tick."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import polars as pl
import pytest

from mlops_assets.assets.monitoring import MONITORED
from mlops_assets.automation.retraining import WINDOW_TAG, retraining_sensor
from mlops_assets.automation.retraining_facts import ATTEMPT_TAG
from mlops_assets.automation.schedules import ASSETS
from mlops_assets.data.documents import ModelDocuments
from mlops_assets.monitoring.store import MonitoringStore
from mlops_assets.monitoring.verdict import WindowFacts, judge_window
from mlops_assets.monitoring.window_record import WindowRecord
from mlops_assets.monitoring.windows import Window
from mlops_assets.resources.environment import build_resources
from mlops_assets.retraining.state import Request
from mlops_assets.retraining.store import RetrainingStore
from mlops_assets.serving.prediction_log.sink import drain_home
from mlops_assets_tests.documents import churn_rows, write_churn
from mlops_assets_tests.integration.conftest import Platform, materialized, told
from mlops_assets_tests.integration.loop_project import (
    QUICK,
    WINDOW_ROWS,
    drifted_rows,
    requests_of,
)
from mlops_assets_tests.monitoring.windows import signals_of
from mlops_assets_tests.retraining.test_attempts import NOW

CHANGES: dict[str, Any] = {k: v for k, v in QUICK.items() if k != "rollout"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("defs")
    write_churn(made)
    return made


@pytest.fixture(scope="module")
def definitions(platform: Platform, folder: Path) -> dg.Definitions:
    found = platform.definitions(folder, **CHANGES)
    first = platform.run(found)
    assert first.success, told(first)
    return found


def documents(platform: Platform) -> ModelDocuments:
    return ModelDocuments(str(platform.home / "monitoring"))


def look(platform: Platform, definitions: dg.Definitions, cursor: str | None = None) -> Any:
    """One tick of the sensor."""
    resources = build_resources({"MLOPS_HOME": str(platform.home)})
    needed = {name: resources[name] for name in retraining_sensor().required_resource_keys}
    with dg.build_sensor_context(
        instance=platform.instance, cursor=cursor, definitions=definitions, resources=needed
    ) as context:
        return retraining_sensor()(context)


def carry_out(
    platform: Platform, definitions: dg.Definitions, result: Any
) -> dg.ExecuteInProcessResult:
    """The one run that a tick asked for, and the partitions that it needs."""
    for request in result.dynamic_partitions_requests or ():
        platform.instance.add_dynamic_partitions(
            request.partitions_def_name, request.partition_keys
        )
    (request,) = result.run_requests
    job = definitions.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=platform.instance,
        asset_selection=list(request.asset_selection),
        partition_key=request.partition_key,
        tags=request.tags,
        raise_on_error=False,
    )


def call(platform: Platform, rows: pl.DataFrame) -> None:
    """Callers ask, one row each, and what they asked reaches the tables."""
    with httpx.Client(timeout=60) as client:
        for row in requests_of(rows):
            answer = client.post(
                f"{platform.serving.url}/v1/models/churn:predict", json={"instances": [row]}
            )
            assert answer.status_code == 200, answer.text
    drain_home(platform.home)


def test_before_there_is_traffic_the_tick_says_why_nothing_happens(
    platform: Platform, definitions: dg.Definitions
) -> None:
    result = look(platform, definitions)
    assert not result.run_requests
    assert "churn: none: drift: no window tells anything" in str(result.skip_reason)
    (observation,) = result.asset_events
    assert observation.asset_key == dg.AssetKey(["churn", "latest_verdict"])
    again = look(platform, definitions, result.cursor)
    assert not again.asset_events  # the same rule decided


def test_full_windows_are_judged_in_one_run_and_shown(
    platform: Platform, definitions: dg.Definitions
) -> None:
    call(platform, churn_rows(2 * WINDOW_ROWS + 5, seed=3))
    result = look(platform, definitions)
    (request,) = result.run_requests
    assert (request.partition_key, request.tags[WINDOW_TAG]) == ("v1-00001", "churn")
    assert [key.path[-1] for key in request.asset_selection] == list(MONITORED)
    done = carry_out(platform, definitions, result)
    assert done.success, told(done)
    recent = MonitoringStore(documents(platform)).recent("churn")
    assert [w.window.key for w in recent.windows] == ["v1-00001", "v1-00002"]
    assert all(w.verdict.window.n_rows >= WINDOW_ROWS for w in recent.windows)
    made = materialized(done)
    drift, latest = made["drift_report"].metadata, made["latest_verdict"].metadata
    assert {"columns", "trend", "mlflow_run", "verdict", "drifted_share"} <= set(drift)
    assert {"realised", "estimated", "trust", "trend"} <= set(made["performance_report"].metadata)
    assert latest["window"].value == "v1-00002"
    checks = {check.check_name: check for check in done.get_asset_check_evaluations()}
    assert set(checks) == {"no_drift", "data_quality", "performance"}
    assert checks["no_drift"].passed
    assert checks["performance"].severity is dg.AssetCheckSeverity.WARN  # unknown is no pass
    assert not look(platform, definitions).run_requests


def _page_on_demand(platform: Platform, definitions: dg.Definitions) -> None:
    """A window is judged again with a page, which is kept with the run that is judged."""
    key = "v1-00003"
    asked = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=platform.instance,
        asset_selection=[dg.AssetKey(["churn", name]) for name in MONITORED[:2]],
        partition_key=key,
        run_config={"ops": {"churn__window_reports": {"config": {"page": True}}}},
    )
    metadata = materialized(asked)["drift_report"].metadata
    assert str(metadata["page"].value).endswith(f"/artifacts/monitoring/{key}.html")
    run_id = str(metadata["mlflow_run_id"].value)
    page = platform.tracking.read_file(run_id, f"monitoring/{key}.html").decode()
    assert "share of rows that moved" in page


def test_drift_begins_a_training_under_a_key_that_is_asked_for_until_it_is_seen(
    platform: Platform, definitions: dg.Definitions, folder: Path
) -> None:
    call(platform, drifted_rows(WINDOW_ROWS + 55, seed=6))
    judged = carry_out(platform, definitions, look(platform, definitions))
    assert judged.success, told(judged)
    failed = [c.check_name for c in judged.get_asset_check_evaluations() if not c.passed]
    assert "no_drift" in failed
    _page_on_demand(platform, definitions)

    write_churn(folder, pl.concat([churn_rows(), drifted_rows()]))
    first = look(platform, definitions)
    (request,) = first.run_requests
    assert [key.path[-1] for key in request.asset_selection] == list(ASSETS)
    again = look(platform, definitions, first.cursor)  # killed before the run was launched
    assert [r.run_key for r in again.run_requests] == [request.run_key]
    assert json.loads(again.cursor)["churn"]["rule"] == "unconfirmed"

    trained = carry_out(platform, definitions, again)
    assert trained.success, told(trained)
    assert platform.serving.traffic("churn") == {"v2": 100}
    ended = look(platform, definitions, again.cursor)
    assert not [r for r in ended.run_requests or () if ATTEMPT_TAG in r.tags]
    state = RetrainingStore(documents(platform)).read("churn")
    assert state is not None
    assert [a.outcome for a in state.attempts] == ["promoted"]
    assert state.champion is not None
    assert (state.champion.version, state.champion.n_rows) == ("2", 1_200)


def test_a_person_is_heard_once_and_the_same_data_gives_the_same_champion(
    platform: Platform, definitions: dg.Definitions
) -> None:
    store = RetrainingStore(documents(platform))
    store.ask("churn", Request(who="ada", at=NOW.replace(year=2100), why="to be sure"))
    asked = look(platform, definitions)
    (request,) = [r for r in asked.run_requests if ATTEMPT_TAG in r.tags]
    assert "person" in request.run_key
    only = asked._replace(run_requests=[request], dynamic_partitions_requests=None)
    done = carry_out(platform, definitions, only)
    assert done.success, told(done)
    look(platform, definitions)
    state = store.read("churn")
    assert state is not None
    assert state.latest is not None
    assert (state.latest.outcome, "over again" in state.latest.told) == ("refused", True)
    assert state.request is None


@pytest.mark.parametrize(
    ("trigger", "changes", "reason"),
    [
        pytest.param(
            "rows", {"triggers": [], "new_rows": 100}, "rows are new since the last training",
            id="new_data",
        ),
        pytest.param(
            "schedule", {"triggers": [], "schedule": {"cron": "0 3 * * *"}},
            "due by the calendar since 2100-01-02 03:00 UTC", id="calendar",
        ),
        pytest.param(
            "realised", {"triggers": ["realised"], "verdicts": ["concept_drift"]},
            "truth is worse", id="truth",
        ),
        pytest.param(
            "estimated", {"triggers": ["estimated"], "verdicts": ["drift_harmful"]},
            "the estimate is worse", id="estimate",
        ),
    ],
)  # fmt: skip
def test_every_trigger_begins_a_training_through_the_sensor(
    platform: Platform, folder: Path, trigger: str, changes: dict[str, Any], reason: str
) -> None:
    windows, retraining = MonitoringStore(documents(platform)), RetrainingStore(documents(platform))
    policy = CHANGES["retraining"] | changes | {"cooldown": "1d", "minimum_rows": 1}
    watched = platform.definitions(folder, **(CHANGES | {"retraining": policy}))
    now = datetime(2100, 1, 1, 12, tzinfo=UTC)
    retraining.forget("churn")
    try:
        windows.set_clock("churn", now)
        assert not trainings(look(platform, watched))  # the champion is known from here on
        if trigger == "rows":
            windows.set_clock("churn", None)  # no past is played: its rows have no time
            write_churn(folder, pl.concat([churn_rows(), drifted_rows(750)]))
            assert platform.run(watched, only=["dataset"]).success
        elif trigger != "schedule":
            windows.keep(violating(trigger, now))
        windows.set_clock("churn", now + timedelta(days=1))
        (request,) = trainings(look(platform, watched))
        state = retraining.read("churn")
    finally:
        windows.set_clock("churn", None)
        retraining.forget("churn")
    assert f":{trigger}:" in str(request.run_key)
    assert state is not None
    assert state.latest is not None
    assert (state.latest.trigger, state.latest.outcome) == (trigger, None)
    assert reason in state.latest.reason


def trainings(result: Any) -> list[dg.RunRequest]:
    """The runs that train, of those that a tick asked for."""
    return [request for request in result.run_requests or () if ATTEMPT_TAG in request.tags]


def violating(trigger: str, end: datetime) -> WindowRecord:
    """A window of the champion that one signal, and no other, says is worse."""
    signals = (
        signals_of(realised="worse")
        if trigger == "realised"
        else signals_of(drift="found", estimated="worse")
    )
    window = Window(key="2100-01-01", start=end - timedelta(days=1), end=end)
    facts = WindowFacts(
        model="churn", model_version="2", start=window.start, end=end, n_rows=900, n_with_truth=900
    )
    verdict = judge_window(facts, signals, minimum_rows=30)
    return WindowRecord(window=window, verdict=verdict, metric="roc_auc", judged_at=end)

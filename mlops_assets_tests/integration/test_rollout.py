"""A document with `rollout:` from its first version to the second one's promotion, in Dagster."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.automation.rollouts import KEY_TAG, rollout_sensor
from mlops_assets.resources.environment import build_resources
from mlops_assets.rollout.file_store import FileStore
from mlops_assets.rollout.state import RolloutState
from mlops_assets.serving.home import ServingHome
from mlops_assets_tests.documents import churn_document, write_churn
from mlops_assets_tests.integration.conftest import Platform, materialized, told

ROLLOUT = {
    "strategy": "canary",
    "steps": [50],
    "interval": "1s",
    "minimum_samples": 20,
    "warm_up_requests": 5,
    "bake_time": "0s",
    "maximum_duration": "5m",
    "criteria": [{"metric": "error_ratio", "margin": 0.2}],
    "watch": {"duration": "0s"},
    "warm_standby": "0s",
}
MODEL = churn_document()["model"]
CHANGED = MODEL | {"parameters": {"C": 0.9}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("defs")
    write_churn(made)
    return made


@pytest.fixture
def callers(platform: Platform) -> Iterator[None]:
    done = threading.Event()

    def call() -> None:
        while not done.is_set():
            platform.serving.predict("churn", [{"months": 3, "spend": 50.0, "plan": "basic"}])
            time.sleep(0.01)

    thread = threading.Thread(target=call)
    thread.start()
    yield
    done.set()
    thread.join()


def state(platform: Platform) -> RolloutState | None:
    content, _ = FileStore(ServingHome.under(platform.home).rollouts).read("churn")
    return None if content is None else RolloutState.from_storage(content)


def look(platform: Platform, definitions: dg.Definitions, cursor: str | None) -> Any:
    """One tick of the rollout sensor."""
    resources = build_resources({"MLOPS_HOME": str(platform.home)})
    needed = {name: resources[name] for name in rollout_sensor().required_resource_keys}
    with dg.build_sensor_context(
        instance=platform.instance, cursor=cursor, definitions=definitions, resources=needed
    ) as context:
        return rollout_sensor()(context)


def carry_out(
    platform: Platform, definitions: dg.Definitions, request: dg.RunRequest
) -> dg.ExecuteInProcessResult:
    """The run that the sensor asked for."""
    job = definitions.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=platform.instance,
        asset_selection=list(request.asset_selection or ()),
        tags=request.tags,
        raise_on_error=False,
    )


def test_a_second_version_begins_a_rollout_and_the_run_returns(
    platform: Platform, folder: Path
) -> None:
    first = platform.run(platform.definitions(folder, rollout=ROLLOUT))
    assert first.success, told(first)
    assert state(platform) is None  # the first version has nobody to be compared with
    assert platform.serving.traffic("churn") == {"v1": 100}

    definitions = platform.definitions(folder, rollout=ROLLOUT, model=CHANGED)
    second = platform.run(definitions)  # returns with the first step
    assert second.success, told(second)
    made = materialized(second)["inference_service"].metadata
    assert made["rollout/phase"].value == "step"
    assert made["version"].value == 1
    assert platform.serving.traffic("churn") == {"v1": 50, "v2": 50}
    assert platform.tracking.version_of_alias("churn", "challenger") is not None


def test_each_step_is_a_run_and_each_look_is_told(
    platform: Platform, folder: Path, callers: None
) -> None:
    definitions = platform.definitions(folder, rollout=ROLLOUT, model=CHANGED)
    cursor, actions, keys = None, [], []
    deadline = time.monotonic() + 240
    while True:
        result = look(platform, definitions, cursor)
        cursor = result.cursor
        entry = json.loads(cursor)["churn"]
        actions.append(entry["action"])
        for request in result.run_requests or ():
            keys.append(request.run_key)
            assert request.tags[KEY_TAG] in request.run_key
            done = carry_out(platform, definitions, request)
            assert done.success, told(done)
        if not result.run_requests:
            assert "churn: " in str(result.skip_reason)
        now = state(platform)
        assert now is not None
        if now.is_ended and now.standby_released:
            break
        assert time.monotonic() < deadline, f"{now.phase}: {now.reason}"
        time.sleep(0.2)
    assert now.phase == "succeeded", now.reason
    assert "hold" in actions
    assert len(keys) == len(set(keys))
    assert platform.serving.traffic("churn") == {"v2": 100}
    champion = platform.tracking.version_of_alias("churn", "champion")
    assert champion is not None
    assert champion.version == 2


def test_the_history_of_the_service_shows_steps_criteria_and_a_plot(platform: Platform) -> None:
    key = dg.AssetKey(["churn", "inference_service"])
    records = platform.instance.fetch_materializations(key, limit=20).records
    phases = [
        str(r.asset_materialization.metadata["rollout/phase"].value)
        for r in records
        if r.asset_materialization and "rollout/phase" in r.asset_materialization.metadata
    ]
    assert {"step", "promoting", "succeeded"} <= set(phases)
    newest = records[0].asset_materialization
    assert newest is not None
    assert newest.metadata["version"].value == 2
    plot: Any = newest.metadata["rollout/plot"].value
    assert plot.startswith("![rollout](data:image/png;base64,")
    check = dg.AssetCheckKey(key, "error_ratio")
    latest = platform.instance.event_log_storage.get_latest_asset_check_execution_by_key([check])
    event = latest[check].event
    assert event is not None
    assert event.dagster_event is not None
    assert event.dagster_event.asset_check_evaluation_data.passed


def test_the_pipeline_again_leaves_the_champion_as_it_is(platform: Platform, folder: Path) -> None:
    definitions = platform.definitions(folder, rollout=ROLLOUT, model=CHANGED)
    again = platform.run(definitions, only=["inference_service"])
    assert again.success, told(again)
    assert platform.serving.traffic("churn") == {"v2": 100}
    assert materialized(again)["inference_service"].metadata["version"].value == 2

"""What a replay waits for, on a real Dagster instance whose sensor is these tests."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_shared.error import SerializableErrorInfo

from mlops_assets.data.documents import ModelDocuments
from mlops_assets.errors import HistoryError, PlatformError
from mlops_assets.monitoring.judging import judge_unknown
from mlops_assets.monitoring.logged_window import LoggedWindow
from mlops_assets.monitoring.quality_counts import LogCounts
from mlops_assets.monitoring.store import MonitoringStore
from mlops_assets.monitoring.windows import time_window
from mlops_assets.platform.home import Home
from mlops_assets.platform.lock import hold
from mlops_assets.platform.replay import SENSOR, FollowingDagster, _require_playable
from mlops_assets.retraining.state import Attempt, RetrainingState
from mlops_assets.retraining.store import RetrainingStore
from mlops_assets_tests.backtest.pasts import START, past_spec

SPEC = past_spec()
WINDOW = time_window("2024-01-21", "day")
_ERROR = SerializableErrorInfo("it broke", [], None)
EMPTY = pl.DataFrame(schema={"model_version": pl.String})


class Ticking:
    """The sensor of an instance: ticks when it is told to."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        target = LoadableTargetOrigin(module_name="nowhere")
        location = ManagedGrpcPythonEnvCodeLocationOrigin(target, "mlops_assets")
        origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), SENSOR)
        self._instance = instance
        self._state = InstigatorState(
            origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, SensorInstigatorData()
        )
        instance.add_instigator_state(self._state)

    def tick(self, status: TickStatus, at: datetime) -> None:
        self._instance.create_tick(
            TickData(
                self._state.instigator_origin_id,
                SENSOR,
                InstigatorType.SENSOR,
                status,
                at.timestamp(),
                selector_id=self._state.selector_id,
                run_ids=["run"] if status == TickStatus.SUCCESS else None,
                error=_ERROR if status == TickStatus.FAILURE else None,
            )
        )


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with hold(tmp_path / "platform.lock", "here"):
        yield Home(tmp_path)


@pytest.fixture
def following(home: Home) -> Iterator[tuple[FollowingDagster, Ticking, list[str]]]:
    said: list[str] = []
    windows = MonitoringStore(ModelDocuments(str(home.root / "monitoring")))
    with dg.DagsterInstance.local_temp(str(home.root)) as instance:
        ticking = Ticking(instance)
        yield FollowingDagster(home, SPEC, instance, windows, said.append), ticking, said


def keep_verdict(windows: MonitoringStore, now: datetime) -> None:
    logged = LoggedWindow(WINDOW, EMPTY, LogCounts())
    windows.keep(judge_unknown(SPEC, logged, None, "nobody answered", now))


def test_a_window_is_judged_once_its_verdict_is_kept_and_it_was_over(
    following: tuple[FollowingDagster, Ticking, list[str]],
) -> None:
    follower = following[0]
    assert not follower._is_judged(WINDOW)
    keep_verdict(follower.windows, WINDOW.end - timedelta(hours=1))
    assert not follower._is_judged(WINDOW)
    keep_verdict(follower.windows, WINDOW.end)
    assert follower._is_judged(WINDOW)


@pytest.mark.parametrize(
    ("status", "seconds", "counts"),
    [
        pytest.param(TickStatus.SKIPPED, 1, True, id="one_that_launched_nothing_counts"),
        pytest.param(TickStatus.SUCCESS, 1, True, id="one_that_launched_counts"),
        pytest.param(TickStatus.STARTED, 1, False, id="one_that_has_not_ended_does_not"),
        pytest.param(TickStatus.FAILURE, 1, False, id="one_that_failed_does_not"),
        pytest.param(TickStatus.SKIPPED, -1, False, id="nor_does_one_that_began_before"),
    ],
)
def test_the_sensor_must_have_looked_from_begin_to_end(
    following: tuple[FollowingDagster, Ticking, list[str]],
    status: TickStatus,
    seconds: int,
    counts: bool,
) -> None:
    follower, ticking, _ = following
    now = datetime.now(UTC)
    ticking.tick(status, now + timedelta(seconds=seconds))
    assert follower._has_ticked(now.timestamp()) is counts


def test_a_settled_window_is_left_at_once(
    following: tuple[FollowingDagster, Ticking, list[str]],
) -> None:
    follower, ticking, said = following
    keep_verdict(follower.windows, WINDOW.end)
    ticking.tick(TickStatus.SKIPPED, datetime.now(UTC) + timedelta(hours=1))
    follower.settle(WINDOW, 150)
    assert said == []


def test_a_training_is_waited_for_and_a_past_one_is_not(
    following: tuple[FollowingDagster, Ticking, list[str]],
) -> None:
    follower = following[0]
    assert follower._training() is None
    store = RetrainingStore(follower.windows.documents)
    attempt = Attempt(number=1, trigger="drift", reason="it moved", run_key="k", started_at=START)
    state = RetrainingState(model=SPEC.name, since=START).with_attempt(attempt)
    store.write(state)
    assert follower._training() == attempt
    store.write(state.with_run("run").with_outcome("refused", START))
    assert follower._training() is None


def test_it_does_not_wait_for_a_platform_that_has_stopped(tmp_path: Path) -> None:
    windows = MonitoringStore(ModelDocuments(str(tmp_path / "monitoring")))
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        follower = FollowingDagster(Home(tmp_path), SPEC, instance, windows, print)
        with pytest.raises(PlatformError, match="the platform has stopped; start it"):
            follower.settle(WINDOW, 150)


def test_a_log_that_forgets_is_not_played_into() -> None:
    forgetful = past_spec(serving={"prediction_log": {"retention": "30d"}})
    with pytest.raises(HistoryError, match="would remove what is played at once"):
        _require_playable(forgetful)
    _require_playable(SPEC)

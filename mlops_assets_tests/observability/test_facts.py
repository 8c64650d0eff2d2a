"""The exporter's metrics, read from real stores and a real Dagster instance."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
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
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo

from mlops_assets.data.documents import ModelDocuments
from mlops_assets.monitoring.store import MonitoringStore
from mlops_assets.monitoring.verdict import (
    DriftSignal,
    PerformanceSignal,
    QualitySignal,
    Signals,
    WindowFacts,
    WindowVerdict,
)
from mlops_assets.monitoring.window_record import RecentWindow, RecentWindows
from mlops_assets.monitoring.windows import Window
from mlops_assets.notify.ledger import Ledger
from mlops_assets.notify.notification import Delivery, Notification
from mlops_assets.observability.dagster_facts import read_dagster
from mlops_assets.observability.facts import Facts, render, sample
from mlops_assets.observability.model_facts import (
    read_notifications,
    read_rollouts,
    read_windows,
    tell_retraining,
    tell_rollout,
)
from mlops_assets.retraining.state import Attempt, RetrainingState
from mlops_assets.rollout.evidence import Traffic
from mlops_assets.rollout.file_store import FileStore
from mlops_assets.rollout.state import Hold, RolloutState, VersionRef

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def rollout(**changes: Any) -> RolloutState:
    split = Traffic(stable=75, challenger=25)
    given: dict[str, Any] = {
        "model": "toy_model",
        "service": "toy-model",
        "stable": VersionRef(version=1, revision="v1"),
        "challenger": VersionRef(version=2, revision="v2"),
        "phase": "step",
        "traffic": split,
        "confirmed": split,
        "started_at": NOW - timedelta(hours=2),
        "phase_started_at": NOW - timedelta(hours=1),
        "evidence_from": NOW - timedelta(hours=1),
        "ticked_at": NOW - timedelta(seconds=30),
        "reason": "1,000 requests needed",
    }
    return RolloutState(**given | changes)


def told(samples: Iterator[Any]) -> dict[str, float]:
    lines = render(Facts(list(samples))).splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_a_rollout_under_way_tells_phase_age_and_shares() -> None:
    service = 'service="toy-model"'
    assert told(tell_rollout(rollout(), NOW)) == {
        f'mlops_rollout_phase{{{service},model="toy_model",phase="step"}}': 1,
        f"mlops_rollout_phase_seconds{{{service}}}": 3600,
        f"mlops_rollout_is_over{{{service}}}": 0,
        f"mlops_rollout_tick_age_seconds{{{service}}}": 30,
        f'mlops_rollout_traffic_percent{{{service},role="stable"}}': 75,
        f'mlops_rollout_traffic_percent{{{service},role="challenger"}}': 25,
    }


def test_an_ended_rollout_counts_from_its_end_and_a_held_one_says_for_whom() -> None:
    ended = rollout(phase="rolled_back", ended_at=NOW - timedelta(minutes=1))
    found = told(tell_rollout(ended, NOW))
    assert found['mlops_rollout_phase_seconds{service="toy-model"}'] == 60
    assert found['mlops_rollout_is_over{service="toy-model"}'] == 1
    assert len(found) == 3
    hold = Hold(kind="question", since=NOW - timedelta(hours=5), reason="a drift?")
    held = told(tell_rollout(rollout(hold=hold), NOW))
    assert held['mlops_rollout_held_seconds{service="toy-model",kind="question"}'] == 5 * 3600
    asked = told(tell_rollout(rollout(phase="awaiting_approval"), NOW))
    assert asked['mlops_rollout_held_seconds{service="toy-model",kind="approval"}'] == 3600


def test_rollouts_are_read_from_their_store(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.write("toy-model", rollout().to_storage(), "")
    assert 'mlops_rollout_is_over{service="toy-model"}' in told(read_rollouts(store, NOW))


def attempt(number: int, trigger: Any) -> Attempt:
    return Attempt(
        number=number, trigger=trigger, reason="3 of 5 windows", run_key=str(number), started_at=NOW
    )


def test_attempts_are_counted_by_trigger_and_outcome() -> None:
    state = RetrainingState(model="toy", since=NOW - timedelta(days=9))
    state = state.with_attempt(attempt(1, "drift"))
    state = state.with_outcome("refused", NOW - timedelta(days=1), cpu_minutes=4.0)
    state = state.with_attempt(attempt(2, "schedule"))
    found = told(tell_retraining(state, NOW))
    attempts = "mlops_retraining_attempts"
    assert found[f'{attempts}{{model="toy",trigger="drift",outcome="refused"}}'] == 1
    assert found[f'{attempts}{{model="toy",trigger="schedule",outcome="in_flight"}}'] == 1
    assert found['mlops_retraining_cpu_minutes{model="toy"}'] == 4


def judged(verdict: Any, ended_at: datetime) -> RecentWindow:
    window = Window(key="2026-02-28", start=ended_at - timedelta(days=1), end=ended_at)
    unknown = PerformanceSignal(state="unknown", reason="no truth")
    signals = Signals(
        quality=QualitySignal(state="sound", reason="nothing is missing"),
        drift=DriftSignal(state="found", reason="age moved"),
        estimated=unknown,
        realised=unknown,
    )
    facts = WindowFacts(model="toy", start=window.start, end=ended_at, n_rows=9, n_with_truth=0)
    said = WindowVerdict(window=facts, verdict=verdict, reason="age moved", signals=signals)
    return RecentWindow(window=window, verdict=said, judged_at=NOW, drift_share=0.4)


def test_the_latest_window_of_each_model_is_told(tmp_path: Path) -> None:
    documents = ModelDocuments(str(tmp_path))
    recent = RecentWindows().with_window(judged("drift_harmful", NOW - timedelta(hours=1)), 9)
    documents.write("toy", "recent", recent.model_dump_json())
    documents.write("other", "retraining", "{}")
    assert told(read_windows(MonitoringStore(documents), documents.models(), NOW)) == {
        'mlops_window_verdict{model="toy",verdict="drift_harmful"}': 1,
        'mlops_window_age_seconds{model="toy"}': 3600,
        'mlops_window_drift_ratio{model="toy"}': 0.4,
    }


def test_notifications_of_a_day_are_counted(tmp_path: Path) -> None:
    ledger = Ledger(ModelDocuments(str(tmp_path)))
    sent, failed = Delivery("sent"), Delivery("failed", "no answer")
    for name, delivery, hours in (("a", sent, 25), ("b", failed, 23), ("c", failed, 1)):
        news = Notification(f"toy/{name}", "rollout_begun", "toy", "", "", "info", NOW)
        ledger.record(news, delivery, NOW - timedelta(hours=hours))
    labels = 'model="toy",kind="rollout_begun",state="failed"'
    found = told(read_notifications(ledger, NOW))
    assert found == {f"mlops_notifications_last_day{{{labels}}}": 2}


def test_models_are_listed_by_their_texts(tmp_path: Path) -> None:
    documents = ModelDocuments(str(tmp_path / "monitoring"))
    assert documents.models() == []
    documents.write("toy", "recent", "{}")
    assert documents.models() == ["toy"]


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    silent = {"telemetry": {"enabled": False}}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=silent) as made:
        yield made


def test_failed_runs_lost_retries_and_the_queue_are_counted(instance: dg.DagsterInstance) -> None:
    @dg.op
    def fails() -> None:
        raise ValueError("ordered")

    @dg.job
    def training() -> None:
        fails()

    lost = {"dagster/will_retry": "true"}
    training.execute_in_process(instance=instance, raise_on_error=False, tags=lost)
    training.execute_in_process(instance=instance, raise_on_error=False)
    now = datetime.now(UTC)
    assert told(read_dagster(instance, now))["mlops_run_retries_lost"] == 0  # its child may come
    found = told(read_dagster(instance, now + timedelta(minutes=6)))
    assert found['mlops_runs_last_day{dagster_job="training",status="FAILURE"}'] == 2
    assert found["mlops_run_retries_lost"] == 1
    (failed, *_) = instance.get_runs(dg.RunsFilter(tags=lost))
    instance.create_run_for_job(
        training, status=dg.DagsterRunStatus.STARTED,
        parent_run_id=failed.run_id, root_run_id=failed.run_id,
    )  # fmt: skip
    later = told(read_dagster(instance, now + timedelta(minutes=6)))
    assert later["mlops_run_retries_lost"] == 0  # a user launched it again
    assert (found["mlops_runs_queued"], found["mlops_run_longest_wait_seconds"]) == (0, 0)


def add_tick(instance: dg.DagsterInstance, sensor: str, status: TickStatus, at: float) -> None:
    """A sensor that runs, with its last tick, as the daemon leaves them."""
    location = RegisteredCodeLocationOrigin("mlops_assets")
    repository = RemoteRepositoryOrigin(location, "__repository__")
    origin = RemoteInstigatorOrigin(repository, sensor)
    data = SensorInstigatorData(min_interval=5)
    state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, data)
    instance.add_instigator_state(state)
    error = SerializableErrorInfo("ordered", [], None) if status is TickStatus.FAILURE else None
    instance.create_tick(
        TickData(
            state.instigator_origin_id, sensor, InstigatorType.SENSOR, status,
            at, selector_id=state.selector_id, error=error,
        )
    )  # fmt: skip


def test_a_sensor_that_no_model_has_any_more_is_not_told(instance: dg.DagsterInstance) -> None:
    now = datetime.now(UTC)
    add_tick(instance, "retraining", TickStatus.SKIPPED, now.timestamp() - 10)
    add_tick(instance, "rollouts", TickStatus.FAILURE, now.timestamp() - 3_700)
    found = told(read_dagster(instance, now))
    assert 'mlops_tick_age_seconds{instigator="retraining",kind="sensor"}' in found
    assert not [name for name in found if "rollouts" in name]


@pytest.mark.parametrize(
    ("status", "other"),
    [
        pytest.param(TickStatus.STARTED, 10, id="it_hangs"),
        pytest.param(TickStatus.SKIPPED, 7_000, id="the_daemon_is_silent"),
        pytest.param(TickStatus.SKIPPED, 3_700, id="it_is_late_by_an_hour"),
    ],
)
def test_a_sensor_that_is_there_and_stands_still_is_told(
    instance: dg.DagsterInstance, status: TickStatus, other: float
) -> None:
    now = datetime.now(UTC)
    add_tick(instance, "retraining", TickStatus.SKIPPED, now.timestamp() - other)
    add_tick(instance, "rollouts", status, now.timestamp() - 7_200)
    found = told(read_dagster(instance, now))
    assert found['mlops_tick_age_seconds{instigator="rollouts",kind="sensor"}'] == pytest.approx(
        7_200
    )


def test_a_silent_daemon_and_a_failed_tick_are_told(instance: dg.DagsterInstance) -> None:
    now = datetime.now(UTC)
    seen = now.timestamp() - 300
    instance.add_daemon_heartbeat(DaemonHeartbeat(seen, "SENSOR", "daemon", []))
    add_tick(instance, "rollouts", TickStatus.FAILURE, seen)
    found = told(read_dagster(instance, now))
    assert found['mlops_daemon_silent_seconds{daemon="SENSOR"}'] == pytest.approx(300)
    assert found['mlops_tick_failed{instigator="rollouts",kind="sensor"}'] == 1
    assert found['mlops_tick_age_seconds{instigator="rollouts",kind="sensor"}'] == pytest.approx(
        300
    )


def test_a_label_that_prometheus_sets_itself_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="Prometheus sets"):
        sample("mlops_runs_last_day", 1, job="training")


def test_a_name_without_a_meaning_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        render(Facts([sample("mlops_unheard_of", 1)]))

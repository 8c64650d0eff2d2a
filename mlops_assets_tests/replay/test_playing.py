"""Days of a past as live traffic through a real gateway, judged and decided on by the real code.

The follower here does in this process what the platform's sensor and assets do in theirs.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlops_assets.backtest.history import build_history
from mlops_assets.data.documents import ModelDocuments
from mlops_assets.kserve.manifest import build_inference_service
from mlops_assets.modeling.contestants import load_contestant
from mlops_assets.modeling.features import build_frame
from mlops_assets.modeling.package import write_package
from mlops_assets.modeling.signing import sign_package
from mlops_assets.modeling.training import train
from mlops_assets.monitoring.at_evaluation import Judged, build_reference_files
from mlops_assets.monitoring.references import read_references
from mlops_assets.monitoring.store import MonitoringStore
from mlops_assets.monitoring.watching import Watch, watch_window
from mlops_assets.monitoring.windows import Window
from mlops_assets.replay.calling import Callers, Sent
from mlops_assets.replay.playing import Stage, forget, play
from mlops_assets.replay.position import Position, read_position, write_position
from mlops_assets.retraining.attempts import OutsideFacts
from mlops_assets.retraining.store import RetrainingStore
from mlops_assets.retraining.ticking import tick
from mlops_assets.serving.embedded import EmbeddedServing
from mlops_assets.serving.home import ServingHome
from mlops_assets.serving.prediction_log.sink import drain_home, open_store
from mlops_assets_tests.backtest.pasts import ROWS_A_DAY, START, past_rows, past_spec
from mlops_assets_tests.monitoring.logged import FixedVersions
from mlops_assets_tests.serving.keys import signing_key
from mlops_assets_tests.serving.running import find_free_port, running_gateway

DAY = timedelta(days=1)
BEGIN = START + 20 * DAY
SPEC = past_spec()
IN_18_HOURS = 113  # rows of a day whose truth is there when the next one ends
HISTORY = build_history(SPEC, past_rows(24))


class Killed(BaseException):
    """What ends a replay in the middle."""


@dataclass
class FollowingHere:
    """Drains, judges and decides, each at the model's own time.

    Attributes:
        home: MLOPS_HOME.
        watch: What judging touches.
        killed_at: The window whose waiting ends in a kill.
        told: What was decided at the end of each window.
    """

    home: Path
    watch: Watch
    killed_at: str | None = None
    told: list[tuple[str, str]] = field(default_factory=list)

    def settle(self, window: Window, n_rows: int) -> None:
        if window.key == self.killed_at:
            raise Killed
        drain_home(self.home)
        now = self.watch.store.now(SPEC.name, datetime.max.replace(tzinfo=START.tzinfo))
        assert now == window.end
        for day in (window.start - DAY, window.start):
            if day >= BEGIN:
                watched = watch_window(self.watch, SPEC, f"{day:%Y-%m-%d}", now)
        assert watched.record.verdict.window.n_rows == n_rows
        states = RetrainingStore(self.watch.store.documents)
        ticked = tick(states, self.watch.store, SPEC, OutsideFacts(champion="1"), now)
        self.told.append((window.key, ticked.decision.rule))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A model of what was known at the begin, served, with what its evaluation leaves."""
    home = tmp_path_factory.mktemp("home")
    package = tmp_path_factory.mktemp("package") / "model"
    built = build_frame(HISTORY.known(BEGIN), SPEC)
    manifest = write_package(package, train(SPEC, built), built, SPEC)
    sign_package(package, signing_key())
    contestant = load_contestant(package, built.facts.split, SPEC, trusted=None)
    files = build_reference_files(SPEC, Judged(built, contestant, BEGIN))
    references = read_references("1", manifest, lambda name: files[name])
    windows = MonitoringStore(ModelDocuments(str(home / "monitoring")))
    watch = Watch(open_store(home), FixedVersions({"1": references}), windows)
    backend = EmbeddedServing(home)
    backend.apply(
        build_inference_service(
            SPEC,
            version=1,
            storage_uri=package.as_uri(),
            model_digest=manifest.model_digest,
            mlflow_run_id="run",
        )
    )
    with running_gateway(home, find_free_port()):
        backend.wait_ready(SPEC.service, 1, 120.0)
        callers = Callers(backend.url, SPEC.service)
        yield Stage(
            history=HISTORY,
            callers=callers,
            follower=FollowingHere(home, watch, killed_at="2024-01-22"),
            windows=windows,
            home=ServingHome.under(home),
            position=home / "replays" / "churn.json",
        )
        callers.close()


def test_a_killed_replay_goes_on_and_each_row_is_logged_once(stage: Stage) -> None:
    """Killed while the second day was waited for; then an hour is sent once more, too."""
    follower = stage.follower
    assert isinstance(follower, FollowingHere)
    with pytest.raises(Killed):
        play(stage, speed=1e9)
    left = read_position(stage.position)
    assert left is not None
    assert (left.at, left.settled) == (BEGIN + 2 * DAY, BEGIN + DAY)
    again = left.model_copy(update={"at": left.at - timedelta(hours=1)})
    stage.position.write_text(again.model_dump_json())
    follower.killed_at = None
    done = play(stage, speed=1e9)
    assert (done.at, done.settled) == (BEGIN + 3 * DAY, BEGIN + 3 * DAY)
    assert done.n_failed == 0
    log = follower.watch.log.scan_judged(SPEC.service).collect()
    assert log.height == 3 * ROWS_A_DAY
    assert [key for key, _ in follower.told] == [f"2024-01-{day}" for day in (21, 22, 23)]


def test_rows_and_truths_stand_at_their_time_in_the_past(stage: Stage) -> None:
    """To the hour; a truth came 30 hours after its row."""
    assert isinstance(stage.follower, FollowingHere)
    log = stage.follower.watch.log.scan_judged(SPEC.service).collect()
    known = HISTORY.log.with_columns(prediction_id="replay-20240121-" + pl.col("prediction_id"))
    both = log.join(known, on="prediction_id", suffix="_known")
    assert both.height == 3 * ROWS_A_DAY
    hour = pl.duration(hours=1)
    assert both.select(
        (pl.col("event_time") - pl.col("event_time_known")).abs().max() < hour
    ).item()
    told = both.filter(pl.col("truth").is_not_null())
    assert told.height == ROWS_A_DAY + IN_18_HOURS
    late = (pl.col("truth_received_at") - pl.col("truth_received_at_known")).abs().max()
    assert told.select(late < hour).item()
    assert told.select((pl.col("truth") == pl.col("truth_known")).all()).item()


def test_windows_are_judged_with_the_truth_that_had_come(stage: Stage) -> None:
    recent = stage.windows.recent(SPEC.name).windows
    assert [w.window.key for w in recent] == [f"2024-01-{day}" for day in (21, 22, 23)]
    with_truth = [w.verdict.window.n_with_truth for w in recent]
    assert with_truth == [IN_18_HOURS, IN_18_HOURS, 0]  # judged a day after they ended, and at once
    record = stage.windows.window(SPEC.name, "2024-01-21")
    assert record is not None
    assert record.realised is not None
    lag = record.realised.coverage.median_lag
    assert lag is not None
    assert abs(lag - timedelta(hours=30)) < timedelta(hours=1)


@dataclass
class Timed:
    """Callers and follower in one: when each hour was sent; at midnight it takes its time."""

    sent_at: list[float] = field(default_factory=list)

    def predict(self, rows: Iterable[object]) -> Sent:
        self.sent_at.append(time.monotonic())
        return Sent(len(list(rows)), 0)

    def tell(self, truths: Sequence[object]) -> int:
        return len(truths)

    def settle(self, window: Window, n_rows: int) -> None:  # noqa: ARG002 - of the protocol
        time.sleep(0.75)


def test_no_hour_follows_faster_than_asked_after_a_long_wait_either(tmp_path: Path) -> None:
    timed: Any = Timed()
    windows = MonitoringStore(ModelDocuments(str(tmp_path / "monitoring")))
    position = tmp_path / "replays" / "churn.json"
    stage = Stage(HISTORY, timed, timed, windows, ServingHome.under(tmp_path), position)
    first = Position.first(SPEC.name, BEGIN)
    write_position(position, first.model_copy(update={"at": BEGIN + timedelta(hours=22)}))
    play(stage, speed=14_400, until=BEGIN + timedelta(hours=28))  # an hour in 0.25 s
    assert len(timed.sent_at) == 6
    assert timed.sent_at[2] - timed.sent_at[1] >= 0.75
    assert timed.sent_at[5] - timed.sent_at[2] >= 0.6  # three hours take 0.75 s; 0.25 s to catch up


def test_a_finished_replay_has_nothing_to_do(stage: Stage) -> None:
    before = stage.position.read_text()
    done = play(stage, speed=0.001)
    assert done.at == BEGIN + 3 * DAY
    assert stage.position.read_text() == before


def test_a_model_lives_in_real_time_again_when_its_replay_is_forgotten(stage: Stage) -> None:
    forget(stage.home, stage.windows, SPEC.name, SPEC.service)
    real = datetime.now(tz=START.tzinfo)
    assert stage.windows.now(SPEC.name, real) == real
    stage.callers.predict([("later", {"months": 3, "spend": 40.0, "plan": "pro"})])
    drain_home(stage.home.root.parent)
    log = open_store(stage.home.root.parent).scan_predictions(SPEC.service, real).collect()
    assert log["prediction_id"].to_list() == ["later"]

"""Versions with faults, under live traffic on a real gateway: each ends as the policy says.

The statistics run on real requests in real time, so limits are wide and intervals short; what need
not be real time (nobody calls, the source of metrics is gone) is driven by the clock of the test.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.rollout.state import RolloutState
from mlops_assets.serving.home import ServingHome
from mlops_assets.serving.prediction_log.sink import drain_home
from mlops_assets.spec import ServingSpec
from mlops_assets.spec.criterion import CriterionSpec
from mlops_assets.spec.rollout import RolloutSpec, WatchSpec
from mlops_assets_tests.rollout.faulty import write_faulty, write_linear
from mlops_assets_tests.rollout.stage import Play, Stage, calling, set_stage

SECOND = timedelta(seconds=1)
ERRORS = CriterionSpec(metric="error_ratio", margin=0.06)
LATENCY = CriterionSpec(metric="latency", quantile=0.5, margin=0.5)
SCORES = CriterionSpec(metric="score_mean", margin=0.15, slice_by="hours per day")
QUALITY = CriterionSpec(metric="quality", margin=0.25, required=True)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with set_stage(tmp_path_factory.mktemp("stage") / "home") as made:
        yield made


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The version that serves."""
    return write_linear(tmp_path_factory.mktemp("models") / "good", digest="1" * 64)


def quick(*criteria: CriterionSpec, **changes: Any) -> RolloutSpec:
    """A canary of one step that is judged each second."""
    settings: dict[str, Any] = {
        "strategy": "canary",
        "steps": [50],
        "interval": SECOND,
        "minimum_samples": 60,
        "warm_up_requests": 5,
        "bake_time": timedelta(0),
        "maximum_duration": timedelta(minutes=5),
        "criteria": list(criteria) or [ERRORS],
        "watch": WatchSpec(duration=timedelta(0)),
        "warm_standby": timedelta(0),
    }
    return RolloutSpec.model_validate(settings | changes)


def is_over(state: RolloutState) -> bool:
    return state.is_ended and state.standby_released


def require_rolled_back(play: Play, state: RolloutState, *, phase: str = "rolled_back") -> None:
    assert state.phase == phase, state.reason
    assert play.answering == {"v1": 100}
    assert play.aliases["champion"] == 1
    assert state.reason
    told = [each for each in play.notifier.told.values() if each.severity == "critical"]
    assert told
    assert state.challenger.revision in told[0].title


def test_one_that_answers_nan(stage: Stage, good: Path, tmp_path: Path) -> None:
    play = stage.play(quick())
    play.serve(good)
    play.begin(write_linear(tmp_path / "nan", digest="2" * 64, nan_below=0.0))
    with calling(play) as callers:
        state = play.follow(is_over)
    require_rolled_back(play, state)
    assert "error_ratio" in state.reason
    assert {revision for revision, _ in callers.errors()} == {"v2"}
    assert {status for _, status in callers.errors()} == {500}
    assert callers.n_lost == 0


def test_one_that_is_ten_times_slower(stage: Stage, good: Path, tmp_path: Path) -> None:
    play = stage.play(quick(LATENCY))
    play.serve(good)
    play.begin(write_linear(tmp_path / "slow", digest="2" * 64, busy_layers=600))
    with calling(play) as callers:
        state = play.follow(is_over)
    require_rolled_back(play, state)
    assert "latency" in state.reason
    assert callers.errors() == {}


def test_one_with_flipped_answers_whose_truth_comes_late(
    stage: Stage, good: Path, tmp_path: Path
) -> None:
    play = stage.play(quick(ERRORS, QUALITY))
    play.serve(good)
    flipped = write_linear(tmp_path / "flipped", (-1.0, 2.0, -0.5), digest="2" * 64)
    play.begin(flipped)
    with calling(play, tell_truth=True) as callers:
        state = play.follow(is_over)
    require_rolled_back(play, state)
    assert "quality" in state.reason
    assert callers.errors() == {}


def test_one_that_is_biased_in_one_slice(stage: Stage, good: Path, tmp_path: Path) -> None:
    play = stage.play(quick(ERRORS, SCORES))
    play.serve(good)
    history = [{"x0": 0.0, "x1": 0.0, "hours per day": hours} for hours in (0.0, 4.0)]
    for _ in range(5):
        play.world.serving.predict(play.spec.service, history)
    drain_home(stage.home)
    play.begin(write_linear(tmp_path / "biased", (1.0, -2.0, -0.5), digest="2" * 64))
    with calling(play):
        state = play.follow(is_over)
    require_rolled_back(play, state)
    assert "score_mean[4.0]" in state.reason


def test_one_that_crashes_after_200_requests(stage: Stage, good: Path, tmp_path: Path) -> None:
    play = stage.play(quick(minimum_samples=100_000, steps=[80]))
    play.serve(good)
    play.begin(write_faulty(tmp_path / "crash", digest="2" * 64, crashes_after=200))
    with calling(play) as callers:
        state = play.follow(is_over)
    require_rolled_back(play, state, phase="failed")
    assert "2 times by itself" in state.reason
    assert "code 42" in state.reason
    assert callers.errors() == {}  # the stable version answered what died with its process
    assert callers.n_lost == 0


def test_one_that_leaks_memory(stage: Stage, good: Path, tmp_path: Path) -> None:
    serving = ServingSpec(memory="400Mi", ready_timeout_seconds=90)
    play = stage.play(quick(minimum_samples=100_000), serving=serving)
    play.serve(good)
    play.begin(write_faulty(tmp_path / "leak", digest="2" * 64, leaks_megabytes=20))
    with calling(play) as callers:
        state = play.follow(is_over)
    require_rolled_back(play, state, phase="failed")
    assert "400 MiB allowed" in state.reason
    assert callers.errors() == {}


def test_one_that_is_identical(stage: Stage, good: Path, tmp_path: Path) -> None:
    play = stage.play(quick())
    play.serve(good)
    play.begin(write_linear(tmp_path / "same", digest="2" * 64))
    with calling(play) as callers:
        state = play.follow(is_over)
    assert state.phase == "succeeded", state.reason
    assert play.answering == {"v2": 100}
    assert play.aliases == {"champion": 2, "previous": 1}
    assert (callers.errors(), callers.n_lost) == ({}, 0)
    assert play.notifier.kinds == ["started", "step", "promoted", "ended_succeeded"]


def test_one_that_is_better_and_shown_better(stage: Stage, good: Path, tmp_path: Path) -> None:
    play = stage.play(quick(ERRORS, QUALITY))
    play.serve(write_linear(tmp_path / "poor", (-0.5, 0.2, -0.1), digest="3" * 64))
    play.begin(good)
    with calling(play, tell_truth=True):
        state = play.follow(is_over)
    assert state.phase == "succeeded", state.reason
    readings = [r for e in state.history for r in e.readings if r.criterion == "quality"]
    assert readings[-1].high is not None
    assert readings[-1].high < 0  # the whole interval is on the better side


def test_no_traffic_holds_and_then_follows_the_policy(
    stage: Stage, good: Path, tmp_path: Path
) -> None:
    play = stage.play(quick(maximum_duration=timedelta(hours=6)))
    play.serve(good)
    play.begin(write_linear(tmp_path / "same", digest="2" * 64))
    play.follow(lambda s: s.phase == "step" and s.confirmed.challenger == 50)
    for hours in (1, 3, 5):
        play.ahead = timedelta(hours=hours)
        held = play.tick()
        assert (held.decision.action, held.state.phase) == ("hold", "step")
        assert held.state.traffic.challenger == 50
    play.ahead = timedelta(hours=7)
    state = play.tick().state
    assert state.phase == "rolling_back"
    assert "nothing is proven" in state.reason
    state = play.follow(lambda s: s.is_ended)
    require_rolled_back(play, state)


def test_a_source_of_metrics_that_is_gone_never_promotes(
    stage: Stage, good: Path, tmp_path: Path
) -> None:
    play = stage.play(
        quick(maximum_duration=timedelta(hours=6), inconclusive="ask", minimum_samples=100_000)
    )
    play.serve(good)
    play.begin(write_linear(tmp_path / "same", digest="2" * 64))
    with calling(play, pause=0.02):
        play.follow(lambda s: s.phase == "step" and s.history[-1].n_challenger > 0)
    table = ServingHome.under(stage.home).tables / play.spec.service
    drain_home(stage.home)
    shutil.rmtree(table, ignore_errors=True)
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text("not a folder")
    play.ahead = timedelta(minutes=1)
    held = play.tick()
    assert held.evidence.source_error is not None
    assert held.decision.action == "hold"
    assert held.state.history[-1].verdict == "unknown"
    play.ahead = timedelta(hours=7)
    state = play.tick().state
    assert state.hold is not None
    assert state.hold.kind == "question"
    assert play.answering == {"v1": 50, "v2": 50}
    assert "approval_wanted" in play.notifier.kinds
    table.unlink()


def test_the_gateway_killed_in_mid_step(stage: Stage, good: Path, tmp_path: Path) -> None:
    play = stage.play(quick(minimum_samples=100))
    play.serve(good)
    play.begin(write_linear(tmp_path / "same", digest="2" * 64))
    with calling(play) as callers:
        play.follow(lambda s: s.phase == "step" and s.confirmed.challenger == 50)
        stage.kill_gateway()
        silent = play.tick()
        assert silent.evidence.routed is None
        assert silent.state.phase == "step"
        stage.start_gateway()
        state = play.follow(is_over)
    assert state.phase == "succeeded", state.reason
    assert play.answering == {"v2": 100}
    assert callers.errors() == {}  # but for requests that found no gateway


def test_the_daemon_killed_in_mid_step(stage: Stage, good: Path, tmp_path: Path) -> None:
    """Processes that tick are killed one after another; whoever comes next goes on."""
    play = stage.play(quick(minimum_samples=100))
    play.serve(good)
    play.begin(write_linear(tmp_path / "same", digest="2" * 64))
    document = tmp_path / "document.json"
    document.write_text(play.spec.model_dump_json(exclude_unset=True))
    command = [sys.executable, "-m", "mlops_assets_tests.rollout.ticker"]
    with calling(play):
        deadline = time.monotonic() + 280
        n_killed = 0
        while not is_over(play.state):
            before = play.state
            ticker = subprocess.Popen([*command, str(stage.home), str(document)])
            while (play.state.phase, play.state.confirmed) == (before.phase, before.confirmed):
                assert time.monotonic() < deadline, f"{before.phase}: {before.reason}"
                time.sleep(0.002)
                if is_over(play.state):
                    break
            ticker.kill()  # at once: what the state says is not done yet
            ticker.wait()
            n_killed += 1
    assert n_killed > 1
    assert play.state.phase == "succeeded", play.state.reason
    assert play.answering == {"v2": 100}
    assert play.aliases == {"champion": 2, "previous": 1}

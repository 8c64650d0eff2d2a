"""Strategies other than the canary, under live traffic on a real gateway."""

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.assets.serving import describe_shadow
from mlops_assets.rollout.state import RolloutState
from mlops_assets.spec.criterion import CriterionSpec
from mlops_assets.spec.rollout import RolloutSpec, ShadowStageSpec, WatchSpec
from mlops_assets_tests.rollout.faulty import write_linear
from mlops_assets_tests.rollout.stage import Stage, calling, draw_row, set_stage

SECOND = timedelta(seconds=1)
ERRORS = CriterionSpec(metric="error_ratio", margin=0.06)
DIFFERS = CriterionSpec(metric="disagreement", maximum=0.2)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with set_stage(tmp_path_factory.mktemp("stage") / "home") as made:
        yield made


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The version that serves."""
    return write_linear(tmp_path_factory.mktemp("models") / "good", digest="1" * 64)


def quick(strategy: str, **changes: Any) -> RolloutSpec:
    settings: dict[str, Any] = {
        "strategy": strategy,
        "interval": SECOND,
        "minimum_samples": 60,
        "warm_up_requests": 5,
        "bake_time": timedelta(0),
        "maximum_duration": timedelta(minutes=5),
        "criteria": [ERRORS],
        "watch": WatchSpec(duration=timedelta(0)),
        "warm_standby": timedelta(0),
    }
    return RolloutSpec.model_validate(settings | changes)


def is_over(state: RolloutState) -> bool:
    return state.is_ended and state.standby_released


def test_blue_green_goes_back_when_it_breaks_what_the_former_version_kept(
    stage: Stage, good: Path, tmp_path: Path
) -> None:
    """It answers its examples, gets everything at once, and only callers see what is wrong."""
    minute = timedelta(minutes=1)
    play = stage.play(quick("blue_green", watch=WatchSpec(duration=minute), warm_standby=minute))
    play.serve(good)
    with calling(play) as callers:
        play.wait_for_log(300)  # so that what it keeps is known
        play.begin(write_linear(tmp_path / "nan", digest="2" * 64, nan_below=0.0))
        state = play.follow(is_over)
    assert state.phase == "rolled_back", state.reason
    assert "what the former version kept" in state.reason
    assert play.answering == {"v1": 100}
    assert play.aliases["champion"] == 1
    assert {revision for revision, _ in callers.errors()} == {"v2"}


def test_a_shadow_answers_nobody_until_it_is_promoted(
    stage: Stage, good: Path, tmp_path: Path
) -> None:
    shadow = ShadowStageSpec(minimum_samples=60)
    play = stage.play(quick("shadow", steps=[], shadow=shadow, criteria=[ERRORS, DIFFERS]))
    play.serve(good)
    play.begin(write_linear(tmp_path / "alike", (1.0, -2.0, 0.4), digest="2" * 64))
    with calling(play, pause=0.02) as callers:
        answered_by: set[str] = set()

        def is_left(state: RolloutState) -> bool:
            if state.phase in ("pending", "shadow"):
                answered_by.update(revision for revision, _ in list(callers.statuses))
                return False
            return True

        state = play.follow(is_left)
        assert answered_by == {"v1"}
        told = describe_shadow(play.world, play.spec, state)
        state = play.follow(is_over)
    assert state.phase == "succeeded", state.reason
    assert play.answering == {"v2": 100}
    assert callers.errors() == {}
    assert told["shadow/rows"] >= 60
    assert 0.8 < told["shadow/agreement"] < 1
    assert str(told["shadow/differences"].value).startswith("| id | served | new version | apart |")
    assert str(told["shadow/picture"].value).startswith("![shadow](data:image/png;base64,")


def test_callers_of_an_ab_test_stay_with_their_version(
    stage: Stage, good: Path, tmp_path: Path
) -> None:
    """Of each caller the answers come from v1, then from v2, and never back."""
    errors = CriterionSpec(metric="error_ratio", margin=0.1)
    play = stage.play(quick("ab_test", sticky_key="x1", criteria=[errors]))
    play.serve(good)
    play.begin(write_linear(tmp_path / "same", digest="2" * 64))

    def draw(rng: random.Random) -> dict[str, float]:
        return {**draw_row(rng), "x1": rng.randrange(400) / 100}

    with calling(play, draw=draw) as callers:
        state = play.follow(is_over)
    assert state.phase == "succeeded", state.reason
    step = next(look for look in reversed(state.history) if look.phase == "step")
    assert 0.35 < step.n_challenger / (step.n_challenger + step.n_stable) < 0.65
    seen: dict[float, str] = {}
    for row, revision in callers.answers:
        assert not (seen.get(row["x1"]) == "v2" and revision == "v1")
        seen[row["x1"]] = revision

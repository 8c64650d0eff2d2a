"""Rollouts with live traffic on a real gateway, from the first tick to the end."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from mlops_assets.spec.rollout import CriterionSpec, RolloutSpec, WatchSpec
from mlops_assets_tests.rollout.faulty import write_linear
from mlops_assets_tests.rollout.stage import Stage, calling, set_stage

SECOND = timedelta(seconds=1)
ERRORS = CriterionSpec(metric="error_ratio", margin=0.05)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with set_stage(tmp_path_factory.mktemp("stage") / "home") as made:
        yield made


def quick(*criteria: CriterionSpec, **changes: object) -> RolloutSpec:
    settings: dict[str, object] = {
        "strategy": "canary",
        "steps": [50],
        "interval": SECOND,
        "minimum_samples": 100,
        "bake_time": timedelta(0),
        "maximum_duration": timedelta(seconds=40),
        "criteria": list(criteria) or [ERRORS],
        "watch": WatchSpec(duration=timedelta(0)),
        "warm_standby": timedelta(0),
    }
    return RolloutSpec.model_validate(settings | changes)


def test_an_identical_version_is_promoted(stage: Stage, tmp_path: Path) -> None:
    play = stage.play(quick())
    play.serve(write_linear(tmp_path / "v1", digest="1" * 64))
    play.begin(write_linear(tmp_path / "v2", digest="2" * 64))
    with calling(play) as callers:
        state = play.follow(lambda s: s.is_ended and s.standby_released)
    assert state.phase == "succeeded", state.reason
    assert play.answering == {"v2": 100}
    assert play.aliases == {"champion": 2, "previous": 1}
    assert callers.errors() == {}
    assert callers.n_lost == 0
    assert play.notifier.kinds == ["started", "step", "promoted", "ended_succeeded"]

"""The example requests of a blue-green rollout: answered, answered wrongly, or not tried yet."""

from datetime import timedelta

import pytest

from mlops_assets.errors import AnsweredError, ClusterApiError, ServingError
from mlops_assets.rollout.beginning import begin, read_state
from mlops_assets.rollout.state import RolloutState
from mlops_assets.rollout.ticking import tick
from mlops_assets_tests.rollout.small_world import SmallWorld
from mlops_assets_tests.rollout.test_ticking import START, STEP, seams, small_world

NO_ANSWER = [
    pytest.param(ServingError("http://gateway did not answer: ReadTimeout"), id="timeout"),
    pytest.param(ClusterApiError("the API server did not answer", 0), id="no_api_server"),
    pytest.param(ClusterApiError("POST: 403 pods/proxy is forbidden", 403), id="no_right"),
    pytest.param(ClusterApiError("POST: 503 error trying to reach service", 503), id="no_pod"),
]


def blue_green(refusal: ServingError) -> SmallWorld:
    world = small_world(
        strategy="blue_green", steps=[], interval=STEP, maximum_duration=timedelta(minutes=5)
    )
    world.refusal = refusal
    begin(seams(world), world.spec, 2, START)
    return world


def tick_times(world: SmallWorld, n: int, first: int = 0) -> RolloutState:
    for number in range(first, first + n):
        tick(seams(world), world.spec, START + number * STEP)
    state = read_state(seams(world), "toy")
    assert state is not None
    return state


@pytest.mark.parametrize("refusal", NO_ANSWER)
def test_no_answer_to_the_examples_is_waited_for_and_told(refusal: ServingError) -> None:
    world = blue_green(refusal)
    state = tick_times(world, 4)
    assert state.phase == "pending"
    assert f"not tried yet: {refusal}" in state.reason
    world.refusal = None
    assert tick_times(world, 2, first=4).phase == "watching"


@pytest.mark.parametrize("status", [400, 500, 503])
def test_an_error_that_the_version_answered_ends_it(status: int) -> None:
    world = blue_green(AnsweredError(f"toy answered {status}: it broke", status))
    state = tick_times(world, 4)
    assert (state.phase, world.splits_seen) == ("failed", [])
    assert f"answered wrongly: toy answered {status}: it broke" in state.reason


@pytest.mark.parametrize("refusal", NO_ANSWER)
def test_examples_that_can_never_be_tried_end_with_the_reason(refusal: ServingError) -> None:
    state = tick_times(blue_green(refusal), 40)
    assert state.phase == "rolled_back"
    assert "nothing is proven in 0:05:00" in state.reason
    assert str(refusal) in state.reason

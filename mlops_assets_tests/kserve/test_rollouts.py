"""Whole rollouts on a cluster: the same code as on the local gateway, on what KServe can do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import ServingError
from mlops_assets.kserve.capabilities import Mode
from mlops_assets.modeling.tracking import Tracking
from mlops_assets.rollout.beginning import read_state
from mlops_assets_tests.kserve.play import Play, is_over, rollout_spec
from mlops_assets_tests.kserve.site import Site, running_site
from mlops_assets_tests.rollout.faulty import write_linear

MODES: tuple[Mode, ...] = ("Standard", "Knative")


@pytest.fixture(scope="module", params=MODES)
def module_site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with running_site(request.param) as made:
        yield made


@pytest.fixture
def site(module_site: Site) -> Iterator[Site]:
    yield module_site
    module_site.clean()


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    home = tmp_path_factory.mktemp("mlflow")
    return Tracking(f"sqlite:///{home}/mlflow.db", f"file://{home}/mlartifacts")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The version that serves, one as good as it, and some that answer NaN below some x0."""
    home = tmp_path_factory.mktemp("models")
    return {
        "good": write_linear(home / "good", digest="1" * 64),
        "same": write_linear(home / "same", digest="2" * 64),
        "bad": write_linear(home / "bad", digest="3" * 64, nan_below=0.0),
        "half": write_linear(home / "half", digest="4" * 64, nan_below=-5.0),
        "deaf": write_linear(home / "deaf", digest="5" * 64, nan_below=50.0),
    }


@pytest.fixture
def play(site: Site, tracking: Tracking, request: pytest.FixtureRequest) -> Play:
    """A service `toy` of a model of its own in the registry."""
    return Play(site, rollout_spec(request.node.name), tracking)


def test_a_version_that_is_as_good_is_promoted_step_by_step(
    play: Play, packages: dict[str, Path]
) -> None:
    old = play.serve(packages["good"])
    before = play.site.pods(old)
    new = play.begin(packages["same"])
    play.until(lambda s: s.phase == "watching")
    assert play.site.pods(old) == before  # warm, and never restarted
    state = play.until(is_over)
    assert state.phase == "succeeded", state.reason
    assert state.history[-1].n_challenger > 0  # the watch saw requests
    assert play.splits == [{old: 100}, {old: 80, new: 20}, {old: 40, new: 60}, {new: 100}]
    assert play.aliases == {"champion": int(new[1:]), "previous": int(old[1:])}
    assert set(play.statuses) == {200}
    assert play.notifier.kinds == ["started", "step", "promoted", "ended_succeeded"]


def test_a_version_that_fails_requests_is_rolled_back(
    play: Play, packages: dict[str, Path]
) -> None:
    old = play.serve(packages["good"])
    new = play.begin(packages["bad"])
    state = play.until(is_over)
    assert state.phase == "rolled_back", state.reason
    assert "error_ratio" in state.reason
    assert play.splits == [{old: 100}, {old: 80, new: 20}, {old: 100}]
    assert play.aliases["champion"] == int(old[1:])
    assert 0 < play.statuses[500] <= 0.2 * play.statuses.total()


def test_a_promoted_version_that_begins_to_fail_is_reverted_without_a_pod_start(
    play: Play, packages: dict[str, Path]
) -> None:
    old = play.serve(packages["good"])
    new = play.begin(packages["half"])
    play.until(lambda s: s.phase == "watching")
    before = play.site.pods(old)
    play.rows = [{"x0": -9.0, "x1": 0.1, "hours per day": 0.0}]  # what only the new one cannot take
    state = play.until(lambda s: s.phase == "rolling_back")
    assert "harm is proven" in state.reason
    state = play.until(lambda s: s.is_ended)
    assert play.site.pods(old) == before
    assert play.splits[-2:] == [{new: 100}, {old: 100}]
    assert play.aliases["champion"] == int(old[1:])


@pytest.mark.parametrize("outcome", ["crash_loop", "image_pull", "no_room", "storage_initializer"])
def test_a_version_that_cannot_run_is_withdrawn_at_the_next_tick(
    play: Play, packages: dict[str, Path], outcome: Any
) -> None:
    old = play.serve(packages["good"])
    new = play.begin(packages["same"])
    play.site.cluster.order(new, outcome)
    state = play.until(lambda s: s.is_ended, most=6)
    assert state.phase == "failed"
    assert f"revision {new} failed" in state.reason
    assert play.splits == [{old: 100}]
    assert set(play.statuses) == {200}


def test_shares_that_a_person_edits_are_asked_about_and_put_back_by_resume(
    play: Play, packages: dict[str, Path]
) -> None:
    old = play.serve(packages["good"])
    new = play.begin(packages["same"])
    play.until(lambda s: s.phase == "step" and s.confirmed.challenger == 20)
    play.edit_shares(50)
    state = play.until(lambda s: s.hold is not None, most=2)
    assert state.hold is not None
    assert (state.hold.kind, play.shares) == ("edited", {old: 50, new: 50})
    play.tick()
    assert play.shares == {old: 50, new: 50}  # it is theirs until they say more
    play.say("resume")
    play.until(lambda s: s.hold is None and s.confirmed.challenger == 20, most=3)
    assert play.shares == {old: 80, new: 20}
    play.until(lambda s: s.phase == "succeeded")


def test_harm_rolls_back_also_from_shares_that_a_person_set(
    play: Play, packages: dict[str, Path]
) -> None:
    old = play.serve(packages["good"])
    play.begin(packages["bad"])
    play.until(lambda s: s.phase == "step" and s.confirmed.challenger == 20)
    play.edit_shares(50)
    state = play.until(lambda s: s.is_ended)
    assert state.phase == "rolled_back"
    assert play.shares == {old: 100}


def test_a_newer_version_takes_the_place_of_one_under_way(
    play: Play, packages: dict[str, Path]
) -> None:
    old = play.serve(packages["good"])
    play.begin(packages["bad"])
    play.until(lambda s: s.phase == "step")
    number = play.register(packages["same"])
    for _ in range(10):
        if play.tick(newest_version=number).state.is_ended:
            break
    assert play.state.phase == "aborted"
    assert play.shares == {old: 100}
    new = play.begin(packages["same"])
    play.until(lambda s: s.phase == "succeeded")
    assert play.shares == {new: 100}


def test_blue_green_is_verified_without_a_share_and_reverted_by_what_the_former_version_kept(
    play: Play, packages: dict[str, Path]
) -> None:
    old = play.serve(packages["good"])
    play.call()  # what it keeps is known
    play.call()
    play.spec = rollout_spec(play.spec.registered_model, strategy="blue_green", steps=None)
    new = play.begin(packages["half"])
    play.until(lambda s: s.phase == "watching")
    assert play.splits == [{old: 100}, {new: 100}]
    play.rows = [{"x0": -9.0, "x1": 0.1, "hours per day": 0.0}]
    state = play.until(lambda s: s.is_ended)
    assert state.phase == "rolled_back", state.reason
    assert "what the former version kept" in state.reason
    assert play.shares == {old: 100}


def test_blue_green_that_answers_its_examples_wrongly_gets_no_request(
    play: Play, packages: dict[str, Path]
) -> None:
    old = play.serve(packages["good"])
    play.spec = rollout_spec(play.spec.registered_model, strategy="blue_green", steps=None)
    play.begin(packages["deaf"])
    state = play.until(lambda s: s.is_ended)
    assert state.phase == "failed", state.reason
    assert "example requests were answered wrongly" in state.reason
    assert play.splits == [{old: 100}]


def test_a_baseline_of_equal_size_runs_beside_both_where_three_can_share(
    play: Play, packages: dict[str, Path]
) -> None:
    old = play.serve(packages["good"])
    play.spec = rollout_spec(play.spec.registered_model, baseline=True, steps=[30])
    if play.site.mode == "Knative":
        with pytest.raises(ServingError, match="shares requests between two revisions, found 3"):
            play.begin(packages["same"])
        return
    new = play.begin(packages["same"])
    state = play.until(is_over)
    assert state.phase == "succeeded", state.reason
    thirds = {old: 40, new: 30, f"{old}-baseline": 30}
    assert play.splits == [{old: 100}, thirds, {new: 100}]
    assert any("of baseline" in r.reason for look in state.history for r in look.readings)


def test_a_shadow_is_refused_before_anything_changes(play: Play, packages: dict[str, Path]) -> None:
    """What the cluster cannot do is told, and the version that serves goes on."""
    old = play.serve(packages["good"])
    play.spec = rollout_spec(play.spec.registered_model, strategy="shadow")
    with pytest.raises(ServingError, match="KServe mirrors no requests"):
        play.begin(packages["same"])
    assert read_state(play.world, "toy") is None
    assert play.shares == {old: 100}

"""The order of a tick: killed before and after each of its effects, whoever comes next goes on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlops_assets.errors import RolloutError, ServingError, StateConflictError
from mlops_assets.modeling.mlflow_registry import RegisteredVersion
from mlops_assets.rollout.beginning import (
    begin,
    decide_beginning,
    read_state,
    waiting_version,
)
from mlops_assets.rollout.commanding import give_command
from mlops_assets.rollout.metrics_source import Measured, Question
from mlops_assets.rollout.state import Command, CommandKind, RolloutState, VersionRef
from mlops_assets.rollout.ticking import is_settled, tick
from mlops_assets.rollout.world import World
from mlops_assets.serving.backend import Declaration
from mlops_assets.spec.criterion import CriterionSpec
from mlops_assets.spec.rollout import RolloutSpec, WatchSpec
from mlops_assets_tests.rollout.small_world import Killed, SmallWorld
from mlops_assets_tests.serving.running import toy_spec

START = datetime(2026, 8, 3, 12, 0, tzinfo=UTC)
STEP = timedelta(seconds=10)


def small_world(error_ratio: float = 0.0, **changes: Any) -> SmallWorld:
    settings: dict[str, Any] = {
        "strategy": "canary",
        "steps": [20, 49 if changes.get("baseline") else 60],
        "interval": STEP,
        "minimum_samples": 100,
        "warm_up_requests": 0,
        "bake_time": timedelta(0),
        "maximum_duration": timedelta(hours=2),
        "criteria": [CriterionSpec(metric="error_ratio", margin=0.05)],
        "watch": WatchSpec(duration=2 * STEP),
        "warm_standby": 3 * STEP,
    }
    rollout = RolloutSpec.model_validate(settings | changes)
    world = SmallWorld(toy_spec().model_copy(update={"rollout": rollout}))
    world.error_ratio["v2"] = error_ratio
    world.serve(1)
    return world


def seams(world: SmallWorld) -> World:
    return World(world, world, world, world, world)


def play_on(world: SmallWorld, now: datetime, *, seconds: int = 7_200) -> RolloutState:
    """Ticks every ten seconds, each in a process of its own, until nothing is left to do."""
    end, state = now + timedelta(seconds=seconds), None
    while now < end:
        tick_or_die(world, now)
        now += STEP
        state = read_state(seams(world), "toy")
        assert state is not None
        if state.is_ended and state.standby_released:
            return tick_twice_more(world, now)
    raise AssertionError(f"it does not end: {state}")


def tick_or_die(world: SmallWorld, now: datetime) -> None:
    try:
        tick(seams(world), world.spec, now)
    except Killed:
        world.kill_at = None  # that process is gone; the next one lives


def tick_twice_more(world: SmallWorld, now: datetime) -> RolloutState:
    """What a kill in the last tick left undone is done, and then nothing changes."""
    for n in range(2):
        tick_or_die(world, now + n * STEP)
    world.kill_at = None
    before = (world.documents, world.manifest, world.split, dict(world.aliases_now))
    ticked = tick(seams(world), world.spec, now + 3 * STEP)
    assert before == (world.documents, world.manifest, world.split, world.aliases_now)
    assert ticked is not None
    return ticked.state


def count_effects(error_ratio: float) -> int:
    world = small_world(error_ratio)
    begin(seams(world), world.spec, 2, START)
    play_on(world, START)
    return world.n_effects


@pytest.mark.parametrize(
    ("error_ratio", "winner"),
    [pytest.param(0.0, 2, id="promoted"), pytest.param(0.5, 1, id="rolled_back")],
)
def test_killed_anywhere_it_ends_as_if_it_had_not_been(error_ratio: float, winner: int) -> None:
    n_effects = count_effects(error_ratio)
    assert n_effects > 15
    for kill_at in range(n_effects):
        world = small_world(error_ratio)
        begin(seams(world), world.spec, 2, START)
        world.n_effects, world.kill_at = 0, kill_at
        state = play_on(world, START)
        assert state.phase == ("succeeded" if winner == 2 else "rolled_back"), kill_at
        assert world.aliases_now["champion"] == winner
        told = world.declaration("toy")
        assert told is not None
        assert told.revisions == (f"v{winner}",)
        assert {name: n for name, n in told.percent.items() if n} == {f"v{winner}": 100}
        shares = [split.get("v2", 0) for split in world.splits_seen]
        assert set(shares) <= {0, 20, 60, 100}
        if winner == 1:
            assert 60 not in shares
        assert {"rollout_started"} <= {each.kind for each in world.told.values()}


def test_a_state_is_written_before_anything_is_done() -> None:
    world = small_world()
    begin(seams(world), world.spec, 2, START)
    tick(seams(world), world.spec, START)
    world.n_effects, world.kill_at = 0, 1  # right after the write
    with pytest.raises(Killed):
        tick(seams(world), world.spec, START + STEP)
    state = read_state(seams(world), "toy")
    assert state is not None
    assert (state.phase, state.traffic.challenger) == ("step", 20)
    assert world.splits_seen == []


def test_of_two_ticks_at_once_one_gives_up_and_does_nothing() -> None:
    world = small_world()
    begin(seams(world), world.spec, 2, START)
    tick(seams(world), world.spec, START)
    other = small_world()

    class Late(SmallWorld):
        def read(self, service: str) -> tuple[str | None, str]:
            found = world.read(service)
            tick(seams(world), world.spec, START + STEP)  # another process is faster
            return found

        def write(self, service: str, content: str, expected: str) -> str:
            return world.write(service, content, expected)

    late = Late(other.spec, manifest=world.manifest, aliases_now=dict(world.aliases_now))
    with pytest.raises(StateConflictError):
        tick(seams(late), world.spec, START + STEP)
    assert late.splits_seen == []


@dataclass
class Slow(SmallWorld):
    """A process that stands still for a while between its decision and what it does then.

    Attributes:
        meanwhile: What others do in that time.
    """

    meanwhile: list[Callable[[], None]] = field(default_factory=list)

    def version(self, name: str, number: int) -> RegisteredVersion:
        while self.meanwhile:
            self.meanwhile.pop()()
        return super().version(name, number)


def test_a_process_that_was_overtaken_does_nothing_more() -> None:
    """Its first step was decided; until MLflow is loaded, a newer version takes the place."""
    made = small_world()
    world = Slow(made.spec, manifest=made.manifest, aliases_now=made.aliases_now)
    begin(seams(world), world.spec, 2, START)
    tick(seams(world), world.spec, START)

    def supersede() -> None:
        for n in range(3):
            tick(seams(world), world.spec, START + (2 + n) * STEP, newest_version=3)
        begin(seams(world), world.spec, 3, START + 5 * STEP)
        tick(seams(world), world.spec, START + 5 * STEP)

    world.meanwhile = [supersede]
    tick(seams(world), world.spec, START + STEP)
    told = world.declaration("toy")
    assert told is not None
    assert told.revisions == ("v1", "v3")
    assert world.traffic("toy") == {"v1": 100}


def test_a_word_that_comes_between_keeps_nothing_from_being_done() -> None:
    made = small_world()
    world = Slow(made.spec, manifest=made.manifest, aliases_now=made.aliases_now)
    begin(seams(world), world.spec, 2, START)
    tick(seams(world), world.spec, START)
    world.meanwhile = [lambda: command("pause", world)]  # type: ignore[list-item]
    tick(seams(world), world.spec, START + STEP)
    assert world.traffic("toy") == {"v1": 80, "v2": 20}


def test_a_tick_that_may_not_act_changes_nothing_and_says_what_is_to_do() -> None:
    world = small_world()
    begin(seams(world), world.spec, 2, START)
    before = dict(world.documents)
    found = tick(seams(world), world.spec, START, may_act=False)
    assert found is not None
    assert (found.decision.action, found.was_carried_out) == ("start", False)
    assert world.documents == before
    assert world.declaration("toy").revisions == ("v1",)  # type: ignore[union-attr]


class Unreachable(SmallWorld):
    """A world whose serving backend does not answer."""

    def declaration(self, service: str) -> Declaration | None:
        raise ServingError(f"{service}: the API server does not answer")


@pytest.mark.parametrize("n_ticks", [1, 3, 40], ids=["pending", "step", "over"])
def test_a_backend_that_does_not_answer_is_no_revision_that_is_gone(n_ticks: int) -> None:
    """A run that declared it again would fail, and the next one, at each tick."""
    world = small_world()
    begin(seams(world), world.spec, 2, START)
    for n in range(n_ticks):
        tick(seams(world), world.spec, START + n * STEP)
    gone = Unreachable(world.spec, documents=world.documents, aliases_now=world.aliases_now)
    found = tick(seams(gone), world.spec, START + n_ticks * STEP, may_act=False)
    assert found is not None
    assert found.state.standby_released == (n_ticks == 40)
    assert found.evidence.challenger.phase == "starting"
    assert not found.decision.needs_run


class Stuck(SmallWorld):
    """A world whose router has another split than it was told, and cannot be helped."""

    def traffic(self, service: str) -> Mapping[str, int]:
        return {} if self.declaration(service) is None else {"v1": 90, "v2": 10}

    def converge(self, service: str) -> None:
        raise ServingError(f"{service}: somebody else owns the route")


@pytest.mark.parametrize("may_act", [True, False])
def test_a_router_that_does_not_converge_holds_up_no_decision(may_act: bool) -> None:
    made = small_world()
    begin(seams(made), made.spec, 2, START)
    for n in range(3):
        tick(seams(made), made.spec, START + n * STEP)
    command("abort", made)
    stuck = Stuck(made.spec, documents=made.documents, manifest=made.manifest, split=made.split)
    if may_act:
        with pytest.raises(ServingError, match="somebody else owns the route"):
            tick(seams(stuck), stuck.spec, START + 3 * STEP)
        state = read_state(seams(stuck), "toy")
        assert state is not None
        assert state.phase == "rolling_back"
        assert stuck.split is not None
        assert stuck.split.percent == {"v1": 100}
    else:
        found = tick(seams(stuck), stuck.spec, START + 3 * STEP, may_act=False)
        assert found is not None
        assert found.decision.needs_run


@dataclass
class Behind(Stuck):
    """A world whose router is behind what it was told, perhaps with a step that is to be taken."""

    is_due: bool = True
    n_steps: int = 0

    def has_next_step(self, service: str) -> bool:  # noqa: ARG002
        return self.is_due

    def converge(self, service: str) -> None:  # noqa: ARG002
        self.n_steps += 1


@pytest.mark.parametrize("is_due", [True, False])
def test_a_step_towards_the_declared_split_is_left_to_who_may_act(is_due: bool) -> None:
    made = small_world()
    begin(seams(made), made.spec, 2, START)
    for n in range(3):
        tick(seams(made), made.spec, START + n * STEP)
    behind = Behind(made.spec, documents=made.documents, manifest=made.manifest, split=made.split)
    behind.aliases_now, behind.is_due = made.aliases_now, is_due
    before, now = dict(behind.documents), START + 3 * STEP
    looked = tick(seams(behind), behind.spec, now, may_act=False)
    assert looked is not None
    assert (looked.decision.needs_run, looked.was_carried_out) == (False, not is_due)
    assert (behind.n_steps, behind.documents == before) == (0, is_due)
    acted = tick(seams(behind), behind.spec, now)
    assert acted is not None
    assert (behind.n_steps, acted.was_carried_out) == (1, True)


@dataclass
class Counting(SmallWorld):
    """A world that counts how often its metrics were asked for."""

    n_measured: int = 0

    def measure(self, question: Question) -> Measured:
        self.n_measured += 1
        return super().measure(question)


def test_evidence_is_read_once_an_interval_and_for_what_people_say() -> None:
    """A tick comes each 3 s, and reading a busy log takes longer than all else of it."""
    made = small_world(steps=[20], minimum_samples=100_000)
    world = Counting(made.spec, manifest=made.manifest, aliases_now=made.aliases_now)
    begin(seams(world), world.spec, 2, START)
    for n in range(4):
        tick(seams(world), world.spec, START + n * STEP)
    state = read_state(seams(world), "toy")
    assert state is not None
    assert state.evaluated_at == START + 3 * STEP
    world.n_measured = 0
    second = timedelta(seconds=1)
    for n in range(1, 21):
        tick(seams(world), world.spec, START + 3 * STEP + n * second)
    assert world.n_measured == 2
    command("promote", world)
    found = tick(seams(world), world.spec, START + 5 * STEP + second)
    assert found is not None
    assert (found.state.phase, list(found.state.bounds)) == ("promoting", ["error_ratio"])


def test_aliases_that_somebody_moved_follow_the_traffic_again() -> None:
    world = small_world()
    begin(seams(world), world.spec, 2, START)
    for n in range(3):
        tick(seams(world), world.spec, START + n * STEP)
    world.aliases_now["champion"] = 2
    tick(seams(world), world.spec, START + 3 * STEP)
    assert world.aliases_now["champion"] == 1


def test_a_newer_version_takes_the_place_of_the_one_that_is_tried() -> None:
    world = small_world()
    begin(seams(world), world.spec, 2, START)
    for n in range(3):
        tick(seams(world), world.spec, START + n * STEP)
    for n in range(3, 6):
        found = tick(seams(world), world.spec, START + n * STEP, newest_version=3)
    assert found is not None
    assert found.state.phase == "aborted"
    assert "version 3 takes the place of version 2" in found.state.reason
    begin(seams(world), world.spec, 3, START + 6 * STEP)
    tick(seams(world), world.spec, START + 6 * STEP)
    told = world.declaration("toy")
    assert told is not None
    assert told.revisions == ("v1", "v3")


def test_a_split_that_a_person_edits_is_theirs_until_they_say_more() -> None:
    world = small_world()
    begin(seams(world), world.spec, 2, START)
    for n in range(3):
        tick(seams(world), world.spec, START + n * STEP)
    world.set_traffic("toy", {"v1": 50, "v2": 50})
    found = tick(seams(world), world.spec, START + 3 * STEP)
    assert found is not None
    assert found.state.hold is not None
    assert found.state.hold.kind == "edited"
    assert world.traffic("toy") == {"v1": 50, "v2": 50}
    command("abort", world)
    for n in range(4, 8):
        found = tick(seams(world), world.spec, START + n * STEP)
    assert found is not None
    assert found.state.phase == "aborted"
    assert {k: v for k, v in world.traffic("toy").items() if v} == {"v1": 100}


def command(kind: CommandKind, world: SmallWorld) -> RolloutState:
    return give_command(world, "toy", Command(kind=kind, who="ann", at=START, why="because"))


def test_what_people_say_is_kept_with_who_when_why_and_what_came_of_it() -> None:
    world = small_world()
    begin(seams(world), world.spec, 2, START)
    for n in range(3):
        tick(seams(world), world.spec, START + n * STEP)
    command("rollback", world)
    state = play_on(world, START + 3 * STEP)
    assert state.phase == "rolled_back"
    (said,) = state.commands
    assert (said.kind, said.who, said.why) == ("rollback", "ann", "because")
    assert said.outcome
    with pytest.raises(RolloutError, match="is over"):
        command("promote", world)


def test_a_command_without_a_rollout_is_refused() -> None:
    with pytest.raises(RolloutError, match="toy has no rollout"):
        command("pause", small_world())


def test_a_settled_rollout_needs_no_tick_after_a_while() -> None:
    world = small_world(0.5)
    assert is_settled(world, "toy", START)
    begin(seams(world), world.spec, 2, START)
    assert not is_settled(world, "toy", START)
    state = play_on(world, START)
    assert state.ended_at is not None
    assert not is_settled(world, "toy", state.ended_at + timedelta(minutes=10))
    assert is_settled(world, "toy", state.ended_at + timedelta(minutes=11))


def ended(phase: str, challenger: int = 2, *, released: bool = True) -> RolloutState:
    state = RolloutState.begin(
        "toy",
        "toy",
        stable=VersionRef(version=1, revision="v1"),
        challenger=VersionRef(version=challenger, revision=f"v{challenger}"),
        now=START,
    )
    return state.model_copy(update={"phase": phase, "standby_released": released})


@pytest.mark.parametrize(
    ("version", "serving", "last", "again", "kind"),
    [
        pytest.param(1, None, None, False, "direct", id="the_first_version_serves_at_once"),
        pytest.param(1, 1, None, False, "serves", id="one_that_serves_has_nowhere_to_go"),
        pytest.param(2, 1, None, False, "begin", id="another_one_begins"),
        pytest.param(2, 1, ended("step"), False, "under_way", id="twice_is_once"),
        pytest.param(3, 1, ended("step"), False, "supersede", id="a_newer_one_takes_its_place"),
        pytest.param(1, 1, ended("step"), False, "under_way", id="the_serving_one_ends_nothing"),
        pytest.param(3, 2, ended("watching"), False, "waits", id="a_promoted_one_is_settled_first"),
        pytest.param(2, 1, ended("rolled_back"), False, "refused", id="not_tried_again"),
        pytest.param(2, 1, ended("rolled_back"), True, "begin", id="unless_somebody_asks"),
        pytest.param(2, 1, ended("aborted"), False, "refused", id="nor_one_that_was_stopped"),
        pytest.param(2, 1, ended("failed"), False, "begin", id="one_that_could_not_run_is"),
        pytest.param(
            2, 1, ended("failed", released=False), False, "under_way", id="once_it_was_let_go"
        ),
        pytest.param(3, 1, ended("rolled_back"), False, "begin", id="another_after_a_rollback"),
    ],
)
def test_what_a_registered_version_leads_to(
    version: int, serving: int | None, last: RolloutState | None, again: bool, kind: str
) -> None:
    assert decide_beginning(version, serving, last, again=again).kind == kind


@pytest.mark.parametrize(
    ("phase", "aliases", "waiting"),
    [
        pytest.param("succeeded", {"champion": 2, "challenger": 3}, 3, id="a_newer_one"),
        pytest.param("rolled_back", {"champion": 1, "challenger": 2}, None, id="the_one_that_lost"),
        pytest.param("watching", {"champion": 2, "challenger": 3}, None, id="not_over_yet"),
        pytest.param("succeeded", {"champion": 2}, None, id="none"),
        pytest.param("succeeded", None, None, id="unknown"),
    ],
)
def test_a_version_that_waited_for_the_end_is_seen(
    phase: str, aliases: dict[str, int] | None, waiting: int | None
) -> None:
    assert waiting_version(ended(phase), aliases) == waiting


def test_what_was_never_compared_is_held_against_what_the_former_version_kept_before() -> None:
    changes: dict[str, Any] = {"strategy": "blue_green", "steps": None, "watch": WatchSpec()}
    world = small_world(0.5, **changes, warm_standby=None)
    begin(seams(world), world.spec, 2, START)
    now = START
    while (state := read_state(seams(world), "toy")) is not None and not state.is_ended:
        tick_or_die(world, now)
        now += STEP
        assert now < START + timedelta(hours=1)
    assert state is not None
    assert state.bounds["error_ratio"] == pytest.approx(0.05, abs=0.01)
    assert state.phase == "rolled_back", state.reason
    assert "what the former version kept" in state.reason
    assert world.traffic("toy")["v1"] == 100
    assert world.aliases_now["champion"] == 1


def test_a_baseline_runs_until_the_promotion() -> None:
    world = small_world(baseline=True)
    begin(seams(world), world.spec, 2, START)
    tick(seams(world), world.spec, START)
    told = world.declaration("toy")
    assert told is not None
    assert told.revisions == ("v1", "v2", "v1-baseline")
    state = play_on(world, START)
    assert state.phase == "succeeded", state.reason
    told = world.declaration("toy")
    assert told is not None
    assert told.revisions == ("v2",)
    assert any("v1-baseline" in split for split in world.splits_seen)

"""What holds on every path that a rollout may take, whatever happens around it."""

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.rollout.decision import decide
from mlops_assets.rollout.evidence import Traffic
from mlops_assets.rollout.phases import ENDED
from mlops_assets.rollout.state import RolloutState
from mlops_assets_tests.rollout.scenes import (
    ABSENT,
    FAILED,
    READY,
    SILENT,
    STARTING,
    Scene,
    arm,
    harmful,
    healthy,
    policy_of,
    undecided,
)

UNMEASURED = {"stable": arm(5000), "challenger": arm(1000).model_copy(update={"measures": {}})}
FEW = healthy(n=20)

EVENTS: dict[str, dict[str, Any]] = {
    "healthy": {"arms": healthy()},
    "harmful": {"arms": harmful()},
    "undecided": {"arms": undecided()},
    "silent": {"arms": SILENT},
    "unmeasured": {"arms": UNMEASURED},
    "few": {"arms": FEW},
    "source gone": {"source_error": "refused"},
    "source back": {"source_error": None},
    "challenger fails": {"challenger": FAILED},
    "challenger starts": {"challenger": STARTING},
    "challenger is gone": {"challenger": ABSENT},
    "challenger is ready": {"challenger": READY},
    "stable fails": {"stable": FAILED},
    "stable is ready": {"stable": READY},
    "edit": {"declared": Traffic(stable=60, challenger=40)},
    "router gone": {"declared": None},
    "registry gone": {"aliases": None},
    "registry back": {"aliases": {"champion": 1}},
    "newer version": {"newest_version": 3},
    "probe fails": {"probe": False},
    "killed before it acts": {"obeys": False},
    "acts again": {"obeys": True},
}
WORDS = ("pause", "resume", "approve", "promote", "rollback", "abort")

POLICIES = [
    {"strategy": strategy, "minimum_samples": 100, **more}
    for strategy in ("rolling", "canary", "blue_green", "ab_test", "shadow")
    for more in (
        {},
        {"approval": {"when": "each_step", "answer_within": "10m"}, "failure_limit": 2},
        {"inconclusive": "ask", "approval": {"answer_within": "10m"}, "bake_time": "0s"},
        {"watch": {"duration": "0s"}, "maximum_duration": "2m"},
    )
]

policies = st.sampled_from(POLICIES).map(lambda fields: policy_of(**fields))
CALM = ("healthy",) * 12  # so that many a path gets far
TICKS = st.lists(st.sampled_from([1, 10, 60]), min_size=1, max_size=4)


def paths(*extra: str) -> st.SearchStrategy[list[tuple[str, int]]]:
    """What happens, and the seconds until each of the ticks after it."""
    some = st.tuples(st.sampled_from([*sorted(EVENTS), *CALM, *extra]), TICKS)
    return st.lists(some, min_size=1, max_size=12).map(
        lambda found: [
            (event if first else "", seconds)
            for event, ticks in found
            for first, seconds in zip([True] + [False] * 4, ticks, strict=False)
        ]
    )


events, spoken = paths(), paths(*WORDS)


def happen(scene: Scene, event: str) -> None:
    """Something happens around the rollout."""
    if event in WORDS:
        scene.say(event)  # type: ignore[arg-type]
        return
    for name, value in EVENTS.get(event, {}).items():
        setattr(scene, name, dict(value) if name == "aliases" and value else value)


@settings(max_examples=60)
@given(policy=policies, path=events)
def test_no_path_promotes_without_evidence(policy: Any, path: list[tuple[str, int]]) -> None:
    """Without a person's word, every stage that was passed was passed by a healthy verdict on
    enough requests, or by a probe where nothing is split."""
    scene = Scene(policy=policy, probe=True)
    for event, seconds in path:
        happen(scene, event)
        before = scene.state
        decision = scene.tick(seconds)
        has_more = decision.state.traffic.challenger > before.traffic.challenger
        if decision.state.phase == before.phase == "pending" or not has_more:
            continue
        look = decision.state.history[-1]
        if before.phase == "pending":
            assert scene.challenger == READY
            assert not policy.verify or scene.probe is True
            continue
        assert before.phase in ("shadow", "step", "baking")
        assert look.verdict == "healthy"
        assert look.n_challenger >= policy.minimum_samples
        assert scene.source_error is None


@settings(max_examples=60)
@given(policy=policies, path=spoken)
def test_the_split_moves_only_along_the_policy(policy: Any, path: list[tuple[str, int]]) -> None:
    """One step up, or back to the stable version, or all at once by promotion; nothing else."""
    scene = Scene(policy=policy)
    ladder = [0, *(policy.traffic_at(step).challenger for step in range(len(policy.steps))), 100]
    for event, seconds in path:
        happen(scene, event)
        before = scene.state.traffic
        after = scene.tick(seconds).state.traffic
        assert after.stable + after.challenger + after.baseline == 100
        assert after.challenger in ladder
        if after.challenger > before.challenger and event != "promote":
            step_up = ladder[ladder.index(before.challenger) + 1]
            promoted = scene.state.phase == "promoting"
            assert after.challenger == step_up or (promoted and "promote" in str(path))
        if after.challenger < before.challenger:
            assert after == Traffic(stable=100)


@settings(max_examples=60)
@given(policy=policies, path=spoken)
def test_deciding_twice_changes_nothing(policy: Any, path: list[tuple[str, int]]) -> None:
    scene = Scene(policy=policy)
    for event, seconds in path:
        happen(scene, event)
        scene.now += timedelta(seconds=seconds)
        evidence = scene.evidence()
        first = decide(scene.state, evidence, policy, scene.now)
        second = decide(first.state, evidence, policy, scene.now)
        assert second.state == first.state
        assert second.traffic == first.traffic
        assert second.aliases == first.aliases
        assert second.running == first.running
        scene.state = first.state
        if scene.obeys and first.needs_run:
            scene.obey(first)


@settings(max_examples=25)
@given(policy=policies, path=spoken, word=st.sampled_from(["rollback", "abort"]))
def test_every_unfinished_state_can_be_rolled_back(
    policy: Any, path: list[tuple[str, int]], word: str
) -> None:
    scene = Scene(policy=policy)
    for event, seconds in path:
        happen(scene, event)
        scene.tick(seconds)
    if scene.state.is_ended:
        return
    scene.say(word)  # type: ignore[arg-type]
    assert scene.tick(1).traffic == Traffic(stable=100)
    scene.obeys, scene.aliases = True, {"champion": 2}
    for _ in range(3):
        scene.tick(1)
    assert scene.state.phase in ("rolled_back", "aborted", "failed")
    assert scene.declared == Traffic(stable=100)
    assert scene.aliases["champion"] == 1


@settings(max_examples=25)
@given(policy=policies, path=spoken)
def test_every_state_has_a_way_out_that_needs_nobody(
    policy: Any, path: list[tuple[str, int]]
) -> None:
    """Once the world answers again, only a person's own pause lasts."""
    scene = Scene(policy=policy)
    for event, seconds in path:
        happen(scene, event)
        scene.tick(seconds)
    if scene.state.hold is not None and scene.state.hold.kind == "paused":
        scene.say("resume")
    scene.arms, scene.source_error, scene.obeys, scene.newest_version = SILENT, None, True, 2
    scene.challenger = scene.stable = READY
    scene.aliases = {} if scene.aliases is None else scene.aliases
    if scene.declared is None:
        scene.declared = scene.state.traffic
    for _ in range(20):
        if scene.state.is_ended:
            break
        scene.tick(1)
        scene.tick(2 * 86_400)
    assert scene.state.phase in ENDED, (scene.state.phase, scene.state.hold, scene.state.reason)


@settings(max_examples=25)
@given(policy=policies, path=spoken)
def test_every_state_survives_being_stored(policy: Any, path: list[tuple[str, int]]) -> None:
    scene = Scene(policy=policy)
    for event, seconds in path:
        happen(scene, event)
        scene.tick(seconds)
        text = scene.state.to_storage()
        assert RolloutState.from_storage(text).to_storage() == text
        assert all(command.outcome for command in scene.state.commands)


@settings(max_examples=25)
@given(policy=policies, path=spoken)
def test_every_decision_has_a_reason_and_harm_never_gains_traffic(
    policy: Any, path: list[tuple[str, int]]
) -> None:
    scene = Scene(policy=policy)
    for event, seconds in path:
        happen(scene, event)
        before = scene.state.traffic.challenger
        decision = scene.tick(seconds)
        assert decision.reason
        if decision.evaluated and decision.state.history[-1].verdict == "harmful":
            assert decision.state.traffic.challenger <= before

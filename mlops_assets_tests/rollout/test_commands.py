"""What people say to a rollout in each phase, and what comes of it."""

from typing import Any

import pytest

from mlops_assets.rollout.evidence import Traffic
from mlops_assets.rollout.state import CommandKind
from mlops_assets_tests.rollout.scenes import (
    ABSENT,
    SILENT,
    STARTING,
    Scene,
    harmful,
    healthy,
    policy_of,
)

ASKS_FIRST = {"approval": {"when": "before_promotion"}}


def scene_in(phase: str) -> Scene:
    """A healthy rollout that has come to a phase, and stays there for the moment."""
    fields: dict[str, Any] = {"strategy": "shadow"} if phase == "shadow" else {}
    scene = Scene(policy=policy_of(**fields, **ASKS_FIRST))
    if phase == "pending":
        scene.challenger = STARTING
        scene.tick()
        return scene
    if phase == "rolling_back":
        scene.arms = harmful()
    for _ in range(100):
        if scene.state.phase == "awaiting_approval" != phase:
            scene.say("approve")
        scene.tick()
        if scene.state.phase == phase:
            return scene
        if phase in ("rolled_back",) and scene.state.phase == "step":
            scene.say("rollback")
    raise AssertionError(f"{phase} was not reached: {scene.state.phase}")


def outcome(scene: Scene, kind: CommandKind, why: str = "") -> str:
    """What is answered to a command."""
    scene.say(kind, why)
    scene.tick(1)
    return scene.state.commands[-1].outcome


@pytest.mark.parametrize(
    ("phase", "kind", "answer", "then"),
    [
        ("pending", "pause", "paused", "pending"),
        ("pending", "promote", "refused: revision v2 is starting", "pending"),
        ("pending", "approve", "refused: nothing waits for approval", "pending"),
        ("pending", "abort", "goes back", "rolling_back"),
        ("shadow", "promote", "promoted", "promoting"),
        ("shadow", "rollback", "goes back", "rolling_back"),
        ("step", "pause", "paused", "step"),
        ("step", "resume", "refused: nothing is on hold", "step"),
        ("step", "promote", "promoted", "promoting"),
        ("step", "rollback", "goes back", "rolling_back"),
        ("step", "abort", "goes back", "rolling_back"),
        ("baking", "approve", "refused: nothing waits for approval in phase baking", "baking"),
        ("baking", "promote", "promoted", "promoting"),
        ("awaiting_approval", "approve", "approved", "promoting"),
        ("awaiting_approval", "promote", "promoted", "promoting"),
        ("awaiting_approval", "abort", "goes back", "rolling_back"),
        ("promoting", "pause", "refused: promoting cannot be paused", "watching"),
        ("promoting", "rollback", "goes back", "rolling_back"),
        ("watching", "promote", "refused: nothing to promote in phase watching", "watching"),
        ("watching", "rollback", "goes back", "rolling_back"),
        ("watching", "abort", "goes back", "rolling_back"),
        ("succeeded", "rollback", "goes back", "rolling_back"),
        ("succeeded", "pause", "refused: succeeded cannot be paused", "succeeded"),
        ("rolling_back", "rollback", "it is rolling back already", "rolled_back"),
        ("rolling_back", "promote", "refused: nothing to promote", "rolled_back"),
        ("rolled_back", "rollback", "refused: it has ended (rolled_back)", "rolled_back"),
        ("rolled_back", "promote", "refused: nothing to promote", "rolled_back"),
    ],
)
def test_what_is_answered(phase: str, kind: CommandKind, answer: str, then: str) -> None:
    scene = scene_in(phase)
    assert answer in outcome(scene, kind)
    assert scene.state.phase == then


def test_who_when_and_why_are_kept() -> None:
    scene = scene_in("step")
    said_at = scene.now
    scene.say("rollback", "customers complain")
    decision = scene.tick(1)
    assert decision.action == "roll_back"
    assert decision.reason == "rollback by ann: customers complain"
    command = scene.state.commands[-1]
    assert (command.who, command.at, command.why) == ("ann", said_at, "customers complain")
    assert scene.state.history[-1].reason == decision.reason


@pytest.mark.parametrize(("kind", "ending"), [("rollback", "rolled_back"), ("abort", "aborted")])
def test_rollback_and_abort_end_under_their_own_name(kind: CommandKind, ending: str) -> None:
    scene = scene_in("step")
    scene.say(kind)
    scene.until(ending)
    assert scene.declared == Traffic(stable=100)


def test_success_is_undone_while_the_former_version_is_warm() -> None:
    scene = scene_in("succeeded")
    scene.say("rollback", "a regression was found")
    scene.until("rolled_back")
    assert scene.aliases is not None
    assert scene.aliases["champion"] == 1
    assert scene.tick(1).action == "release"
    assert scene.stable != ABSENT


def test_success_is_final_once_the_former_version_is_gone() -> None:
    scene = scene_in("succeeded")
    scene.tick(600)
    assert scene.state.standby_released
    assert "version 1 no longer runs" in outcome(scene, "rollback")
    assert scene.state.phase == "succeeded"


def test_a_pause_lasts_until_somebody_resumes() -> None:
    scene = scene_in("step")
    assert outcome(scene, "pause", "lunch") == "paused"
    for _ in range(5):
        assert scene.tick(86_400 * 3).action in ("none", "hold")
    assert scene.state.traffic.challenger == 5
    assert outcome(scene, "resume") == "goes on; it was paused"
    scene.until("baking")


def test_harm_ends_a_pause() -> None:
    scene = scene_in("step")
    outcome(scene, "pause")
    scene.arms = harmful()
    assert scene.tick(60).action == "roll_back"


def test_time_in_a_pause_is_not_counted() -> None:
    scene = Scene(policy=policy_of(maximum_duration="5m"), arms=SILENT)
    scene.tick()
    outcome(scene, "pause")
    scene.tick(86_400)
    outcome(scene, "resume")
    assert scene.tick().action != "roll_back"


def test_several_words_are_read_in_their_order() -> None:
    scene = scene_in("step")
    scene.say("pause")
    scene.say("resume")
    scene.say("pause")
    scene.tick(1)
    assert [command.outcome for command in scene.state.commands[-3:]] == [
        "paused",
        "goes on; it was paused",
        "paused",
    ]
    assert scene.state.hold is not None


def test_an_approval_in_a_freeze_is_refused() -> None:
    freeze = {"reason": "holidays", "start": "12:03"}
    scene = Scene(policy=policy_of(**ASKS_FIRST, freeze=[freeze]))
    scene.until("awaiting_approval")
    scene.tick(180)
    assert "refused: frozen, holidays" in outcome(scene, "approve")
    assert scene.state.phase == "awaiting_approval"


def test_going_on_without_proof_waits_for_the_end_of_a_freeze() -> None:
    freeze = {"reason": "holidays", "start": "12:05"}
    policy = policy_of(inconclusive="ask", maximum_duration="2m", freeze=[freeze])
    scene = Scene(policy=policy, arms=SILENT)
    while scene.tick().action != "ask":
        pass
    scene.tick(300)
    assert "refused: frozen, holidays" in outcome(scene, "approve")
    assert scene.state.phase == "step"


def test_promotion_by_hand_is_a_persons_word_also_in_a_freeze() -> None:
    freeze = {"reason": "holidays", "start": "12:01"}
    scene = Scene(policy=policy_of(freeze=[freeze]), arms=SILENT)
    scene.tick()
    scene.tick(120)
    assert outcome(scene, "promote", "hotfix") == "promoted"


@pytest.mark.parametrize(("kind", "action"), [("approve", "advance"), ("resume", "hold")])
def test_the_answer_to_a_rollout_that_proved_nothing(kind: CommandKind, action: str) -> None:
    policy = policy_of(inconclusive="ask", maximum_duration="2m", steps=[5, 50])
    scene = Scene(policy=policy, arms=SILENT)
    while scene.tick().action != "ask":
        pass
    scene.say(kind)
    assert scene.tick().action == action
    assert scene.state.hold is None
    assert scene.state.active_seconds < 60
    assert scene.state.traffic.challenger == (50 if kind == "approve" else 5)


def test_the_bounds_of_the_watch_are_known_after_promotion_by_hand() -> None:
    scene = Scene(arms=healthy())
    scene.tick()
    scene.tick(1)
    scene.say("promote")
    scene.tick(1)
    assert scene.state.bounds["error_ratio"] > 0.05

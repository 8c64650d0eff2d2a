"""What is decided, scene by scene: who is protected first, and what ends how."""

from datetime import timedelta
from typing import Any

import pytest

from mlops_assets.rollout.evidence import Arm, ArmEvidence, Traffic
from mlops_assets.rollout.measures import Counts, Moments
from mlops_assets.rollout.state import RolloutState
from mlops_assets_tests.rollout.scenes import (
    ABSENT,
    FAILED,
    READY,
    SILENT,
    START,
    STARTING,
    Scene,
    arm,
    harmful,
    healthy,
    policy_of,
    undecided,
)

TRUTH = {"metric": "quality", "quality": "accuracy", "margin": 0.05, "relative": False}


def in_step(**fields: Any) -> Scene:
    """A rollout whose first step is in force and has seen nothing yet."""
    scene = Scene(**fields)
    scene.tick()
    scene.tick(1)
    assert (scene.state.phase, scene.state.step) == ("step", 0)
    return scene


def in_watch(**fields: Any) -> Scene:
    """A rollout that has just promoted version 2."""
    scene = Scene(**fields)
    scene.until("watching")
    return scene


@pytest.mark.parametrize(
    ("strategy", "shares"),
    [
        ("rolling", [0, 25, 50, 75, 100]),
        ("canary", [0, 5, 25, 50, 100]),
        ("blue_green", [0, 100]),
        ("shadow", [0, 10, 50, 100]),
    ],
)
def test_a_healthy_version_takes_every_step_and_wins(strategy: str, shares: list[int]) -> None:
    scene = Scene(policy=policy_of(strategy=strategy))
    scene.until("succeeded")
    assert scene.shares == shares
    assert scene.aliases == {"champion": 2, "previous": 1}
    assert [d.action for d in scene.decisions].count("promote") == 1


def test_an_even_ab_test_wins_when_it_is_not_worse() -> None:
    arms: dict[Arm, ArmEvidence] = {"stable": arm(2000), "challenger": arm(2000)}
    scene = Scene(policy=policy_of(strategy="ab_test"), arms=arms)
    scene.until("succeeded")
    assert scene.shares == [0, 50, 100]


def test_a_challenger_is_started_before_anything_else() -> None:
    scene = Scene(challenger=ABSENT)
    decision = scene.tick()
    assert (decision.action, decision.traffic) == ("start", Traffic(stable=100))
    assert decision.running == ("stable", "challenger")
    scene.challenger = STARTING
    assert scene.tick().action == "hold"


@pytest.mark.parametrize("strategy", ["rolling", "canary", "blue_green", "ab_test", "shadow"])
def test_harm_rolls_back_in_the_first_interval_of_evidence(strategy: str) -> None:
    scene = Scene(policy=policy_of(strategy=strategy), arms=harmful())
    scene.until("rolling_back")
    decision = scene.decisions[-1]
    assert decision.action == "roll_back"
    assert decision.traffic == Traffic(stable=100)
    assert "harm is proven" in decision.reason
    assert "error_ratio: 0.5" in decision.reason
    looks = [found for found in scene.decisions if found.evaluated]
    assert len(looks) == 1
    scene.until("rolled_back")
    assert scene.aliases is not None
    assert scene.aliases["champion"] == 1


def test_the_losing_version_is_let_go_after_a_rollback() -> None:
    scene = Scene(arms=harmful())
    scene.until("rolled_back")
    decision = scene.tick()
    assert (decision.action, decision.running) == ("release", ("stable",))
    assert scene.tick().action == "none"


@pytest.mark.parametrize(
    ("limit", "looks"), [(1, 1), (2, 2), (3, 3)], ids=["first", "second", "third"]
)
def test_the_failure_limit_is_the_number_of_the_look_that_rolls_back(
    limit: int, looks: int
) -> None:
    scene = Scene(policy=policy_of(failure_limit=limit), arms=harmful())
    scene.until("rolling_back")
    assert sum(decision.evaluated for decision in scene.decisions) == looks


def test_a_healthy_look_between_harmful_ones_starts_the_count_anew() -> None:
    scene = in_step(policy=policy_of(failure_limit=2, minimum_samples=5000), arms=harmful())
    scene.tick()
    scene.arms = healthy()
    scene.tick()
    scene.arms = harmful()
    assert scene.tick().action == "hold"
    assert scene.tick().action == "roll_back"


@pytest.mark.parametrize(
    ("n", "action"), [(399, "hold"), (400, "advance")], ids=["one_too_few", "enough"]
)
def test_a_step_needs_its_minimum_of_samples(n: int, action: str) -> None:
    scene = in_step(policy=policy_of(minimum_samples=400, steps=[5, 25]))
    scene.arms = {"stable": arm(20_000), "challenger": arm(n)}
    assert scene.tick().action == action


def test_samples_without_a_verdict_do_not_advance() -> None:
    scene = in_step(arms=undecided())
    decision = scene.tick()
    assert decision.action == "hold"
    assert "undecided" in decision.reason


@pytest.mark.parametrize(
    ("inconclusive", "action", "phase"),
    [("roll_back", "roll_back", "rolling_back"), ("ask", "ask", "step")],
)
def test_no_traffic_holds_and_then_follows_the_policy(
    inconclusive: str, action: str, phase: str
) -> None:
    policy = policy_of(inconclusive=inconclusive, maximum_duration="2m")
    scene = in_step(policy=policy, arms=SILENT)
    before = scene.now
    while (decision := scene.tick()).action in ("none", "hold"):
        assert scene.now < before + timedelta(minutes=3)
    assert (decision.action, scene.state.phase) == (action, phase)
    assert scene.now - START >= timedelta(minutes=2)
    assert "nothing is proven in 0:02:00" in decision.reason
    assert scene.state.history[-1].verdict == "undecided"


def test_a_verdict_outranks_the_deadline() -> None:
    scene = in_step(policy=policy_of(maximum_duration="1m"), arms=SILENT)
    scene.tick(20)
    scene.arms = healthy()
    assert scene.tick(3600).action == "advance"


def test_a_source_that_does_not_answer_is_never_success() -> None:
    policy = policy_of(maximum_duration="5m")
    scene = in_step(policy=policy, source_error="connection refused")
    for ticks in range(1, 10):
        assert scene.tick().action == "hold"
        assert scene.state.n_source_errors == ticks
        assert scene.state.history[-1].verdict == "unknown"
    assert "connection refused" in scene.state.reason
    scene.until("rolled_back")
    assert max(scene.shares) == 5


def test_a_source_that_comes_back_goes_on() -> None:
    scene = in_step(source_error="connection refused")
    scene.tick()
    scene.source_error = None
    assert scene.tick().action == "advance"
    assert scene.state.n_source_errors == 0


def test_a_required_criterion_that_was_not_measured_is_unknown() -> None:
    scene = in_step()
    decision = scene.tick(missing={"error_ratio": "no such column"})
    assert decision.action == "hold"
    assert scene.state.history[-1].verdict == "unknown"
    assert "no such column" in decision.reason


def test_evidence_of_another_step_judges_nothing() -> None:
    scene = in_step(arms=harmful())
    decision = scene.tick(since=START - timedelta(hours=1))
    assert (decision.action, decision.evaluated) == ("hold", False)


def test_nothing_is_looked_at_before_the_interval_is_over() -> None:
    scene = in_step(arms=harmful())
    before = scene.state
    decision = scene.tick(9)
    assert (decision.action, decision.state) == ("none", before)
    assert scene.tick(1).action == "roll_back"


def test_evidence_begins_when_the_split_is_in_force() -> None:
    scene = Scene(obeys=False)
    scene.tick()
    assert scene.tick(30).action == "set_traffic"
    scene.declared = scene.state.traffic
    scene.tick(30)
    assert scene.state.evidence_from == scene.now
    assert scene.tick(9).action == "none"
    assert scene.tick(1).action == "advance"


def test_a_change_that_was_cut_off_is_asked_for_again() -> None:
    scene = Scene(obeys=False)
    first = scene.tick()
    again = scene.tick()
    assert (first.action, again.action) == ("advance", "set_traffic")
    assert again.traffic == first.traffic == Traffic(stable=95, challenger=5)
    assert again.state.phase_started_at == first.state.phase_started_at


def test_a_router_that_lags_behind_is_waited_for() -> None:
    scene = in_step()
    decision = scene.tick(routed=Traffic(stable=100))
    assert decision.action == "hold"
    assert "the router still has 100 % stable" in decision.reason


def test_a_split_that_cannot_be_read_is_no_split() -> None:
    scene = in_step(arms=harmful())
    decision = scene.tick(declared=None, routed=None)
    assert (decision.action, decision.evaluated) == ("hold", False)


def test_a_challenger_that_breaks_goes_back_at_once() -> None:
    scene = in_step()
    scene.challenger = FAILED
    decision = scene.tick(1)
    assert decision.action == "roll_back"
    assert "out of memory" in decision.reason
    scene.until("failed")
    assert scene.state.ending == "failed"


def test_a_challenger_that_never_starts_fails() -> None:
    scene = Scene(challenger=FAILED)
    scene.until("failed")
    assert scene.shares == [0]


def test_a_challenger_that_hangs_follows_the_policy() -> None:
    scene = Scene(challenger=STARTING, policy=policy_of(maximum_duration="1m"))
    scene.until("rolled_back")
    assert scene.shares == [0]


def test_a_wrong_answer_to_an_example_ends_a_blue_green_before_traffic() -> None:
    scene = Scene(policy=policy_of(strategy="blue_green"), probe=False)
    decision = scene.until("failed")
    assert scene.shares == [0]
    assert "example requests were answered wrongly" in decision.reason


def test_blue_green_waits_for_its_probe() -> None:
    scene = Scene(policy=policy_of(strategy="blue_green"), probe=None)
    assert scene.tick().action == "hold"
    assert "not tried yet" in scene.state.reason
    scene.probe = True
    assert scene.tick().action == "promote"


def test_a_newer_version_takes_the_place_of_one_under_way() -> None:
    scene = in_step()
    scene.newest_version = 3
    decision = scene.tick(1)
    assert (decision.action, scene.state.ending) == ("roll_back", "aborted")
    assert "version 3 takes the place of version 2" in decision.reason
    scene.until("aborted")


@pytest.mark.parametrize("phase", ["promoting", "watching"])
def test_a_newer_version_waits_for_one_that_is_being_promoted(phase: str) -> None:
    scene = Scene()
    scene.until(phase)
    scene.newest_version = 3
    scene.until("succeeded")


def test_a_split_edited_by_hand_pauses_and_asks() -> None:
    scene = in_step()
    scene.declared = Traffic(stable=70, challenger=30)
    decision = scene.tick(1)
    assert decision.action == "ask"
    assert "70 % stable, 30 % challenger" in decision.reason
    assert decision.traffic == Traffic(stable=70, challenger=30)
    for _ in range(5):
        assert scene.tick().action in ("none", "hold")
    assert scene.declared == Traffic(stable=70, challenger=30)


def test_an_edited_split_that_is_put_back_goes_on_with_fresh_evidence() -> None:
    scene = in_step()
    scene.declared = Traffic(stable=70, challenger=30)
    scene.tick(1)
    scene.declared = scene.state.traffic
    scene.tick(1)
    assert scene.state.hold is None
    assert scene.state.evidence_from == scene.now
    assert scene.tick().action == "advance"


def test_resume_puts_the_edited_split_back() -> None:
    scene = in_step()
    scene.declared = Traffic(stable=70, challenger=30)
    scene.tick(1)
    scene.say("resume", "the incident is over")
    decision = scene.tick(1)
    assert decision.action == "set_traffic"
    assert scene.declared == Traffic(stable=95, challenger=5)
    scene.until("succeeded")


def test_resume_puts_an_edited_split_back_before_the_first_step_too() -> None:
    scene = Scene(challenger=STARTING)
    scene.tick()
    scene.declared = Traffic(stable=70, challenger=30)
    scene.tick(1)
    scene.say("resume")
    assert scene.tick(1).action == "set_traffic"
    assert scene.declared == Traffic(stable=100)


def test_harm_rolls_back_from_an_edited_split_too() -> None:
    scene = in_step(arms=harmful())
    scene.declared = Traffic(stable=70, challenger=30)
    scene.tick(1)
    scene.until("rolled_back")


def test_an_edit_does_not_stop_a_rollback() -> None:
    scene = in_step(arms=harmful())
    scene.obeys = False
    assert scene.tick().action == "roll_back"
    scene.declared = Traffic(stable=50, challenger=50)
    decision = scene.tick()
    assert (decision.action, decision.traffic) == ("roll_back", Traffic(stable=100))
    assert scene.state.hold is None


def test_a_revision_of_somebody_else_in_the_split_is_an_edit() -> None:
    scene = in_step()
    scene.declared = Traffic(stable=90, challenger=5, other=5)
    assert scene.tick(1).action == "ask"


@pytest.mark.parametrize("kind", ["edited", "question", "approval"])
def test_a_question_that_nobody_answers_goes_back(kind: str) -> None:
    approval = {
        "when": "before_promotion" if kind == "approval" else "never",
        "answer_within": "1h",
    }
    policy = policy_of(approval=approval, inconclusive="ask", maximum_duration="2m")
    scene = in_step(policy=policy, arms=SILENT if kind == "question" else healthy())
    if kind == "edited":
        scene.declared = Traffic(stable=70, challenger=30)
    while (scene.tick()).action != "ask":
        pass
    assert scene.tick(3599).state.phase != "rolling_back"
    decision = scene.tick(1)
    assert scene.state.phase == "rolling_back"
    assert "nobody answered in 1:00:00" in decision.reason


FREEZE = {"reason": "weekend", "start": "12:00", "end": "13:00"}


def test_a_freeze_holds_advances() -> None:
    scene = Scene(policy=policy_of(freeze=[FREEZE], maximum_duration="10m"))
    decision = scene.tick()
    assert decision.action == "hold"
    assert decision.reason == "frozen: weekend"
    assert scene.tick(3500).action == "hold"
    assert scene.tick(90).action == "advance"


def test_a_freeze_holds_no_rollback() -> None:
    late = FREEZE | {"start": "12:01"}
    scene = in_step(policy=policy_of(freeze=[late]), arms=SILENT)
    scene.tick(60)
    scene.arms = harmful()
    assert scene.tick().action == "roll_back"


def test_time_in_a_freeze_is_not_counted_against_the_rollout() -> None:
    late = FREEZE | {"start": "12:01"}
    scene = in_step(policy=policy_of(freeze=[late], maximum_duration="10m"), arms=SILENT)
    for _ in range(30):
        assert scene.tick(60).action == "hold"
    assert scene.state.active_seconds < 120


def test_a_freeze_before_the_first_step_is_not_counted_either() -> None:
    scene = Scene(policy=policy_of(freeze=[FREEZE], maximum_duration="10m"), arms=SILENT)
    for _ in range(59):
        assert scene.tick(60).action == "hold"
    assert scene.tick(60).action == "advance"
    assert scene.state.active_seconds <= 60
    scene.tick(10)
    assert scene.tick(10).action == "hold"


def test_approval_is_asked_for_before_promotion_and_harm_still_rolls_back() -> None:
    policy = policy_of(approval={"when": "before_promotion"})
    scene = Scene(policy=policy)
    decision = scene.until("awaiting_approval")
    assert decision.action == "ask"
    assert scene.shares == [0, 5, 25, 50]
    assert scene.tick().action == "hold"
    scene.arms = harmful()
    assert scene.tick().action == "roll_back"


def test_each_step_can_ask() -> None:
    scene = Scene(policy=policy_of(approval={"when": "each_step"}, steps=[10, 50]))
    for share in (10, 50, 100):
        scene.until("awaiting_approval")
        scene.say("approve", "looks good")
        scene.tick()
        assert scene.state.traffic.challenger == share


def test_promotion_moves_traffic_and_aliases_and_waits_for_both() -> None:
    scene = Scene(policy=policy_of(strategy="blue_green"), obeys=False)
    assert scene.tick().action == "promote"
    decision = scene.tick()
    assert (decision.action, decision.aliases) == ("promote", {"champion": 2, "previous": 1})
    scene.declared = Traffic(stable=0, challenger=100)
    assert scene.tick().action == "promote"  # the aliases are still missing
    scene.aliases = {"champion": 2, "previous": 1}
    scene.tick()
    assert scene.state.phase == "watching"
    assert scene.state.promoted_at == scene.now


def test_a_promotion_that_never_takes_effect_goes_back() -> None:
    scene = Scene(policy=policy_of(strategy="blue_green", maximum_duration="2m"))
    scene.tick()
    scene.obeys = False
    scene.declared = Traffic(stable=100)
    scene.until("rolling_back")
    assert scene.state.ending == "failed"


def test_no_registry_no_promotion() -> None:
    scene = Scene(policy=policy_of(strategy="blue_green"), aliases=None)
    scene.tick()
    for _ in range(3):
        assert scene.tick().action == "hold"
    assert "the registry does not answer" in scene.state.reason
    scene.aliases = {"champion": 2, "previous": 1}
    scene.tick()
    assert scene.state.phase == "watching"


def test_aliases_that_somebody_moved_are_repaired() -> None:
    scene = in_step(arms=SILENT)
    scene.aliases = {"champion": 2}
    decision = scene.tick()
    assert (decision.action, decision.aliases) == ("repair", {"champion": 1})
    assert scene.aliases == {"champion": 1}


def test_a_promoted_version_that_breaks_its_bounds_is_reverted() -> None:
    scene = in_watch()
    assert scene.state.bounds["error_ratio"] == pytest.approx(0.05, abs=0.01)
    scene.arms = {"challenger": arm(500, 100)}
    decision = scene.tick()
    assert decision.action == "roll_back"
    assert "what the former version kept" in decision.reason
    scene.until("rolled_back")
    assert scene.aliases is not None
    assert scene.aliases["champion"] == 1


def test_a_promoted_version_has_no_deadline_that_a_lost_look_could_meet() -> None:
    """It was promoted by hand past its time: a router that is silent once must not end it."""
    scene = in_step(policy=policy_of(maximum_duration="1m", inconclusive="ask"), arms=SILENT)
    while scene.tick().action != "ask":
        pass
    scene.say("promote")
    scene.until("watching")
    decision = scene.tick(declared=None, routed=None)
    assert (decision.action, scene.state.hold) == ("hold", None)
    assert scene.state.phase == "watching"


@pytest.mark.parametrize("kind", ["edited", "unproven", "never switched"])
def test_nothing_goes_back_to_a_version_that_cannot_answer(kind: str) -> None:
    """After promotion only harm or a person gives the traffic to the former version, and only time
    takes it away: none of them while it is not ready."""
    answer = {"when": "never", "answer_within": "5m"}
    scene = Scene(policy=policy_of(**BLUE_GREEN, approval=answer), arms=SILENT)
    if kind == "never switched":
        scene.until("promoting")
        scene.aliases = {"champion": 3}
        scene.obeys = False
    else:
        scene.until("watching")
    scene.stable = FAILED
    if kind == "edited":
        scene.declared = Traffic(stable=50, challenger=50)
    for _ in range(70):
        assert scene.tick().state.phase in ("promoting", "watching")
    assert "v1 is failed" in scene.decisions[-1].reason
    scene.stable = READY
    scene.until("rolling_back", most=3)


def test_a_revert_can_be_left_to_a_person() -> None:
    scene = in_watch(policy=policy_of(watch={"duration": "1m", "revert": False}))
    scene.arms = {"challenger": arm(500, 100)}
    assert scene.tick().action == "ask"
    assert scene.state.traffic.challenger == 100
    scene.say("approve", "we know; the fix is on its way")
    scene.tick()
    assert scene.state.phase == "succeeded"


def test_a_criterion_that_only_asks_asks_in_the_watch_too() -> None:
    criteria = [{"metric": "error_ratio", "margin": 0.05, "on_harm": "ask"}]
    scene = in_watch(policy=policy_of(criteria=criteria))
    scene.arms = {"challenger": arm(500, 100)}
    assert scene.tick().action == "ask"
    assert scene.state.traffic.challenger == 100
    scene.say("approve", "a known fault of the callers")
    scene.until("succeeded")


def test_truth_that_arrives_late_reverts() -> None:
    criteria = [{"metric": "error_ratio", "margin": 0.05}, TRUTH]
    scene = in_watch(policy=policy_of(criteria=criteria))

    def judged(n_right: int) -> ArmEvidence:
        measures = {"quality": Moments.of_flags(400, n_right)}
        return ArmEvidence(n_requests=400, n_units=400, measures=measures)

    right: dict[Arm, ArmEvidence] = {"stable": judged(360), "challenger": judged(40)}
    decision = scene.tick(late=right)
    assert decision.action == "roll_back"
    assert "quality: 0.1 beside 0.9 of stable" in decision.reason


def test_the_watch_does_not_end_while_the_source_is_silent() -> None:
    scene = in_watch()
    scene.source_error = "timeout"
    while scene.tick().action != "ask":
        assert scene.state.phase == "watching"
    assert "saw nothing" in scene.state.reason
    scene.source_error = None
    scene.say("resume")
    scene.until("succeeded")


BLUE_GREEN: dict[str, Any] = {
    "strategy": "blue_green",
    "watch": {"duration": "1m"},
    "maximum_duration": "10m",
    "warm_standby": "20m",
}


@pytest.mark.parametrize(("inconclusive", "action"), [("roll_back", "roll_back"), ("ask", "ask")])
def test_a_version_that_nobody_asked_is_no_success_where_none_was_compared(
    inconclusive: str, action: str
) -> None:
    scene = Scene(policy=policy_of(**BLUE_GREEN, inconclusive=inconclusive), arms=healthy(n=0))
    scene.until("watching")
    for _ in range(59):
        assert scene.tick().action in ("hold", "none")
    assert "0 of the 100 requests" in scene.state.reason
    scene.until_action(action, most=3)
    assert scene.state.phase == ("rolling_back" if action == "roll_back" else "watching")


def test_a_watch_goes_on_until_it_saw_its_requests() -> None:
    scene = Scene(policy=policy_of(**BLUE_GREEN), arms=SILENT)
    scene.until("watching")
    for _ in range(12):
        scene.tick()
    assert scene.state.phase == "watching"
    scene.arms = {"challenger": arm(100)}
    scene.until("succeeded", most=1)


def test_a_promotion_that_a_person_ordered_needs_no_requests() -> None:
    scene = Scene(arms=SILENT)
    scene.say("promote")
    scene.until("succeeded", most=12)


def test_the_former_version_stays_warm_and_is_then_let_go() -> None:
    scene = Scene()
    scene.until("succeeded")
    promoted_at = scene.state.promoted_at
    assert promoted_at is not None
    left = promoted_at + timedelta(minutes=5) - scene.now
    decision = scene.tick(left.total_seconds() - 1)
    assert (decision.action, decision.running) == ("none", ("stable", "challenger"))
    decision = scene.tick(1)
    assert (decision.action, decision.running) == ("release", ("challenger",))


def test_a_release_that_was_cut_off_is_asked_for_again() -> None:
    scene = Scene()
    scene.until("succeeded")
    scene.obeys = False
    assert scene.tick(600).action == "release"
    assert scene.tick().action == "release"
    scene.stable = ABSENT
    assert scene.tick().action == "none"


def test_after_promotion_two_broken_versions_are_left_where_they_are() -> None:
    scene = in_watch()
    scene.challenger = scene.stable = FAILED
    assert scene.tick().action == "hold"
    assert "v1 is failed too" in scene.decisions[-1].reason


def test_another_distribution_only_asks_and_an_approval_goes_on() -> None:
    criteria = [{"metric": "error_ratio", "margin": 0.05}, {"metric": "prediction_distribution"}]
    scene = in_step(policy=policy_of(criteria=criteria))

    def with_yes(found: ArmEvidence, n_yes: int) -> ArmEvidence:
        n = found.n_requests
        counts = Counts(counts={"yes": n_yes, "no": n - n_yes}, n_units=n)
        measures = {**found.measures, "prediction_distribution": counts}
        return found.model_copy(update={"measures": measures})

    scene.arms = {"stable": with_yes(arm(5000), 500), "challenger": with_yes(arm(1000), 900)}
    decision = scene.tick()
    assert decision.action == "ask"
    assert "A better model differs too" in decision.reason
    for _ in range(3):
        assert scene.tick().action == "hold"
    assert scene.state.traffic.challenger == 5
    scene.say("approve", "it was meant to")
    scene.until("succeeded")
    assert scene.state.accepted == ("prediction_distribution",)


def test_an_ab_test_with_a_wrong_split_is_not_read() -> None:
    policy = policy_of(strategy="ab_test")
    scene = in_step(policy=policy, arms={"stable": arm(3000), "challenger": arm(2400)})
    decision = scene.tick()
    assert decision.action == "ask"
    assert "the split is not what it should be" in decision.reason
    scene.say("approve", "retries, known")
    scene.until("succeeded")


def test_of_an_ab_test_with_a_wrong_split_errors_still_roll_back_and_quality_does_not() -> None:
    """Who got which version differs in more than the version: a worse quality may be theirs."""
    criteria = [{"metric": "error_ratio", "margin": 0.05}, TRUTH]
    policy = policy_of(strategy="ab_test", criteria=criteria)

    def judged(n: int, n_errors: int, n_right: int) -> ArmEvidence:
        quality = {"quality": Moments.of_flags(2000, n_right)}
        found = arm(n, n_errors)
        return found.model_copy(update={"measures": {**found.measures, **quality}})

    arms: dict[Arm, ArmEvidence] = {
        "stable": judged(3000, 0, 1800),
        "challenger": judged(2400, 0, 200),
    }
    scene = in_step(policy=policy, arms=arms)
    decision = scene.tick()
    assert decision.action == "ask"
    assert {r.criterion: r.verdict for r in decision.readings}["quality"] == "unknown"
    scene.arms = arms | {"challenger": judged(2400, 1200, 200)}
    assert scene.tick().action == "roll_back"
    assert "error_ratio" in scene.state.reason


def test_a_bandit_moves_the_split_and_keeps_the_evidence() -> None:
    criteria = [{"metric": "error_ratio", "margin": 0.0}]
    bandit = {"criterion": "error_ratio", "minimum_percent": 10}
    policy = policy_of(strategy="ab_test", criteria=criteria, bandit=bandit)
    scene = in_step(policy=policy)
    scene.arms = {"stable": arm(300, 30), "challenger": arm(300, 12)}
    began = scene.state.evidence_from
    decision = scene.tick()
    assert decision.action == "set_traffic"
    assert decision.traffic.challenger == 90
    scene.tick(1)
    assert scene.state.evidence_from == began


def test_a_baseline_gets_the_same_share_and_is_what_counts() -> None:
    policy = policy_of(baseline=True, steps=[10])
    scene = Scene(policy=policy)
    decision = scene.tick(baseline=scene.stable)
    assert decision.traffic == Traffic(stable=80, challenger=10, baseline=10)
    assert decision.running == ("stable", "challenger", "baseline")
    scene.arms = {"stable": arm(5000), "challenger": arm(600, 60), "baseline": arm(600, 60)}
    scene.tick(1)
    decision = scene.tick()
    assert "of baseline" in decision.reason
    assert decision.action == "hold"


def test_a_baseline_that_is_not_declared_is_started() -> None:
    scene = Scene(policy=policy_of(baseline=True, steps=[10]), obeys=False)
    decision = scene.tick(baseline=None)
    assert (decision.action, decision.running) == ("start", ("stable", "challenger", "baseline"))
    decision = scene.tick(baseline=STARTING)
    assert (decision.action, decision.reason) == (
        "hold",
        "baseline is starting: waits until it is ready",
    )


def test_every_look_is_written_down_also_when_nothing_happens() -> None:
    scene = in_step(arms=undecided())
    before = len(scene.state.history)
    for _ in range(5):
        scene.tick()
    assert len(scene.state.history) == before + 5
    look = scene.state.history[-1]
    assert (look.n_challenger, look.n_stable, look.readings[0].verdict) == (100, 100, "undecided")


def test_a_clock_that_goes_back_undoes_nothing() -> None:
    scene = in_step()
    scene.tick()
    before = scene.state
    scene.tick(-3600)
    assert scene.state.phase_started_at >= before.phase_started_at
    assert isinstance(scene.state, RolloutState)

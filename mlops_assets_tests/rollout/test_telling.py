from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlops_assets.rollout.evidence import Traffic
from mlops_assets.rollout.state import Hold, RolloutState, VersionRef
from mlops_assets.rollout.telling import notifications_of
from mlops_assets_tests.rollout.scenes import Scene, policy_of

START = datetime(2026, 8, 3, 12, 0, tzinfo=UTC)
LATER = START + timedelta(minutes=5)
QUESTION = Hold(kind="question", since=LATER, reason="predictions differ by 0.3")


def state(**changes: Any) -> RolloutState:
    begun = RolloutState.begin(
        "churn_risk",
        "churn-risk",
        stable=VersionRef(version=6, revision="v6"),
        challenger=VersionRef(version=7, revision="v7"),
        now=START,
    )
    return begun.model_copy(update=changes)


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        pytest.param({}, ["started"], id="it_began"),
        pytest.param(
            {"phase": "step", "traffic": Traffic(stable=90, challenger=10)},
            ["started", "step"],
            id="a_step",
        ),
        pytest.param({"hold": QUESTION}, ["started", "approval_wanted"], id="a_question"),
        pytest.param(
            {"hold": Hold(kind="paused", since=LATER, reason="lunch")}, ["started"], id="a_pause"
        ),
        pytest.param({"phase": "awaiting_approval"}, ["started", "approval_wanted"], id="approval"),
        pytest.param(
            {"phase": "watching", "promoted_at": LATER}, ["started", "promoted"], id="won"
        ),
        pytest.param({"phase": "rolling_back"}, ["started", "rolled_back"], id="harm"),
        pytest.param(
            {"phase": "rolled_back", "ended_at": LATER}, ["started", "rolled_back"], id="it_lost"
        ),
        pytest.param(
            {"phase": "failed", "ended_at": LATER}, ["started", "ended_failed"], id="it_broke"
        ),
    ],
)
def test_what_is_told_of_a_state(changes: dict[str, Any], kinds: list[str]) -> None:
    told = list(notifications_of(state(**changes)))
    assert [each.kind.removeprefix("rollout_") for each in told] == kinds
    assert all(each.text and "v7" in each.title for each in told)


def test_a_rollback_is_one_event_while_it_is_done_and_when_it_is_over() -> None:
    doing = list(notifications_of(state(phase="rolling_back")))[-1]
    done = list(notifications_of(state(phase="rolled_back", ended_at=LATER)))[-1]
    assert doing.id == done.id
    assert doing.severity == "critical"


def test_another_attempt_and_another_step_are_other_events() -> None:
    ids = {
        list(notifications_of(state(phase="step", step=step, started_at=at)))[-1].id
        for step in (0, 1)
        for at in (START, LATER)
    }
    assert len(ids) == 4


def test_it_points_to_the_page_of_the_service_and_says_what_to_do() -> None:
    told = list(notifications_of(state(hold=QUESTION), "http://127.0.0.1:3000/"))[-1]
    assert told.url == "http://127.0.0.1:3000/assets/churn_risk/inference_service"
    assert "mlops-assets rollout approve churn_risk" in told.text
    assert "predictions differ by 0.3" in told.text


def test_each_approval_that_is_wanted_is_told() -> None:
    """Before the first step and after it the state stands at the same step."""
    policy = policy_of(approval={"when": "each_step"}, steps=[10, 50])
    scene, told = Scene(policy=policy), set[str]()
    for n_wanted in (1, 2, 3):
        scene.until("awaiting_approval")
        for _ in range(2):
            told |= {each.id for each in notifications_of(scene.state) if "approval" in each.kind}
            scene.tick()
        assert len(told) == n_wanted
        scene.say("approve")
        scene.tick()


@pytest.mark.parametrize(("ending", "severity"), [("aborted", "warning"), ("failed", "critical")])
def test_what_a_person_or_a_newer_version_stops_is_no_emergency(ending: str, severity: str) -> None:
    told = list(notifications_of(state(phase="rolling_back", ending=ending)))[-1]
    assert told.severity == severity

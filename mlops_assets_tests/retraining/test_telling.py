from datetime import timedelta

from mlops_assets.monitoring.verdict import WindowVerdict
from mlops_assets.retraining.attempts import OutsideFacts, RunFacts, gather
from mlops_assets.retraining.decision import decide
from mlops_assets.retraining.state import RetrainingState
from mlops_assets.retraining.telling import notifications_of
from mlops_assets.spec.retraining import RetrainingSpec
from mlops_assets_tests.monitoring.windows import DAY, START, held, worse

POLICY = RetrainingSpec(violations=1, of_windows=1)
NOW = START + 5 * DAY
NEW = RetrainingState(model="churn", since=START)


def kinds(
    before: RetrainingState, windows: list[WindowVerdict], after: RetrainingState
) -> list[str]:
    decision = decide(windows, after, POLICY, NOW)
    return [told.kind for told in notifications_of(before, decision, None)]


def test_a_training_that_begins_is_told_and_a_quiet_tick_is_not() -> None:
    assert kinds(NEW, [worse(4)], NEW) == ["retraining_started"]
    assert kinds(NEW, [held(4)], NEW) == []


def test_an_attempt_that_is_asked_for_again_is_told_once() -> None:
    begun = decide([worse(4)], NEW, POLICY, NOW).state
    assert kinds(begun, [worse(4)], begun) == []


def test_what_came_of_an_attempt_is_told() -> None:
    begun = decide([worse(4)], NEW, POLICY, NOW).state
    run = RunFacts(dagster_run_id="r", status="failed", refused="beats_baseline: 0.49")
    ended = gather(begun, OutsideFacts(champion="1", run=run), None, NOW)
    assert kinds(begun, [], ended) == ["retraining_refused"]
    assert kinds(ended, [], ended) == []


def test_a_breaker_calls_a_person_once() -> None:
    state = NEW
    for number in range(3):
        begun = decide([worse(4)], state, POLICY.model_copy(update={"cooldown": timedelta(0)}), NOW)
        state = begun.state.with_run(f"r{number}").with_outcome("refused", NOW)
    first = decide([worse(4)], state, POLICY, NOW)
    (told,) = [n for n in notifications_of(state, first, None) if n.severity == "critical"]
    assert told.kind == "retraining_stopped"
    again = decide([worse(4)], first.state, POLICY, NOW)
    assert notifications_of(first.state, again, None) == []

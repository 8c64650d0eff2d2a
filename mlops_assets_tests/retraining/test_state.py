import pytest

from mlops_assets.errors import RetrainingError
from mlops_assets.retraining.state import Attempt, Champion, Request, RetrainingState
from mlops_assets_tests.monitoring.windows import DAY, START

STATE = RetrainingState(model="churn", since=START)
ATTEMPT = Attempt(number=1, trigger="drift", reason="it moved", run_key="k", started_at=START)


def test_what_is_stored_is_read_back() -> None:
    state = (
        STATE.with_champion(Champion(version="3", since=START, n_rows=10))
        .with_rows(20)
        .with_attempt(ATTEMPT)
        .with_run("run")
        .with_outcome("refused", START + DAY, told="worse than the champion", cpu_minutes=1.5)
        .with_request(Request(who="ann", at=START))
    )
    assert RetrainingState.from_storage(state.to_storage()) == state


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "cannot be read"),
        ("[]", "cannot be read"),
        ("{}", "cannot be read"),
        ('{"format": 2, "model": "churn"}', "use the version of the platform that wrote it"),
        ('{"format": 1, "model": "churn"}', "since"),
        ('{"format": 1, "model": "churn", "since": "2026-03-02T00:00:00"}', "timezone"),
    ],
)
def test_a_text_that_is_no_state_is_refused(text: str, told: str) -> None:
    with pytest.raises(RetrainingError, match=told):
        RetrainingState.from_storage(text)


def test_there_is_never_a_second_attempt_in_flight() -> None:
    state = STATE.with_attempt(ATTEMPT)
    with pytest.raises(ValueError, match="attempt 1 of churn is in flight"):
        state.with_attempt(ATTEMPT)


def test_telling_an_outcome_twice_changes_nothing() -> None:
    state = STATE.with_attempt(ATTEMPT).with_outcome("refused", START)
    assert state.with_outcome("promoted", START + DAY) is state
    assert (state.n_refused, state.with_run("late")) == (1, state)


def test_a_failed_run_says_nothing_of_candidates() -> None:
    state = STATE.with_attempt(ATTEMPT).with_outcome("failed", START)
    assert (state.n_refused, state.n_without_calm, state.n_failed) == (0, 0, 1)


def test_the_oldest_attempts_are_forgotten() -> None:
    state = STATE
    for number in range(1, 250):
        attempt = ATTEMPT.model_copy(update={"number": number})
        state = state.with_attempt(attempt).with_outcome("failed", START)
    assert (len(state.attempts), state.attempts[-1].number) == (200, 249)

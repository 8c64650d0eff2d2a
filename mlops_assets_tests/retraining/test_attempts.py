from datetime import timedelta

import pytest

from mlops_assets.retraining.attempts import OutsideFacts, RunFacts, gather
from mlops_assets.retraining.state import Attempt, Champion, Request, RetrainingState
from mlops_assets_tests.monitoring.windows import START

NOW = START + timedelta(days=1)


def in_flight(champion: str = "1", since_hours: int = -5) -> RetrainingState:
    since = START + timedelta(hours=since_hours)
    state = RetrainingState(
        model="churn", since=START, champion=Champion(version=champion, since=since, n_rows=100)
    )
    return state.with_attempt(
        Attempt(number=1, trigger="drift", reason="it moved", run_key="key", started_at=START)
    )


def run(status: str, **more: object) -> RunFacts:
    return RunFacts.model_validate({"dagster_run_id": "run-1", "status": status, **more})


@pytest.mark.parametrize(
    ("found", "champion", "expected"),
    [
        pytest.param(run("running"), "1", (None, ""), id="it_runs"),
        pytest.param(run("failed", told="out of memory"), "1", ("failed", "out of memory"),
                     id="it_failed"),
        pytest.param(run("failed", refused="beats_baseline: 0.49"), "1",
                     ("refused", "beats_baseline: 0.49"), id="a_gate_refused"),
        pytest.param(run("succeeded"), "1", ("failed", "without a version"), id="no_version"),
        pytest.param(run("succeeded", version="1"), "1", ("refused", "over again"),
                     id="the_champion_over_again"),
        pytest.param(run("succeeded", version="2"), "2", ("promoted", "v2"), id="at_once"),
        pytest.param(run("succeeded", version="2"), "1", (None, ""), id="registered_only"),
        pytest.param(run("succeeded", version="2", rollout="going"), "1", (None, ""),
                     id="rollout_under_way"),
        pytest.param(run("succeeded", version="2", rollout="going"), "2", (None, ""),
                     id="champion_and_still_watched"),
        pytest.param(run("succeeded", version="2", rollout="promoted"), "2", ("promoted", "v2"),
                     id="rollout_succeeded"),
        pytest.param(run("succeeded", version="2", rollout="rolled_back", rollout_told="errors"),
                     "1", ("rolled_back", "errors"), id="rolled_back"),
        pytest.param(run("succeeded", version="2", rollout="superseded"), "3",
                     ("rolled_back", "v2"), id="another_took_its_place"),
    ],
)  # fmt: skip
def test_what_becomes_of_an_attempt(
    found: RunFacts, champion: str, expected: tuple[str | None, str]
) -> None:
    facts = OutsideFacts(champion=champion, run=found)
    state = gather(in_flight(), facts, None, NOW)
    assert state.latest is not None
    assert state.latest.dagster_run_id == "run-1"
    outcome, told = expected
    assert state.latest.outcome == outcome
    assert told in state.latest.told
    assert gather(state, facts, None, NOW + timedelta(hours=1)) == state


def test_a_new_champion_is_noted_with_the_rows_it_was_trained_on() -> None:
    state = gather(in_flight(), OutsideFacts(champion="2", champion_rows=500), None, NOW)
    assert state.champion == Champion(version="2", since=NOW, n_rows=500)


def test_what_nobody_could_be_asked_changes_nothing() -> None:
    before = in_flight()
    assert gather(before, OutsideFacts(), None, NOW) == before


def test_a_wish_is_heard_once() -> None:
    wish = Request(who="ada", at=NOW, why="new tariff")
    state = gather(RetrainingState(model="churn", since=START), OutsideFacts(), wish, NOW)
    assert state.request == wish
    attempt = Attempt(number=1, trigger="person", reason="", run_key="k", started_at=NOW)
    met = state.with_attempt(attempt)
    assert gather(met, OutsideFacts(), wish, NOW).request is None
    later = wish.model_copy(update={"at": NOW + timedelta(seconds=1)})
    assert gather(met, OutsideFacts(), later, NOW).request == later

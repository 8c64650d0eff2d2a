"""When a model is trained again: a table of rules, and what holds whatever happens."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.monitoring.verdict import Drift, Performance, Quality, WindowVerdict
from mlops_assets.retraining.decision import RULE_MEANINGS, Decision, RuleName, decide
from mlops_assets.retraining.state import (
    Champion,
    Outcome,
    Request,
    RetrainingState,
)
from mlops_assets.spec.retraining import RetrainingSpec
from mlops_assets_tests.monitoring.windows import DAY, START, held, window_of, worse

DOCS = Path(__file__).parents[2] / "docs" / "monitoring.md"
STATE = RetrainingState(model="churn", since=START)


def policy_of(**fields: Any) -> RetrainingSpec:
    return RetrainingSpec.model_validate(fields)


def day(number: float) -> datetime:
    return START + number * DAY


def tried(
    outcome: Outcome, at: float, state: RetrainingState = STATE, minutes: float = 0
) -> RetrainingState:
    """The state after an attempt of that day ended an hour later."""
    decision = decide([], state.with_request(Request(who="ann", at=day(at))), policy_of(), day(at))
    ended = day(at) + timedelta(hours=1)
    return decision.state.with_run("run").with_outcome(outcome, ended, cpu_minutes=minutes)


BAD_WEEK = [held(0), held(1), worse(2), worse(3), worse(4)]


@pytest.mark.parametrize(
    ("windows", "action"),
    [
        pytest.param(BAD_WEEK, "retrain", id="three_of_five_and_the_latest"),
        pytest.param(BAD_WEEK[:-1], "none", id="two_are_too_few"),
        pytest.param([*map(worse, range(4)), held(4)], "none", id="the_latest_must_violate"),
        pytest.param([worse(0), worse(1), held(2), held(3), worse(4)], "retrain", id="with_gaps"),
        pytest.param(
            [worse(0), held(1), held(2), held(3), worse(4), worse(5)], "none", id="n_is_exact"
        ),
        pytest.param([], "none", id="no_windows"),
        pytest.param([worse(4)] * 3, "none", id="a_window_counts_once"),
        pytest.param(list(reversed(BAD_WEEK)), "retrain", id="in_any_order"),
        pytest.param([worse(5), worse(6), worse(7)], "none", id="windows_that_have_not_ended"),
        pytest.param(
            [*BAD_WEEK[:4], window_of(4, realised="worse", quality="broken")],
            "none",
            id="broken_data_does_not_violate",
        ),
        pytest.param(
            [worse(0), worse(1), worse(2), window_of(3), window_of(4)],
            "retrain",
            id="truth_comes_later_than_the_latest_windows",
        ),
        pytest.param(
            [window_of(d, drift="found", realised="held") for d in range(5)],
            "none",
            id="harmless_drift_is_not_in_the_list",
        ),
        pytest.param(
            [window_of(d, drift="found") for d in range(5)], "none", id="drift_of_unknown_effect"
        ),
        pytest.param(
            [window_of(d, drift="found", estimated="worse") for d in range(5)],
            "retrain",
            id="drift_that_a_trusted_estimate_calls_harmful",
        ),
        pytest.param(
            [window_of(d, realised="worse", n_rows=20) for d in range(5)],
            "none",
            id="too_few_rows_prove_nothing",
        ),
    ],
)
def test_what_the_windows_call_for(windows: list[WindowVerdict], action: str) -> None:
    assert decide(windows, STATE, policy_of(), day(5)).action == action


@pytest.mark.parametrize(
    ("verdicts", "action"),
    [
        (["drift_harmful"], "none"),
        (["drift_harmful", "not_enough_data"], "retrain"),
        (["drift_harmless"], "none"),
    ],
)
def test_the_policys_list_decides_which_verdicts_count(verdicts: list[str], action: str) -> None:
    windows = [window_of(d, drift="found") for d in range(5)]
    assert decide(windows, STATE, policy_of(verdicts=verdicts), day(5)).action == action


@pytest.mark.parametrize(("rows", "action"), [(500, "retrain"), (501, "none")])
def test_the_violating_windows_must_hold_enough_rows(rows: int, action: str) -> None:
    windows = [window_of(d, realised="worse", n_rows=100, n_with_truth=100) for d in range(5)]
    assert decide(windows, STATE, policy_of(minimum_rows=rows), day(5)).action == action


@pytest.mark.parametrize(("ratio", "action"), [(0.6, "retrain"), (0.61, "none")])
def test_enough_of_their_truth_must_be_known(ratio: float, action: str) -> None:
    windows = [window_of(d, realised="worse", n_with_truth=600) for d in range(5)]
    policy = policy_of(minimum_truth_ratio=ratio)
    assert decide(windows, STATE, policy, day(5)).action == action


def test_windows_of_long_ago_do_not_count() -> None:
    policy = policy_of(evidence_age="10d")
    assert decide(BAD_WEEK, STATE, policy, day(13)).action == "retrain"
    assert decide(BAD_WEEK, STATE, policy, day(13.1)).action == "none"


@pytest.mark.parametrize(("version", "action"), [("1", "retrain"), ("2", "none")])
def test_windows_of_another_version_do_not_count(version: str, action: str) -> None:
    state = STATE.with_champion(Champion(version=version, since=day(3)))
    assert decide(BAD_WEEK, state, policy_of(), day(5)).action == action


@pytest.mark.parametrize(
    ("state", "policy", "at", "rule"),
    [
        pytest.param(STATE, {}, 5, "triggered", id="nothing_stands_against_it"),
        pytest.param(tried("refused", 3), {}, 5, "cooldown", id="within_the_cooldown"),
        pytest.param(tried("refused", 2), {}, 5.05, "triggered", id="after_the_cooldown"),
        pytest.param(tried("failed", 4.95), {}, 5, "retry", id="right_after_a_failed_run"),
        pytest.param(tried("failed", 4.9), {}, 5, "triggered", id="a_failed_run_re_arms"),
        pytest.param(
            tried("failed", 4.95, tried("refused", 4)),
            {"retry_after": "1m"},
            5,
            "cooldown",
            id="a_failed_run_ends_no_cooldown",
        ),
        pytest.param(
            tried("refused", 1), {"budget": {"runs": 1}}, 5, "budget", id="the_runs_are_used"
        ),
        pytest.param(
            tried("refused", 1),
            {"budget": {"runs": 1, "period": "4d"}},
            5,
            "triggered",
            id="the_period_is_over",
        ),
        pytest.param(
            tried("refused", 1, minutes=30),
            {"budget": {"cpu_minutes": 30.0}},
            5,
            "budget",
            id="the_minutes_are_used",
        ),
        pytest.param(
            tried("refused", 1, minutes=29.9),
            {"budget": {"cpu_minutes": 30.0}},
            5,
            "triggered",
            id="some_minutes_are_left",
        ),
        pytest.param(
            tried("refused", 1),
            {"breaker": {"refused_candidates": 1}},
            5,
            "breaker",
            id="the_breaker_is_open",
        ),
        pytest.param(
            tried("rolled_back", 1),
            {"breaker": {"refused_candidates": 1}},
            5,
            "breaker",
            id="a_rollback_counts_as_refused",
        ),
        pytest.param(
            tried("refused", 1),
            {"breaker": {"refused_candidates": 2}},
            5,
            "triggered",
            id="one_refusal_of_two",
        ),
        pytest.param(
            tried("refused", 1),
            {"breaker": {"refused_candidates": 1, "pause": "3d"}},
            5,
            "triggered",
            id="the_breaker_lets_one_try",
        ),
        pytest.param(
            tried("failed", 4, tried("refused", 1)),
            {"breaker": {"refused_candidates": 1, "pause": "3d"}},
            5,
            "triggered",
            id="a_failed_run_uses_up_no_try",
        ),
        pytest.param(
            tried("promoted", 2, tried("refused", 1)),
            {"breaker": {"refused_candidates": 1}, "cooldown": "1d"},
            5,
            "triggered",
            id="a_new_champion_closes_the_breaker",
        ),
    ],
)
def test_guards(state: RetrainingState, policy: dict[str, Any], at: float, rule: str) -> None:
    decision = decide(BAD_WEEK, state, policy_of(**policy), day(at))
    assert decision.rule == rule
    assert decision.action == {"triggered": "retrain", "breaker": "escalate"}.get(rule, "wait")


def test_failures_in_a_row_wait_twice_as_long_each() -> None:
    policy, state, now = policy_of(budget={"runs": None}), STATE, day(5)
    waits = []
    for _ in range(4):
        state = decide(BAD_WEEK, state, policy, now).state.with_run("run")
        failed_at, state = now, state.with_outcome("failed", now)
        while decide(BAD_WEEK, state, policy, now).rule == "retry":
            now += timedelta(minutes=5)
        waits.append((now - failed_at) / timedelta(minutes=1))
    assert waits == [15, 30, 60, 120]


def test_a_person_passes_every_guard_and_closes_the_breakers() -> None:
    state = tried("refused", 4.9).model_copy(update={"n_refused": 9, "n_without_calm": 9})
    asked = state.with_request(Request(who="ann", at=day(5), why="new labels"))
    broken = [window_of(4, quality="broken")]
    decision = decide(broken, asked, policy_of(budget={"runs": 1}), day(5))
    assert (decision.action, decision.reason) == ("retrain", "ann asked for it: new labels")
    assert (decision.state.n_refused, decision.state.request) == (0, None)


def test_a_request_waits_for_the_attempt_in_flight_and_is_not_lost() -> None:
    running = decide(BAD_WEEK, STATE, policy_of(), day(5)).state.with_run("run")
    asked = running.with_request(Request(who="ann", at=day(5)))
    waiting = decide(BAD_WEEK, asked, policy_of(), day(5.1))
    assert (waiting.action, waiting.rule) == ("wait", "in_flight")
    ended = waiting.state.with_outcome("refused", day(5.2))
    assert decide([], ended, policy_of(), day(5.3)).action == "retrain"


def test_a_decision_whose_run_was_never_seen_is_asked_for_again_under_its_key() -> None:
    first = decide(BAD_WEEK, STATE, policy_of(), day(5))
    again = decide(BAD_WEEK, first.state, policy_of(), day(6))
    assert (again.action, again.rule, again.run_key) == ("retrain", "unconfirmed", first.run_key)
    assert len(again.state.attempts) == 1


@pytest.mark.parametrize(("n_rows", "action"), [(1_499, "none"), (1_500, "retrain")])
def test_new_rows_call_for_training(n_rows: int, action: str) -> None:
    champion = Champion(version="1", since=START, n_rows=1_000)
    state = STATE.with_champion(champion).with_rows(n_rows)
    assert decide([], state, policy_of(new_rows=500), day(5)).action == action


@pytest.mark.parametrize(
    ("outcome", "n_rows", "action"),
    [
        pytest.param("refused", 1_999, "none", id="a_refused_candidate_was_trained_on_them"),
        pytest.param("refused", 2_000, "retrain", id="as_many_again"),
        pytest.param("failed", 1_500, "retrain", id="a_run_that_failed_trained_on_nothing"),
    ],
)
def test_rows_that_a_candidate_was_trained_on_are_not_new(
    outcome: Outcome, n_rows: int, action: str
) -> None:
    policy = policy_of(new_rows=500)
    champion = Champion(version="1", since=START, n_rows=1_000)
    state = decide([], STATE.with_champion(champion).with_rows(1_500), policy, day(5)).state
    state = state.with_run("run").with_outcome(outcome, day(5.1)).with_rows(n_rows)
    assert decide([], state, policy, day(12)).action == action


def test_the_calendar_calls_once_for_each_of_its_times() -> None:
    policy = policy_of(schedule={"cron": "0 6 1 * *"}, cooldown="0s")
    state, trained = STATE, []
    for hours in range(0, 24 * 62, 6):
        now = START + timedelta(hours=hours)
        decision = decide([], state, policy, now)
        state = decision.state
        if decision.action == "retrain":
            trained.append(now)
            state = state.with_run("run").with_outcome("refused", now)
    assert [f"{at:%m-%d %H}" for at in trained] == ["04-01 06", "05-01 06"]


def test_a_failed_run_of_the_calendar_is_tried_again() -> None:
    policy = policy_of(schedule={"cron": "0 6 1 * *"})
    due = datetime(2026, 4, 1, 6, tzinfo=START.tzinfo)
    state = decide([], STATE, policy, due).state.with_run("run").with_outcome("failed", due)
    assert decide([], state, policy, due + timedelta(hours=1)).action == "retrain"


def test_the_calendar_waits_while_data_is_broken() -> None:
    policy = policy_of(schedule={"cron": "0 6 * * *"})
    decision = decide([window_of(4, quality="broken")], STATE, policy, day(5.5))
    assert (decision.action, decision.rule) == ("wait", "broken_data")


def test_drift_that_stays_under_new_champions_calls_a_person() -> None:
    policy = policy_of(cooldown="0s", violations=1, of_windows=1, budget={"runs": None})
    state, actions = STATE, []
    for number in range(6):
        window = window_of(number, realised="worse", version=str(1 + len(state.attempts)))
        decision = decide([window], state, policy, day(number + 1))
        actions.append(decision.action)
        state = decision.state.with_run("run").with_outcome("promoted", day(number + 1))
        version = str(1 + len(state.attempts))
        state = state.with_champion(Champion(version=version, since=day(number + 1)))
    assert actions == ["retrain", "retrain", "escalate", "escalate", "escalate", "escalate"]
    calm = window_of(6, realised="held", version="3")
    rested = decide([calm], state, policy, day(7))
    assert (rested.action, rested.state.n_without_calm) == ("none", 0)


def test_a_calendar_without_windows_is_never_called_restless() -> None:
    policy = policy_of(schedule={"cron": "0 6 * * *"}, cooldown="0s", budget={"runs": None})
    state = STATE
    for number in range(6):
        decision = decide([], state, policy, day(number + 0.3))
        assert decision.action == "retrain"
        state = decision.state.with_run("run").with_outcome("promoted", day(number + 0.4))


def test_every_tick_tells_its_reason_and_whether_it_is_a_new_one() -> None:
    quiet = decide([held(0)], STATE, policy_of(), day(1))
    assert quiet.reason == (
        "realised: 0 of the last 1 windows violate, 3 of 5 needed; estimated: no window tells "
        "anything; drift: 0 of the last 1 windows violate, 3 of 5 needed"
    )
    assert (quiet.changed, quiet.state.reason) == (True, quiet.reason)
    again = decide([held(0), held(1)], quiet.state, policy_of(), day(2))
    assert (again.changed, again.rule) == (False, "quiet")


def test_every_rule_has_a_meaning_that_the_docs_tell() -> None:
    assert list(RULE_MEANINGS) == list(get_args(RuleName))
    table = "".join(f"| `{rule}` | {meaning} |\n" for rule, meaning in RULE_MEANINGS.items())
    assert table in DOCS.read_text()


OUTCOMES: list[Outcome] = ["promoted", "refused", "rolled_back", "failed"]


@st.composite
def stories(draw: st.DrawFn) -> tuple[RetrainingSpec, list[Decision]]:
    """Two months of anything, ticked every six hours or so."""
    policy = policy_of(
        violations=draw(st.integers(1, 3)),
        of_windows=3,
        cooldown=draw(st.sampled_from(["0s", "1d", "5d"])),
        minimum_rows=1,
        verdicts=draw(st.sampled_from([["concept_drift"], ["drift_harmful", "not_enough_data"]])),
        schedule=draw(st.sampled_from([None, {"cron": "0 3 * * *"}])),
        budget={"runs": draw(st.integers(1, 4)), "period": "10d", "cpu_minutes": 100.0},
        breaker={"refused_candidates": draw(st.integers(1, 3)), "pause": "15d"},
    )
    state, decisions, windows = STATE, list[Decision](), list[WindowVerdict]()
    for number in range(40):
        windows.append(
            window_of(
                number,
                drift=draw(st.sampled_from(get_args(Drift))),
                estimated=draw(st.sampled_from(get_args(Performance))),
                realised=draw(st.sampled_from(get_args(Performance))),
                quality=draw(st.sampled_from([*get_args(Quality), "sound", "sound"])),
                version=None,
            )
        )
        decision = decide(windows, state, policy, day(number + 1.1))
        decisions.append(decision)
        state = decision.state
        if state.in_flight is not None and draw(st.booleans()):
            state = state.with_run(f"run-{number}")
            outcome = draw(st.sampled_from(OUTCOMES))
            state = state.with_outcome(outcome, day(number + 1.2), cpu_minutes=30)
        if draw(st.integers(0, 30)) == 0:
            state = state.with_request(Request(who="ann", at=day(number + 1.3)))
    return policy, decisions


@settings(max_examples=60, deadline=None)
@given(stories())
def test_whatever_happens_the_guards_hold(story: tuple[RetrainingSpec, list[Decision]]) -> None:
    policy, decisions = story
    began = [d for d in decisions if d.action == "retrain" and d.rule == "triggered"]
    keys = [d.run_key for d in decisions if d.action == "retrain"]
    assert len({d.run_key for d in began}) == len(began)
    assert set(keys) == {d.run_key for d in began}
    for decision in began:
        *before, attempt = decision.state.attempts
        now = attempt.started_at
        assert all(a.outcome is not None for a in before), "a second one in flight"
        if attempt.trigger == "person":
            continue
        settled = [a.ended_at for a in before if a.outcome != "failed" and a.ended_at is not None]
        assert all(now >= ended + policy.cooldown for ended in settled)
        recent = [a for a in before if a.started_at > now - policy.budget.period]
        assert len(recent) < (policy.budget.runs or 99)
        assert "broken" not in attempt.reason
    assert all(d.reason for d in decisions)


@settings(max_examples=30, deadline=None)
@given(stories())
def test_deciding_twice_is_deciding_once(story: tuple[RetrainingSpec, list[Decision]]) -> None:
    policy, decisions = story
    for decision in decisions:
        again = decide([], decision.state, policy, day(100))
        if decision.state.in_flight is not None:
            assert again.state.attempts == decision.state.attempts

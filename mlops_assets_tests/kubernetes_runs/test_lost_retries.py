"""Which retries of failed runs got lost."""

from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets.kubernetes_runs.lost_retries import (
    HAND_OVER_WORDS,
    MOST_HAND_OVERS,
    Child,
    HandOver,
    RetryHistory,
    RetryState,
    assess_children,
    assess_hand_over,
    assess_history,
    judge_retry,
    lacks_retry,
    retry_marks,
)
from mlops_assets.kubernetes_runs.reaping import RunState

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
PATIENCE_SECONDS = 60.0
NO, MOST = "false", MOST_HAND_OVERS
WILL_RETRY = "dagster/will_retry"
FAILED: tuple[HandOver, ...] = ("failed",)


def a_run(seconds_ago: float = 61, will_retry: str = "true", **tags: str) -> RunState:
    names = {f"dagster/{name}": value for name, value in tags.items()}
    names[WILL_RETRY] = will_retry
    return RunState("r", "FAILURE", True, NOW - timedelta(seconds=seconds_ago), names)


def told(n_failures: int = 0, *hand_overs: HandOver, child: Child = "none") -> RetryHistory:
    return RetryHistory(child, n_failures, hand_overs)


@pytest.mark.parametrize(
    ("run", "history", "state"),
    [
        pytest.param(a_run(), told(), "lost", id="nobody_retried"),
        pytest.param(a_run(60), told(), "pending", id="there_is_time"),
        pytest.param(a_run(), told(child="submitted"), "settled", id="there_is_a_child"),
        pytest.param(a_run(), told(child="created"), "lost", id="its_child_never_began"),
        pytest.param(
            a_run(auto_retry_run_id="c"), told(child="created"), "lost", id="named_and_never_began"
        ),
        pytest.param(
            a_run(60), told(child="created"), "pending", id="dagster_may_be_submitting_it"
        ),
        pytest.param(a_run(auto_retry_run_id="c"), told(), "settled", id="a_user_deleted_it"),
        pytest.param(a_run(), told(0, "declined"), "declined", id="dagster_declined_it"),
        pytest.param(a_run(), told(1, "declined"), "declined", id="declined_after_a_failed_launch"),
        pytest.param(a_run(), told(0, "failed"), "lost", id="dagster_failed_and_told_nothing"),
        pytest.param(a_run(will_retry=NO), told(), "settled", id="there_is_to_be_none"),
        pytest.param(a_run(will_retry=NO), told(1), "lost", id="its_launch_failed"),
        pytest.param(a_run(60, NO), told(1), "pending", id="a_pause_after_each_failure"),
        pytest.param(
            a_run(will_retry=NO), told(1, child="submitted"), "settled", id="a_user_ran_it"
        ),
        pytest.param(
            a_run(will_retry=NO), told(1, *FAILED * (MOST - 1)), "lost", id="failed_again"
        ),
        pytest.param(
            a_run(will_retry=NO), told(1, *FAILED * MOST), "given up", id="it_fails_always"
        ),
        pytest.param(a_run(), told(1), "lost", id="a_kill_cut_its_hand_over_short"),
        pytest.param(a_run(will_retry=NO), told(0, "declined"), "declined", id="still_declined"),
        pytest.param(a_run(will_retry=NO), told(0, *FAILED * MOST), "given up", id="so_it_stays"),
    ],
)
def test_how_the_retry_of_a_failed_run_stands(
    run: RunState, history: RetryHistory, state: RetryState
) -> None:
    assert judge_retry(run, history, NOW, NOW - timedelta(days=1), PATIENCE_SECONDS) == state


@pytest.mark.parametrize(
    ("seconds", "state"),
    [
        pytest.param(0, "pending", id="at_the_start"),
        pytest.param(60, "pending", id="there_is_time"),
        pytest.param(61, "lost", id="it_had_its_time"),
    ],
)
def test_what_failed_during_an_outage_has_its_time_from_the_start(
    seconds: float, state: RetryState
) -> None:
    """Dagster's consumer comes to it after the start too: it was launched twice."""
    start = NOW - timedelta(seconds=seconds)
    assert judge_retry(a_run(3_600), told(), NOW, start, PATIENCE_SECONDS) == state


@pytest.mark.parametrize(
    ("statuses", "child"),
    [
        ([], "none"),
        (["NOT_STARTED"], "created"),
        (["QUEUED"], "submitted"),
        (["NOT_STARTED", "FAILURE"], "submitted"),
    ],
)
def test_whether_a_retry_was_more_than_created(statuses: list[str], child: Child) -> None:
    assert assess_children(statuses) == child


def test_the_log_of_a_run_tells_what_became_of_its_retry() -> None:
    asked = [f"[RunKeeperDaemon] {HAND_OVER_WORDS[outcome]}" for outcome in ("failed", "declined")]
    messages = ["Failed to retry run", "the worker is gone", *asked]
    assert assess_history("none", messages) == told(1, "failed", "declined")


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        pytest.param(told(1, child="submitted"), "launched", id="there_is_a_retry"),
        pytest.param(told(2), "failed", id="dagster_told_another_failure"),
        pytest.param(told(2, child="created"), "failed", id="it_created_a_retry_and_failed"),
        pytest.param(told(1), "declined", id="nothing_happened"),
    ],
)
def test_what_dagster_did_with_a_retry(after: RetryHistory, outcome: HandOver) -> None:
    assert assess_hand_over(told(1), after) == outcome


@pytest.mark.parametrize(
    ("tags", "child", "lacks"),
    [
        pytest.param({WILL_RETRY: "true"}, "none", True, id="dagster_passed_over_it"),
        pytest.param({WILL_RETRY: "true"}, "created", True, id="its_retry_never_began"),
        pytest.param({WILL_RETRY: NO}, "none", False, id="there_is_to_be_none"),
        pytest.param(retry_marks("r", "lost"), "none", True, id="its_code_location_is_away"),
        pytest.param(retry_marks("r", "given up"), "none", True, id="given_up"),
        pytest.param(retry_marks("r", "given up"), "submitted", False, id="a_user_ran_it"),
        pytest.param(retry_marks("r", "declined"), "none", False, id="dagster_declined_it"),
        pytest.param(retry_marks("parent", "lost"), "none", False, id="its_parent_was_lost"),
    ],
)
def test_whether_a_run_was_to_be_retried_and_was_not(
    tags: dict[str, str], child: Child, lacks: bool
) -> None:
    assert lacks_retry("r", tags, child) == lacks


def test_dagster_waits_for_no_retry_that_does_not_come() -> None:
    """Backfills and retraining wait as long as its own mark says that there will be one."""
    assert (
        retry_marks("r", "given up")[WILL_RETRY] == retry_marks("r", "declined")[WILL_RETRY] == NO
    )

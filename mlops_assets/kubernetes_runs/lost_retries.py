"""Which automatic retries of runs got lost and may be asked for again. Pure.

Dagster loses a retry in three ways. It writes a run's failure, its status and the mark `will_retry`
one after the other; a daemon that reads in between skips the run and never looks at it again.
Whatever goes wrong while it launches a retry, such as a code location that is away for a moment,
makes it mark the run as one that is not to be retried. And it creates a retry, then submits it;
when it is cut short in between, the retry never begins. Asked again, it submits that one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG

from mlops_assets.kubernetes_runs.reaping import RunState

MOST_HAND_OVERS = 5
"""How often a retry that Dagster fails to launch is handed to it again."""
_FAILED_TO_RETRY = "Failed to retry run"  # Dagster's word for any exception while it launched it
_HANDED_OVER = "The automatic retry of this run was lost; Dagster was asked for it again"

LOST_TAG = "mlops/lost_retry"
"""Marks a failed run whose retry got lost. Holds its id, since a retry takes over its tags.

Not Dagster's `will_retry`: as long as that is true, backfills and retraining wait for the retry.
"""

RetryState = Literal["lost", "pending", "declined", "given up", "settled"]
"""How the retry of a failed run stands.

- lost: nobody is to launch it any more.
- pending: Dagster may be about to.
- declined: Dagster, asked for it again, launches none.
- given up: it was handed over often enough.
- settled: it is there, or there is to be none.

The last three stay so.
"""
Child = Literal["none", "created", "submitted"]
"""Whether there are runs that repeat another, and whether one of them was more than created."""
HandOver = Literal["launched", "failed", "declined"]
"""What Dagster did with a retry that was handed to it again.

- launched: there is one.
- failed: something went wrong; worth another attempt.
- declined: it launches none, and has told the run why, such as a backfill that is over.
"""
HAND_OVER_WORDS: Mapping[HandOver, str] = {
    "launched": f"{_HANDED_OVER}, and launched it.",
    "failed": f"{_HANDED_OVER}, and failed to launch it.",
    "declined": f"{_HANDED_OVER}, and declined.",
}
"""What is told to the run. Its log is the keeper's memory."""


@dataclass(frozen=True, slots=True)
class RetryHistory:
    """What became of a failed run's retry so far.

    Attributes:
        child: Whether there is a run that repeats it.
        n_failures: How often Dagster told that it failed to launch it.
        hand_overs: What came of each time that it was handed to Dagster again.
    """

    child: Child
    n_failures: int
    hand_overs: tuple[HandOver, ...]


def assess_history(child: Child, messages: Sequence[str]) -> RetryHistory:
    """Of a failed run, by what its log tells."""
    hand_overs = [
        outcome
        for message in messages
        for outcome, words in HAND_OVER_WORDS.items()
        if words in message
    ]
    return RetryHistory(child, messages.count(_FAILED_TO_RETRY), tuple(hand_overs))


def assess_hand_over(before: RetryHistory, after: RetryHistory) -> HandOver:
    """What Dagster did, by the histories before and after it was asked."""
    if after.child == "submitted":
        return "launched"
    return "failed" if after.n_failures > before.n_failures else "declined"


def assess_children(statuses: Iterable[str]) -> Child:
    """Of the runs that repeat another, by their statuses in Dagster's words."""
    distinct = set(statuses)
    if not distinct:
        return "none"
    return "created" if distinct == {"NOT_STARTED"} else "submitted"


def judge_retry(
    run: RunState,
    history: RetryHistory,
    now: datetime,
    first_look_at: datetime,
    patience_seconds: float,
) -> RetryState:
    """How the retry of a run stands; the first rule that applies.

    One that Dagster declined is not handed over again: it would decline each time, and tell the run
    why.

    Args:
        run: A run that failed; its mark `will_retry` is written.
        history: What is told of its retry.
        now: Aware.
        first_look_at: When the daemon began to look, aware. What failed while it was down, Dagster
            sees no sooner either.
        patience_seconds: How long Dagster has to launch it, from the last change of the run or from
            the first look, whichever is later; so this is also the pause between two hand-overs.
    """
    if _has_retry(run.tags, history.child):
        return "settled"
    if "declined" in history.hand_overs:
        return "declined"
    if len(history.hand_overs) >= MOST_HAND_OVERS:
        return "given up"
    if run.tags.get(WILL_RETRY_TAG) != "true" and not history.n_failures:
        return "settled"
    waited = (now - max(run.updated_at, first_look_at)).total_seconds()
    return "lost" if waited > patience_seconds else "pending"


def retry_marks(run_id: str, state: RetryState) -> Mapping[str, str]:
    """Tags that a failed run is to carry once its retry stands so."""
    if state == "lost":
        return {LOST_TAG: run_id}
    if state == "given up":
        return {LOST_TAG: run_id, WILL_RETRY_TAG: "false"}
    return {LOST_TAG: "", WILL_RETRY_TAG: "false"} if state == "declined" else {}


def lacks_retry(run_id: str, tags: Mapping[str, str], child: Child) -> bool:
    """Whether a failed run was to be retried and was not, so far.

    Args:
        run_id: The failed run.
        tags: Its tags.
        child: Whether there is a run that repeats it; a user may have launched that.
    """
    is_wanted = tags.get(WILL_RETRY_TAG) == "true" or tags.get(LOST_TAG) == run_id
    return is_wanted and not _has_retry(tags, child)


def _has_retry(tags: Mapping[str, str], child: Child) -> bool:
    """Whether a failed run was retried, also when a user has deleted the retry since."""
    return child == "submitted" or (child == "none" and AUTO_RETRY_RUN_ID_TAG in tags)

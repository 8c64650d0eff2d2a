"""Which automatic retries of runs got lost and may be asked for again. Pure.

Dagster loses a retry in three ways. It writes a run's failure, its status and the mark `will_retry`
one after the other; a daemon that reads in between skips the run and never looks at it again.
Whatever goes wrong while it launches a retry, such as a code location that is away for a moment,
makes it mark the run as one that is not to be retried. And it creates a retry, then submits it;
when it is cut short in between, the retry never begins. Asked again, it submits that one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG

from mlops_assets.kubernetes_runs.reaping import RunState

MOST_HAND_OVERS = 5
"""How often a retry that Dagster failed to launch is handed to it again."""

RetryState = Literal["lost", "pending", "settled"]
"""How the retry of a failed run stands.

- lost: nobody is to launch it any more.
- pending: Dagster may be about to.
- settled: it is there, there is to be none, or it was handed over often enough. Stays so.
"""
Child = Literal["none", "created", "submitted"]
"""Whether there are runs that repeat another, and whether one of them was more than created."""


@dataclass(frozen=True, slots=True)
class RetryHistory:
    """What became of a failed run's retry so far.

    Attributes:
        child: Whether there is a run that repeats it.
        n_failures: How often Dagster failed to launch it.
        n_hand_overs: How often it was handed to Dagster again.
    """

    child: Child
    n_failures: int
    n_hand_overs: int


def assess_children(statuses: Iterable[str]) -> Child:
    """Of the runs that repeat another, by their statuses in Dagster's words."""
    distinct = set(statuses)
    if not distinct:
        return "none"
    return "created" if distinct == {"NOT_STARTED"} else "submitted"


def has_retry(tags: Mapping[str, str], child: Child) -> bool:
    """Whether a failed run was retried, also when a user has deleted the retry since.

    Args:
        tags: Of the failed run; the retry is named there once it is created.
        child: Of the failed run.
    """
    return child == "submitted" or (child == "none" and AUTO_RETRY_RUN_ID_TAG in tags)


def judge_retry(
    run: RunState,
    history: RetryHistory,
    now: datetime,
    first_look_at: datetime,
    patience_seconds: float,
) -> RetryState:
    """How the retry of a run stands; the first rule that applies.

    A retry of which no failure is told is handed over once: when Dagster then launches none, it has
    told the run why, such as a backfill that is over, and would do so every time.

    Args:
        run: A run that failed; its mark `will_retry` is written.
        history: What is told of its retry.
        now: Aware.
        first_look_at: When the daemon began to look, aware. What failed while it was down, Dagster
            sees no sooner either.
        patience_seconds: How long Dagster has to launch it, from the last change of the run or from
            the first look, whichever is later; so this is also the pause between two hand-overs.
    """
    if has_retry(run.tags, history.child):
        return "settled"
    is_to_be = run.tags.get(WILL_RETRY_TAG) == "true"
    most = MOST_HAND_OVERS if history.n_failures else int(is_to_be)
    if history.n_hand_overs >= most:
        return "settled"
    waited = (now - max(run.updated_at, first_look_at)).total_seconds()
    return "lost" if waited > patience_seconds else "pending"

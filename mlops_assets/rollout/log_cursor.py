"""What the prediction log's source must remember from tick to tick, and the warm-up it leaves out.

The first requests of each version count nowhere: they find cold caches and a process that has not
grown yet. They are counted over all windows of a rollout, each request once.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from mlops_assets.rollout.metrics_source import Question

_MOST_WINDOWS = 4


@dataclass(slots=True)
class LogCursor:
    """What must be remembered from tick to tick.

    Attributes:
        since: Begin of the window that was asked for last.
        before: By revision, requests left out as warm-up in earlier windows.
        seen: By revision, requests of this window.
        left: By begin of the last windows and by revision, requests left out as warm-up in it.
        ranges: Bounds of a regression's ranges, fixed before the first window.
        slices: By criterion, the values that are judged.
        waiting: How much waited for the table when it was last seen not to move, and since when.
        existed: Whether the table was there.
    """

    since: str = ""
    before: dict[str, int] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    left: dict[str, dict[str, int]] = field(default_factory=dict)
    ranges: list[float] = field(default_factory=list)
    slices: dict[str, list[str]] = field(default_factory=dict)
    waiting: list[Any] = field(default_factory=list)
    existed: bool = False

    def to_text(self) -> str:
        """The form in which it is stored."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @staticmethod
    def of(text: str) -> "LogCursor":
        """The cursor of its stored form."""
        try:
            return LogCursor(**json.loads(text)) if text else LogCursor()
        except (ValueError, TypeError):  # of an older version: what it held is found again
            return LogCursor()


def start_window(question: Question, cursor: LogCursor) -> dict[str, int]:
    """How many requests of each revision are to be left out as warm-up in the question's window."""
    since = question.since.isoformat()
    if cursor.since != since:
        for revision, n in cursor.seen.items():
            cursor.before[revision] = min(
                question.warm_up_requests, cursor.before.get(revision, 0) + n
            )
        cursor.since, cursor.seen = since, {}
        cursor.left = dict(list(cursor.left.items())[1 - _MOST_WINDOWS :])
    cursor.left[since] = {
        revision: max(0, question.warm_up_requests - cursor.before.get(revision, 0))
        for revision in question.revisions.values()
    }
    return cursor.left[since]


def without_warm_up(
    question: Question, answers: pl.DataFrame, failures: pl.DataFrame, left: Mapping[str, int]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Answers and failures without the first requests of each arm.

    Args:
        question: Whose revisions are the arms.
        answers: As `measuring.py` describes them.
        failures: Likewise.
        left: By revision, how many requests are to be left out.
    """
    kept_answers, kept_failures = [], []
    for arm, revision in question.revisions.items():
        mine = answers.filter(pl.col("arm") == arm)
        failed = failures.filter(pl.col("arm") == arm)
        times = pl.concat([mine.select("id", "at"), failed.select("id", "at")])
        first = times.group_by("id").agg(pl.col("at").min()).sort("at", "id")
        warm = first.head(left.get(revision, 0)).select("id")
        kept_answers.append(mine.join(warm, on="id", how="anti"))
        kept_failures.append(failed.join(warm, on="id", how="anti"))
    return pl.concat(kept_answers), pl.concat(kept_failures)

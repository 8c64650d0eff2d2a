"""The numbers of a rollout on a cluster, from both who know some: counters and the prediction log.

Counters know each request and whether it was answered, and how long it took. The log of a cluster
knows what was answered and, as truth arrives, how good that was; of requests without an answer it
knows nothing.
"""

import json
from collections.abc import Mapping, Sequence

import polars as pl

from mlops_assets.rollout.evidence import Arm, ArmEvidence
from mlops_assets.rollout.log_source import PredictionLogSource
from mlops_assets.rollout.metrics_source import Measured, MetricsSource, Question
from mlops_assets.rollout.policy import Criterion

_OF_COUNTERS = ("error_ratio", "latency")


class JoinedSource:
    """`MetricsSource` that asks each source for what it knows.

    Without counters nothing is known; a log that does not answer makes its own criteria unknown.

    Args:
        counters: Knows errors and latencies.
        log: Knows answers and truths.
    """

    def __init__(self, counters: MetricsSource, log: PredictionLogSource) -> None:
        self._counters = counters
        self._log = log

    def measure(self, question: Question) -> Measured:
        """The numbers of a window; never raises."""
        cursors = _read_cursors(question.cursor)
        counted = self._counters.measure(_part(question, cursors["counters"], of_counters=True))
        logged = Measured(cursor=cursors["log"])
        ours = _part(question, cursors["log"], of_counters=False)
        if ours.criteria:
            logged = self._log.measure(ours)
        missing = {**counted.missing, **logged.missing}
        if logged.source_error is not None:
            missing |= {c.title: logged.source_error for c in ours.criteria}
        return Measured(
            arms=_joined(counted.arms, logged.arms),
            late=logged.late,
            source_error=counted.source_error,
            missing=missing,
            cursor=json.dumps({"counters": counted.cursor, "log": logged.cursor}),
        )

    def answers(self, question: Question, features: Sequence[str]) -> pl.DataFrame:
        """The answers of the window, of the log."""
        return self._log.answers(question, features)


def _part(question: Question, cursor: str, *, of_counters: bool) -> Question:
    criteria = tuple(c for c in question.criteria if _is_counted(c) == of_counters)
    return question.model_copy(update={"criteria": criteria, "cursor": cursor})


def _is_counted(criterion: Criterion) -> bool:
    return criterion.metric in _OF_COUNTERS and criterion.slice_by is None


def _joined(
    counted: Mapping[Arm, ArmEvidence], logged: Mapping[Arm, ArmEvidence]
) -> dict[Arm, ArmEvidence]:
    """The arms as counted, each with what the log knows of it."""
    found = {}
    for arm, did in counted.items():
        more = logged.get(arm)
        if more is None:
            found[arm] = did
            continue
        measures = {**did.measures, **more.measures}
        found[arm] = did.model_copy(update={"measures": measures, "slices": more.slices})
    return found


def _read_cursors(text: str) -> dict[str, str]:
    nothing = {"counters": "", "log": ""}
    try:
        found = json.loads(text) if text else nothing
    except ValueError:  # of a source that was in use before
        return nothing
    is_ours = isinstance(found, dict) and found.keys() == nothing.keys()
    return found if is_ours else nothing

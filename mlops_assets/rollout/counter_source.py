"""The numbers of a rollout from counters: errors and latencies, of pods or of Prometheus.

Counters know neither callers nor answers nor truth. What a criterion needs beyond errors and
latency is `missing`, with the reason, and so is all where callers are the unit.
"""

from collections.abc import Mapping
from datetime import datetime

from pydantic import ValidationError

from mlops_assets.errors import ServingError
from mlops_assets.kserve.counters import CounterReader, Counters, Window
from mlops_assets.rollout.evidence import Arm, ArmEvidence
from mlops_assets.rollout.measures import Histogram, Measure, Moments
from mlops_assets.rollout.metrics_source import Measured, Question
from mlops_assets.rollout.policy import Criterion
from mlops_assets.rollout.record import Record
from mlops_assets.serving.predictor.metrics import BUCKETS_SECONDS


class _Cursor(Record):
    """What must be remembered from tick to tick.

    Attributes:
        since: The window that it speaks of.
        start: From when requests count: later than `since` by the warm-up.
        warm: Revisions whose warm-up is over; once it is, it is for the whole rollout.
        reader: The reader's own cursor.
    """

    since: datetime
    start: datetime
    warm: tuple[str, ...] = ()
    reader: str = ""


class CounterSource:
    """`MetricsSource` over counters.

    The warm-up is over once each version has answered its first requests; counting starts then for
    all of them, so that they are compared over the same time.

    Args:
        reader: Who knows the counters.
    """

    def __init__(self, reader: CounterReader) -> None:
        self._reader = reader

    def measure(self, question: Question) -> Measured:
        """The numbers of a window; never raises."""
        cursor = _cursor_of(question)
        try:
            window = Window(cursor.start, question.until)
            revisions = list(question.revisions.values())
            reading = self._reader.read(question.service, revisions, window, cursor.reader)
        except ServingError as error:
            return Measured(source_error=str(error), cursor=question.cursor)
        counters = reading.counters
        update: dict[str, object] = {"reader": reading.cursor}
        cold = [name for name in revisions if name not in cursor.warm]
        if cold and not question.warm_up_requests:
            update["warm"] = (*cursor.warm, *cold)
        elif cold:
            fewest = min(counters.get(name, Counters()).n_requests for name in cold)
            if fewest >= question.warm_up_requests:
                warm = (*cursor.warm, *cold)
                update = {"warm": warm, "start": question.until, "reader": ""}
            counters = dict.fromkeys(counters, Counters())
        return Measured(
            arms=_arms(question, counters),
            missing=_missing(question, counters),
            cursor=cursor.model_copy(update=update).model_dump_json(),
        )


def _cursor_of(question: Question) -> _Cursor:
    fresh = _Cursor(since=question.since, start=question.since)
    if not question.cursor:
        return fresh
    try:
        held = _Cursor.model_validate_json(question.cursor)
    except ValidationError:  # of an older version, or of another source
        return fresh
    return held if held.since == question.since else fresh.model_copy(update={"warm": held.warm})


def _arms(question: Question, counters: Mapping[str, Counters]) -> dict[Arm, ArmEvidence]:
    found: dict[Arm, ArmEvidence] = {}
    for arm, revision in question.revisions.items():
        if revision in counters:
            counted = counters[revision]
            found[arm] = ArmEvidence(
                n_requests=counted.n_requests,
                n_units=counted.n_requests,
                measures=_measures(question, counted),
            )
    return found


def _measures(question: Question, counted: Counters) -> dict[str, Measure]:
    measures: dict[str, Measure] = {}
    for criterion in question.criteria:
        if _why_unknown(question, criterion) is not None:
            continue
        if criterion.metric == "error_ratio":
            measures[criterion.title] = Moments.of_flags(counted.n_requests, counted.n_errors)
        else:
            measures[criterion.title] = Histogram(
                edges=BUCKETS_SECONDS, counts=counted.bins, n_units=sum(counted.bins)
            )
    return measures


def _missing(question: Question, counters: Mapping[str, Counters]) -> dict[str, str]:
    absent = [name for name in question.revisions.values() if name not in counters]
    found = {}
    for criterion in question.criteria:
        reason = _why_unknown(question, criterion)
        if reason is None and absent:
            reason = f"nothing was counted of {', '.join(absent)}"
        if reason is not None:
            found[criterion.title] = reason
    return found


def _why_unknown(question: Question, criterion: Criterion) -> str | None:
    if question.mirrored:
        return "counters do not tell copies of requests apart; it needs the prediction log"
    if question.by_unit:
        return "counters do not tell callers apart; it needs the prediction log"
    if criterion.metric not in ("error_ratio", "latency"):
        return f"counters know no {criterion.metric}; it needs the prediction log"
    if criterion.slice_by is not None:
        return f"counters know no {criterion.slice_by}; it needs the prediction log"
    return None

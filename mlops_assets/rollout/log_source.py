"""The numbers of a rollout from the prediction log: the one source that knows all of them.

Here: which tables are read, and what is fixed once for a rollout. A log that is gone, cannot be
read, or that nobody moves records into is unknown, which is never taken for good.
Not here: what is kept of a row (`log_rows.py`), warm-up (`log_cursor.py`), the sums
(`measuring.py`), and how files are read once (`log_tail.py`).
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from mlops_assets.errors import MlopsError, ServingError
from mlops_assets.modeling.importing import import_object
from mlops_assets.rollout.evidence import Arm, ArmEvidence
from mlops_assets.rollout.log_cursor import LogCursor, start_window, without_warm_up
from mlops_assets.rollout.log_motion import digest, find_waiting, require_moving
from mlops_assets.rollout.log_rows import (
    ANSWERS,
    FAILED,
    TRUTHS,
    empty,
    reduce_answers,
    reduce_failures,
    reduce_truths,
    score_of_row,
)
from mlops_assets.rollout.log_tail import Tail
from mlops_assets.rollout.measuring import (
    FEATURE_PREFIX,
    VALUE_PREFIX,
    frequent_values,
    measure_arms,
    score_ranges,
)
from mlops_assets.rollout.metrics_source import Measured, Question
from mlops_assets.serving.home import ServingHome
from mlops_assets.serving.prediction_log.store import PredictionStore
from mlops_assets.serving.prediction_log.tables import FAILURES, PREDICTIONS, TRUTH

if TYPE_CHECKING:
    from deltalake import DeltaTable

_EARLIER = timedelta(days=7)
_MOST_EARLIER_ROWS = 10_000
_LATE_METRICS = ("quality", "function")
_WINDOW = "%Y%m%dT%H%M%S.%f"

Reduce = Callable[[pl.LazyFrame], pl.LazyFrame]


@dataclass(frozen=True, slots=True)
class LogPlace:
    """Where a prediction log is, and where what was read of it is kept.

    Attributes:
        root: Of the tables: a folder or a URL.
        kept: Folder for what was read already; it may be lost at any time.
        segments: Folder of the records on their way to the tables, by service; None: they are not
            on this machine, and whether they move is not known.
        storage_options: As deltalake takes them.
    """

    root: str
    kept: Path
    segments: Path | None = None
    storage_options: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def under(home: Path) -> "LogPlace":
        """The log of this machine's gateway."""
        serving = ServingHome.under(home)
        return LogPlace(str(serving.tables), serving.rollouts, serving.predictions)


class PredictionLogSource:
    """`MetricsSource` that reads a prediction log."""

    def __init__(self, place: LogPlace) -> None:
        self._place = place
        self._store = PredictionStore(place.root, place.storage_options)

    def measure(self, question: Question) -> Measured:
        """Read what is new, and sum up the window."""
        cursor = LogCursor.of(question.cursor)
        try:
            self._require_moving(question, cursor)
            return self._measure(question, cursor)
        except (MlopsError, OSError, pl.exceptions.PolarsError) as error:
            reason = f"the prediction log cannot be read: {error}"
            return Measured(source_error=reason, cursor=cursor.to_text())

    def _measure(self, question: Question, cursor: LogCursor) -> Measured:
        every_answer, every_failure = self._read(question, question.since, None)
        self._fix(question, cursor, every_answer)
        left = start_window(question, cursor)
        cursor.seen = {
            revision: _count("id", every_answer, every_failure, arm)
            for arm, revision in question.revisions.items()
        }
        answers, failures = without_warm_up(question, every_answer, every_failure, left)
        answers, missing = _with_values(question, answers)
        missing |= _without_shares(question, answers)
        if not cursor.ranges and question.subject.task == "regression":
            missing |= {
                c.title: "there are no earlier predictions to take ranges of"
                for c in question.criteria
                if c.metric == "prediction_distribution"
            }
        arms = measure_arms(
            answers,
            failures,
            _measurable(question, missing),
            ranges=cursor.ranges,
            slices=cursor.slices,
        )
        arms = _with_warming(question, arms, every_answer, every_failure)
        late, unknown = self._late(question, cursor, missing)
        missing |= unknown
        return Measured(arms=arms, late=late, missing=missing, cursor=cursor.to_text())

    def answers(self, question: Question, features: Sequence[str]) -> pl.DataFrame:
        """The answers of the window with some features, for a report; warm-up is not left out.

        Raises:
            ServingError: the log cannot be read.
        """
        return self._read(question, question.since, None, features)[0]

    def forget(self, service: str) -> None:
        """Remove what is kept of a service's log; it is read again when it is asked for."""
        shutil.rmtree(self._kept(service), ignore_errors=True)

    def _late(
        self, question: Question, cursor: LogCursor, missing: Mapping[str, str]
    ) -> tuple[dict[Arm, ArmEvidence], dict[str, str]]:
        """What truth has since said of the last stage in which both versions answered, and what it
        could not say."""
        criteria = tuple(c for c in question.criteria if c.metric in _LATE_METRICS)
        if question.compared is None or not criteria:
            return {}, {}
        start, end = question.compared
        earlier = question.model_copy(
            update={"since": start, "until": end, "criteria": criteria, "mirrored": False}
        )
        answers, failures = self._read(earlier, start, end)
        left = cursor.left.get(start.isoformat(), {})
        answers, failures = without_warm_up(earlier, answers, failures, left)
        answers, unknown = _with_values(earlier, answers)
        unknown |= _without_shares(earlier, answers)
        measurable = _measurable(earlier, {**missing, **unknown})
        return measure_arms(answers, failures, measurable), unknown

    # Reading

    def _read(
        self,
        question: Question,
        start: datetime,
        end: datetime | None,
        more: Sequence[str] = (),
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Answers, with their truth where a criterion needs it, and failures; each row once."""
        features = {c.slice_by for c in question.criteria if c.slice_by is not None} | {*more}
        everything = any(c.metric == "function" for c in question.criteria)
        kept_of = [question.mirrored, question.subject.model_dump(), everything or sorted(features)]
        key = digest([sorted(question.revisions.items()), *kept_of])
        folder = self._kept(question.service) / f"{start:{_WINDOW}}-{key}"
        self._sweep(question, folder)

        def keep_answers(rows: pl.LazyFrame) -> pl.LazyFrame:
            return reduce_answers(rows, question, start, end, None if everything else features)

        def keep_failures(rows: pl.LazyFrame) -> pl.LazyFrame:
            return reduce_failures(rows, question, start, end)

        answers = self._tail(question.service, PREDICTIONS, folder, keep_answers)
        failures = self._tail(question.service, FAILURES, folder, keep_failures)
        answers = empty(ANSWERS) if answers is None else answers
        answers = answers.sort("at", maintain_order=True).unique(
            ["arm", "id", "row"], keep="first", maintain_order=True
        )
        failures = empty(FAILED) if failures is None else failures
        failures = failures.sort("at").unique(["arm", "id"], keep="first", maintain_order=True)
        return self._with_truth(question, start, folder, answers), failures

    def _with_truth(
        self, question: Question, start: datetime, folder: Path, answers: pl.DataFrame
    ) -> pl.DataFrame:
        """The answers with the first truth of each, where any criterion needs one."""
        truths = None
        if any(c.metric in _LATE_METRICS for c in question.criteria):
            truths = self._tail(
                question.service, TRUTH, folder, lambda rows: reduce_truths(rows, start)
            )
        truths = empty(TRUTHS) if truths is None else truths
        first = truths.sort("received_at").unique(["id", "row"], keep="first", maintain_order=True)
        return answers.join(first.drop("received_at"), on=["id", "row"], how="left")

    def _tail(self, service: str, table: str, folder: Path, reduce: Reduce) -> pl.DataFrame | None:
        opened = self._open(service, table)
        if opened is None:
            return None
        uri, options = self._store.uri(service, table), dict(self._place.storage_options)
        return Tail(folder / table, uri, reduce, options).read(opened)

    def _open(self, service: str, table: str) -> "DeltaTable | None":
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        uri = self._store.uri(service, table)
        try:
            return DeltaTable(uri, storage_options=dict(self._place.storage_options) or None)
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as error:
            raise ServingError(f"{uri}: {error}") from error

    def _kept(self, service: str) -> Path:
        return self._place.kept / f".{service}.cache"

    def _sweep(self, question: Question, folder: Path) -> None:
        """Remove what was kept for windows that nobody asks for any more."""
        starts = [question.since, *(question.compared or ())]
        wanted = {f"{start:{_WINDOW}}" for start in starts}
        for other in self._kept(question.service).glob("*"):
            if other != folder and other.name.rpartition("-")[0] not in wanted:
                shutil.rmtree(other, ignore_errors=True)

    # What is fixed once

    def _fix(self, question: Question, cursor: LogCursor, answers: pl.DataFrame) -> None:
        """Ranges and slices, taken of what the stable version answered before the rollout."""
        wanted = {c.title: c.slice_by for c in question.criteria if c.slice_by is not None}
        needs_ranges = question.subject.task == "regression" and any(
            c.metric == "prediction_distribution" for c in question.criteria
        )
        if wanted.keys() <= cursor.slices.keys() and (cursor.ranges or not needs_ranges):
            return
        earlier = self._earlier(question, {str(name) for name in wanted.values()})
        of_stable = answers.filter(pl.col("arm") == "stable")
        rows = earlier if earlier.height else of_stable
        for title, feature in wanted.items():
            found = frequent_values(rows, str(feature))
            if title not in cursor.slices and found:
                cursor.slices[title] = found
        if needs_ranges and not cursor.ranges and earlier.height:
            scores = earlier["score"].drop_nulls()
            cursor.ranges = list(score_ranges(scores.filter(scores.is_finite()).to_numpy()))

    def _earlier(self, question: Question, features: set[str]) -> pl.DataFrame:
        start = question.since - _EARLIER
        columns = [FEATURE_PREFIX + name for name in sorted(features)]
        rows = self._store.scan_predictions(question.service, start, question.since)
        known = rows.collect_schema().names()
        stable = rows.filter(pl.col("revision") == question.revisions["stable"])
        chosen = stable.select(score_of_row(), *[name for name in columns if name in known])
        return chosen.tail(_MOST_EARLIER_ROWS).collect()

    def _require_moving(self, question: Question, cursor: LogCursor) -> None:
        opened, segments = self._open(question.service, PREDICTIONS), self._place.segments
        waiting = None if segments is None else find_waiting(segments / question.service, opened)
        uri = self._store.uri(question.service, PREDICTIONS)
        require_moving(opened, uri, waiting, cursor, question.until)


def _count(column: str, answers: pl.DataFrame, failures: pl.DataFrame, arm: str) -> int:
    """Different ids or units of an arm, failed or not."""
    found = [frame.filter(pl.col("arm") == arm)[column] for frame in (answers, failures)]
    return pl.concat(found).n_unique()


def _with_warming(
    question: Question,
    arms: Mapping[Arm, ArmEvidence],
    answers: pl.DataFrame,
    failures: pl.DataFrame,
) -> dict[Arm, ArmEvidence]:
    """The arms, each with the units of which only warm-up was seen."""
    column = "unit" if question.by_unit else "id"
    return {
        arm: did.model_copy(
            update={"n_units_warming": _count(column, answers, failures, arm) - did.n_units}
        )
        for arm, did in arms.items()
    }


def _with_values(question: Question, answers: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, str]]:
    """What each criterion's function says of each row, and which of them could not say."""
    missing: dict[str, str] = {}
    names = {"id": "prediction_id", "at": "event_time", "seconds": "latency_seconds"}
    names |= {"label": "prediction"}
    frame = answers.drop("invalid", "arm").rename(names)
    for criterion in question.criteria:
        if criterion.function is None:
            continue
        try:
            values = import_object(criterion.function)(frame)
            if values.len() != frame.height:
                raise ValueError(f"found {values.len()} values for {frame.height} rows")
            values = values.cast(pl.Float64).alias(VALUE_PREFIX + criterion.title)
            answers = answers.with_columns(values)
        except Exception as error:  # a user's function may do anything
            missing[criterion.title] = f"{criterion.function}: {type(error).__name__}: {error}"
    return answers, missing


def _without_shares(question: Question, answers: pl.DataFrame) -> dict[str, str]:
    """Criteria that need the probability of each class, of versions that know other classes."""
    criteria = [c for c in question.criteria if c.quality in ("brier_score", "log_loss")]
    shares = answers.filter(~pl.col("invalid"))["probabilities"]
    lengths = shares.list.len().drop_nulls().unique()
    n_classes = len(question.subject.classes)
    other = next((n for n in lengths.to_list() if n != n_classes), None)
    if other is None:
        return {}
    reason = f"there are {other} probabilities in an answer, and {n_classes} classes"
    return {criterion.title: reason for criterion in criteria}


def _measurable(question: Question, missing: Mapping[str, str]) -> Question:
    criteria = tuple(c for c in question.criteria if c.title not in missing)
    return question.model_copy(update={"criteria": criteria})

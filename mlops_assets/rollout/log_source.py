"""The numbers of a rollout from the prediction log: the one source that knows all of them.

Here: which rows belong to the question, what is left out as warm-up, and when the log itself is
broken: a table that is gone or cannot be read, or records that nobody moves into it. Then nothing
is known, which is never taken for good.
Not here: the sums (`measuring.py`), and how files are read once (`log_tail.py`).
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from mlops_assets.errors import MlopsError, ServingError
from mlops_assets.modeling.importing import import_object
from mlops_assets.rollout.evidence import Arm, ArmEvidence
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
from mlops_assets.serving.prediction_log.segments import list_segments, read_first
from mlops_assets.serving.prediction_log.store import (
    FAILURES,
    PREDICTIONS,
    TRUTH,
    PredictionStore,
)

if TYPE_CHECKING:
    from deltalake import DeltaTable

STUCK_AFTER = timedelta(seconds=60)
"""How long records may wait for the table before the log counts as broken; usually 2 s."""
_EARLIER = timedelta(days=7)
_MOST_EARLIER_ROWS = 10_000
_LATE_METRICS = ("quality", "function")

_ANSWERS: dict[str, Any] = {
    "id": pl.String(),
    "row": pl.Int32(),
    "at": pl.Datetime("us", "UTC"),
    "arm": pl.String(),
    "unit": pl.String(),
    "seconds": pl.Float64(),
    "label": pl.String(),
    "score": pl.Float64(),
    "probabilities": pl.List(pl.Float64()),
    "invalid": pl.Boolean(),
}
_FAILURES: dict[str, Any] = {
    "id": pl.String(),
    "at": pl.Datetime("us", "UTC"),
    "arm": pl.String(),
    "unit": pl.String(),
}
_TRUTHS: dict[str, Any] = {
    "id": pl.String(),
    "row": pl.Int32(),
    "truth": pl.String(),
    "received_at": pl.Datetime("us", "UTC"),
}


@dataclass(slots=True)
class _Cursor:
    """What must be remembered from tick to tick.

    Attributes:
        since: Begin of the window that was asked for last.
        before: By revision, requests left out as warm-up in earlier windows.
        seen: By revision, requests of this window.
        ranges: Bounds of a regression's ranges, fixed before the first window.
        slices: By criterion, the values that are judged.
        waiting: How much waited for the table when it was last seen not to move, and since when.
        existed: Whether the table was there.
    """

    since: str = ""
    before: dict[str, int] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    ranges: list[float] = field(default_factory=list)
    slices: dict[str, list[str]] = field(default_factory=dict)
    waiting: list[Any] = field(default_factory=list)
    existed: bool = False

    def to_text(self) -> str:
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @staticmethod
    def of(text: str) -> "_Cursor":
        try:
            return _Cursor(**json.loads(text)) if text else _Cursor()
        except (ValueError, TypeError):  # of an older version: what it held is found again
            return _Cursor()


class PredictionLogSource:
    """`MetricsSource` that reads the prediction log of one machine."""

    def __init__(self, home: Path) -> None:
        self._home = ServingHome.under(home)
        self._store = PredictionStore(str(self._home.tables))

    def measure(self, question: Question) -> Measured:
        """Read what is new, and sum up the window."""
        cursor = _Cursor.of(question.cursor)
        try:
            self._require_moving(question, cursor)
            return self._measure(question, cursor)
        except (MlopsError, OSError, pl.exceptions.PolarsError) as error:
            reason = f"the prediction log cannot be read: {error}"
            return Measured(source_error=reason, cursor=cursor.to_text())

    def _measure(self, question: Question, cursor: _Cursor) -> Measured:
        answers, failures = self._read(question, question.since, None)
        self._fix(question, cursor, answers)
        left = _start_window(question, cursor)
        n_by_arm = {arm: _count(answers, failures, arm) for arm in question.revisions}
        cursor.seen = {question.revisions[arm]: n for arm, n in n_by_arm.items()}
        answers, failures = _without_warm_up(question, answers, failures, left)
        answers, missing = _with_values(question, answers)
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
        late = self._late(question, missing)
        return Measured(arms=arms, late=late, missing=missing, cursor=cursor.to_text())

    def answers(self, question: Question, features: Sequence[str]) -> pl.DataFrame:
        """The answers of the window with some features, for a report; warm-up is not left out.

        Raises:
            ServingError: the log cannot be read.
        """
        return self._read(question, question.since, None, features)[0]

    def forget(self, service: str) -> None:
        """Remove what is kept of a service's log; it is read again when it is asked for."""
        shutil.rmtree(self._cache(service), ignore_errors=True)

    def _late(self, question: Question, missing: Mapping[str, str]) -> dict[Arm, ArmEvidence]:
        """What truth has since said of the last stage in which both versions answered."""
        criteria = tuple(c for c in question.criteria if c.metric in _LATE_METRICS)
        if question.compared is None or not criteria:
            return {}
        start, end = question.compared
        earlier = question.model_copy(
            update={"since": start, "until": end, "criteria": criteria, "mirrored": False}
        )
        answers, failures = self._read(earlier, start, end)
        answers, unknown = _with_values(earlier, answers)
        return measure_arms(answers, failures, _measurable(earlier, {**missing, **unknown}))

    # Reading

    def _read(
        self,
        question: Question,
        start: datetime,
        end: datetime | None,
        more: Sequence[str] = (),
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        features = {c.slice_by for c in question.criteria if c.slice_by is not None} | {*more}
        everything = any(c.metric == "function" for c in question.criteria)
        needs_truth = any(c.metric in _LATE_METRICS for c in question.criteria)
        key = _digest([sorted(question.revisions.items()), question.mirrored, sorted(features)])
        place = self._cache(question.service) / f"{start:%Y%m%dT%H%M%S.%f}-{key}"
        self._sweep(question, place)

        def reduce_answers(rows: pl.LazyFrame) -> pl.LazyFrame:
            return _reduce_answers(rows, question, start, end, None if everything else features)

        def reduce_failures(rows: pl.LazyFrame) -> pl.LazyFrame:
            return _reduce_failures(rows, question, start, end)

        answers = self._tail(question.service, PREDICTIONS, place, reduce_answers)
        failures = self._tail(question.service, FAILURES, place, reduce_failures)
        answers = _empty(_ANSWERS) if answers is None else answers
        answers = answers.sort("at", maintain_order=True).unique(
            ["arm", "id", "row"], keep="first", maintain_order=True
        )
        failures = _empty(_FAILURES) if failures is None else failures
        failures = failures.sort("at").unique(["arm", "id"], keep="first", maintain_order=True)
        truths = None
        if needs_truth:
            truths = self._tail(question.service, TRUTH, place, lambda r: _reduce_truths(r, start))
        truths = _empty(_TRUTHS) if truths is None else truths
        first = truths.sort("received_at").unique(["id", "row"], keep="first", maintain_order=True)
        answers = answers.join(first.drop("received_at"), on=["id", "row"], how="left")
        return answers, failures

    def _tail(self, service: str, table: str, place: Path, reduce: Any) -> pl.DataFrame | None:
        opened = self._open(service, table)
        if opened is None:
            return None
        uri = self._store.uri(service, table)
        return Tail(place / table, uri, reduce, {}).read(opened)

    def _open(self, service: str, table: str) -> "DeltaTable | None":
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        uri = self._store.uri(service, table)
        try:
            return DeltaTable(uri)
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as error:
            raise ServingError(f"{uri}: {error}") from error

    def _cache(self, service: str) -> Path:
        return self._home.rollouts / f".{service}.cache"

    def _sweep(self, question: Question, place: Path) -> None:
        """Remove what was kept for windows that nobody asks for any more."""
        starts = [question.since, *(question.compared or ())]
        wanted = {f"{start:%Y%m%dT%H%M%S.%f}" for start in starts}
        for other in self._cache(question.service).glob("*"):
            if other != place and other.name.rpartition("-")[0] not in wanted:
                shutil.rmtree(other, ignore_errors=True)

    # What is fixed once

    def _fix(self, question: Question, cursor: _Cursor, answers: pl.DataFrame) -> None:
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
        chosen = stable.select(_score(), *[name for name in columns if name in known])
        return chosen.tail(_MOST_EARLIER_ROWS).collect()

    # Whether the log moves

    def _require_moving(self, question: Question, cursor: _Cursor) -> None:
        """Refuse numbers of a table that records do not reach any more."""
        opened = self._open(question.service, PREDICTIONS)
        if opened is None and cursor.existed:
            uri = self._store.uri(question.service, PREDICTIONS)
            raise ServingError(f"{uri} was there and is gone")
        cursor.existed = opened is not None
        waiting = self._waiting(question.service, opened)
        if waiting is None:
            cursor.waiting = []
            return
        if not cursor.waiting or cursor.waiting[0] != waiting:
            cursor.waiting = [waiting, question.until.isoformat()]
        since = datetime.fromisoformat(cursor.waiting[1])
        if question.until - since > STUCK_AFTER:
            raise ServingError(
                f"records wait for {self._store.uri(question.service, PREDICTIONS)} since "
                f"{since:%H:%M:%S} (UTC) and nobody moves them; is the gateway's sink alive?"
            )

    def _waiting(self, service: str, opened: "DeltaTable | None") -> str | None:
        """How far the table is, when records wait for it; None when none does."""
        committed, waits = [], False
        for path in list_segments(self._home.predictions / service):
            try:
                size, first = path.stat().st_size, read_first(path)[1]
            except FileNotFoundError:
                continue  # moved meanwhile
            offset = 0 if opened is None else opened.transaction_version(path.name) or 0
            committed.append([path.name, offset])
            waits = waits or size > max(first, offset)
        return _digest(committed) if waits else None


def _reduce_answers(
    rows: pl.LazyFrame,
    question: Question,
    start: datetime,
    end: datetime | None,
    features: set[str] | None,
) -> pl.LazyFrame:
    """The rows of the arms in the window; of features all, or those named."""
    known = rows.collect_schema().names()
    wanted = [FEATURE_PREFIX + name for name in sorted(features or ())]
    if features is None:
        wanted = [name for name in known if name.startswith(FEATURE_PREFIX)]
    score = _score()
    shares = pl.col("probabilities").list.eval(~pl.element().is_finite()).list.any()
    unit = pl.col("unit") if "unit" in known else pl.lit("")
    return _inside(rows, start, end).select(
        id=pl.col("prediction_id"),
        row=pl.col("row"),
        at=pl.col("event_time"),
        arm=_arm(question),
        unit=pl.when(unit == "").then(pl.col("prediction_id")).otherwise(unit),
        seconds=pl.col("latency_ms") / 1000,
        label=pl.col("prediction"),
        score=score,
        probabilities=pl.col("probabilities"),
        invalid=shares.fill_null(False)
        | (~score.is_finite()).fill_null(question.subject.task == "regression")
        | pl.col("prediction").str.to_lowercase().is_in(["nan", "none", "inf", "-inf"]),
        **{name: pl.col(name) for name in wanted if name in known},
    ).filter(pl.col("arm").is_not_null())  # fmt: skip


def _reduce_failures(
    rows: pl.LazyFrame, question: Question, start: datetime, end: datetime | None
) -> pl.LazyFrame:
    unit = pl.col("unit")
    return _inside(rows, start, end).select(
        id=pl.col("prediction_id"),
        at=pl.col("event_time"),
        arm=_arm(question),
        unit=pl.when(unit == "").then(pl.col("prediction_id")).otherwise(unit),
    ).filter(pl.col("arm").is_not_null())  # fmt: skip


def _reduce_truths(rows: pl.LazyFrame, start: datetime) -> pl.LazyFrame:
    return rows.filter(pl.col("received_at") >= start.astimezone(UTC)).select(
        id=pl.col("prediction_id"),
        row=pl.col("row"),
        truth=pl.col("value"),
        received_at=pl.col("received_at"),
    )


def _inside(rows: pl.LazyFrame, start: datetime, end: datetime | None) -> pl.LazyFrame:
    rows = rows.filter(pl.col("event_time") >= start.astimezone(UTC))
    return rows if end is None else rows.filter(pl.col("event_time") < end.astimezone(UTC))


def _arm(question: Question) -> pl.Expr:
    """Whose answer a row is; null: nobody's that is asked about."""
    arm = pl.lit(None, pl.String)
    for name, revision in question.revisions.items():
        shadow = question.mirrored and name == "challenger"
        is_its = (pl.col("revision") == revision) & (pl.col("shadow") == shadow)
        arm = pl.when(is_its).then(pl.lit(name)).otherwise(arm)
    return arm


def _score() -> pl.Expr:
    """The probability, or the predicted number where there is none."""
    number = pl.col("prediction").cast(pl.Float64, strict=False)
    return pl.coalesce(pl.col("probability"), number).alias("score")


def _start_window(question: Question, cursor: _Cursor) -> dict[str, int]:
    """How many requests of each revision are still to be left out as warm-up in this window."""
    since = question.since.isoformat()
    if cursor.since != since:
        for revision, n in cursor.seen.items():
            cursor.before[revision] = min(
                question.warm_up_requests, cursor.before.get(revision, 0) + n
            )
        cursor.since, cursor.seen = since, {}
    return {
        revision: question.warm_up_requests - cursor.before.get(revision, 0)
        for revision in question.revisions.values()
    }


def _without_warm_up(
    question: Question, answers: pl.DataFrame, failures: pl.DataFrame, left: Mapping[str, int]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    kept_answers, kept_failures = [], []
    for arm, revision in question.revisions.items():
        mine = answers.filter(pl.col("arm") == arm)
        failed = failures.filter(pl.col("arm") == arm)
        times = pl.concat([mine.select("id", "at"), failed.select("id", "at")])
        first = times.group_by("id").agg(pl.col("at").min()).sort("at", "id")
        warm = first.head(max(left[revision], 0)).select("id")
        kept_answers.append(mine.join(warm, on="id", how="anti"))
        kept_failures.append(failed.join(warm, on="id", how="anti"))
    return pl.concat(kept_answers), pl.concat(kept_failures)


def _count(answers: pl.DataFrame, failures: pl.DataFrame, arm: str) -> int:
    """Requests of an arm, failed or not."""
    ids = [frame.filter(pl.col("arm") == arm)["id"] for frame in (answers, failures)]
    return pl.concat(ids).n_unique()


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


def _measurable(question: Question, missing: Mapping[str, str]) -> Question:
    criteria = tuple(c for c in question.criteria if c.title not in missing)
    return question.model_copy(update={"criteria": criteria})


def _empty(types: Mapping[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(schema=dict(types))


def _digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]

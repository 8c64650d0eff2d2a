"""How good a candidate is, beside the champion and a dummy baseline, on the same rows."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mlops_assets.modeling.bootstrap import Resampled, StatisticOf, resample
from mlops_assets.modeling.calibration import Calibration, assess_calibration
from mlops_assets.modeling.contestants import (
    Contestant,
    Unreadable,
    answer,
    answer_baseline,
    single_row_calls,
    truth,
    why_not_comparable,
)
from mlops_assets.modeling.features import BuiltFrame
from mlops_assets.modeling.latency import Latency, measure_latency
from mlops_assets.modeling.metrics import (
    Floats,
    class_statistic,
    direction,
    metrics_of,
    number_statistic,
)
from mlops_assets.modeling.slices import Slice, cut_slices
from mlops_assets.modeling.split import TIME, judgeable
from mlops_assets.spec import ModelSpec
from mlops_assets.spec.data import Task
from mlops_assets.spec.model import Metric

ChampionStatus = Literal["judged", "not_judged", "none"]
ContestantName = Literal["candidate", "champion", "baseline"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(_Record):
    """A number with its interval. `value` is None when it is unknown; `reason` then says why.

    Attributes:
        value: The estimate on all rows.
        low: Lower end of the percentile bootstrap interval.
        high: Upper end.
        reason: Why a number is unknown; empty when all are known.
    """

    value: float | None
    low: float | None
    high: float | None
    reason: str = ""


class SliceResult(_Record):
    """The gated metric on the rows that share one value of one column."""

    column: str
    value: str
    n_rows: int
    candidate: Estimate
    champion: Estimate | None = None


class Evaluation(_Record):
    """Evidence on one candidate; JSON both ways.

    Attributes:
        model: Name of the model document.
        task: What is predicted.
        metric: The metric that gates compare.
        confidence: Level of all intervals.
        bootstrap_samples: Redraws behind each interval.
        n_training: Rows that the candidate was trained on.
        n_rows: Rows that judged; all contestants answered the same ones.
        rows: Which rows judged and which were left out, in words.
        oldest_at: Time of the oldest of them; None without a time column.
        newest_at: Time of the newest of them.
        decided_at: Only rows dated before this judged.
        metrics: By contestant and metric, with intervals.
        gains: Candidate minus contestant by metric, from paired draws, turned so that above zero
            means that the candidate is better.
        champion: Whether it was judged beside the candidate, could not be, or does not exist.
        champion_version: Registry version of the champion; None when there is none.
        champion_reason: Why it was not judged; empty when it was.
        slices: The gated metric by declared slice.
        calibration: Of the candidate.
        latency: Of one row by runtime: `sklearn`, and `onnx` when it is usable.
        candidate_digest: Model digest of the candidate.
        frame_digest: Digest of the training frame.
    """

    model: str
    task: Task
    metric: Metric
    confidence: float
    bootstrap_samples: int
    n_training: int
    n_rows: int
    rows: str
    oldest_at: datetime | None
    newest_at: datetime | None
    decided_at: datetime
    metrics: dict[ContestantName, dict[Metric, Estimate]]
    gains: dict[ContestantName, dict[Metric, Estimate]]
    champion: ChampionStatus
    champion_version: str | None
    champion_reason: str
    slices: list[SliceResult]
    calibration: Calibration
    latency: dict[str, Latency]
    candidate_digest: str
    frame_digest: str


@dataclass(frozen=True, slots=True)
class _Field:
    """What is judged: the rows, their truth, the answers by contestant."""

    rows: pl.DataFrame
    told: str
    truth: NDArray[Any]
    answers: dict[ContestantName, Floats]
    champion_reason: str

    @property
    def champion(self) -> ChampionStatus:
        """Whether the champion was judged; only for a champion that exists."""
        return "judged" if "champion" in self.answers else "not_judged"


_Key = tuple[ContestantName, Metric, int]  # the last: number of the slice, −1 for all rows
_ALL = -1


def evaluate(
    spec: ModelSpec,
    built: BuiltFrame,
    candidate: Contestant,
    champion: Contestant | Unreadable | None,
    decided_at: datetime,
) -> Evaluation:
    """Judge a candidate beside the champion and a baseline that knows only the target's shares.

    All answer the same rows: those dated before the decision that neither model was trained on.
    When no row can judge both, or the champion cannot be loaded, the candidate is judged on its own
    rows, and the champion's numbers are unknown, which the gate takes as a failure.
    """
    field = _open_field(built, candidate, champion, decided_at)
    slices = cut_slices(field.rows, spec.evaluation.slices)
    resampled = _resample(spec, field, slices)
    calls = single_row_calls(candidate, field.rows)
    times = field.rows[TIME] if TIME in field.rows.columns else pl.Series([], dtype=pl.Datetime)
    return Evaluation(
        model=spec.name,
        task=spec.target.task,
        metric=spec.metric,
        confidence=spec.evaluation.confidence,
        bootstrap_samples=spec.evaluation.bootstrap_samples,
        n_training=built.facts.n_training,
        n_rows=field.rows.height,
        rows=field.told,
        oldest_at=_as_time(times.min()),
        newest_at=_as_time(times.max()),
        decided_at=decided_at,
        metrics=_metrics(spec, field, resampled),
        gains=_gains(spec, field, resampled),
        champion="none" if champion is None else field.champion,
        champion_version=champion.version if champion else None,
        champion_reason=field.champion_reason,
        slices=_slice_results(spec, field, slices, resampled),
        calibration=assess_calibration(field.truth, field.answers["candidate"], spec.target.task),
        latency={runtime: measure_latency(call) for runtime, call in calls.items()},
        candidate_digest=candidate.manifest.model_digest,
        frame_digest=built.facts.digest,
    )


def _as_time(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None


def _open_field(
    built: BuiltFrame,
    candidate: Contestant,
    champion: Contestant | Unreadable | None,
    decided_at: datetime,
) -> _Field:
    """The rows that judge, and everybody's answers to them."""
    reason = "there is no champion yet" if champion is None else ""
    if isinstance(champion, Unreadable):
        reason = f"champion v{champion.version} cannot be loaded: {champion.reason}"
        champion = None
    if champion is not None and (unfit := why_not_comparable(champion, candidate)):
        reason, champion = f"the champion cannot answer these rows: {unfit}", None
    judged = judgeable(
        candidate.split, champion.split if champion else None, built.frame, decided_at
    )
    if champion is not None and not judged.mask.any():
        reason, champion = f"no row can judge both: {judged.reason}", None
        judged = judgeable(candidate.split, None, built.frame, decided_at)
    rows = built.frame.filter(judged.mask)
    classes = built.facts.classes
    answers: dict[ContestantName, Floats] = {"candidate": answer(candidate, rows, classes)}
    if champion is not None:
        answers["champion"] = answer(champion, rows, classes)
    answers["baseline"] = answer_baseline(built, rows.height)
    return _Field(rows, judged.reason, truth(rows, classes), answers, reason)


def _statistic_of(
    spec: ModelSpec, metric: Metric, truth: NDArray[Any], answers: Floats
) -> StatisticOf:
    build = number_statistic if spec.target.task == "regression" else class_statistic
    return lambda rows: build(metric, truth[rows], answers[rows])


def _resample(spec: ModelSpec, field: _Field, slices: list[Slice]) -> dict[_Key, Resampled]:
    """Every number that needs an interval. A slice has redraws of its own rows."""
    rng = np.random.default_rng(spec.model.seed)
    n_draws = spec.evaluation.bootstrap_samples
    overall: dict[_Key, StatisticOf] = {
        (name, metric, _ALL): _statistic_of(spec, metric, field.truth, answers)
        for name, answers in field.answers.items()
        for metric in metrics_of(spec.target.task)
    }
    found = resample(overall, field.rows.height, n_draws, rng)
    for number, part in enumerate(slices):
        truth = field.truth[part.rows]
        of_part: dict[_Key, StatisticOf] = {
            (name, spec.metric, number): _statistic_of(spec, spec.metric, truth, answers[part.rows])
            for name, answers in field.answers.items()
            if name != "baseline"
        }
        found |= resample(of_part, part.rows.size, n_draws, rng)
    return found


def _estimate(found: Resampled, spec: ModelSpec, metric: Metric, n_rows: int) -> Estimate:
    if not np.isfinite(found.value):
        reason = f"{metric} is undefined on these {n_rows:,} rows"
        return Estimate(value=None, low=None, high=None, reason=reason)
    interval = found.interval(spec.evaluation.confidence)
    if interval is None:
        n_known = int(np.isfinite(found.draws).sum())
        reason = (
            f"no interval: {metric} is defined in only {n_known:,} of {found.draws.size:,} redraws "
            f"of {n_rows:,} rows"
        )
        return Estimate(value=found.value, low=None, high=None, reason=reason)
    return Estimate(value=found.value, low=interval[0], high=interval[1])


def _metrics(
    spec: ModelSpec, field: _Field, resampled: dict[_Key, Resampled]
) -> dict[ContestantName, dict[Metric, Estimate]]:
    n_rows = field.rows.height
    return {
        name: {
            metric: _estimate(resampled[name, metric, _ALL], spec, metric, n_rows)
            for metric in metrics_of(spec.target.task)
        }
        for name in field.answers
    }


def _gains(
    spec: ModelSpec, field: _Field, resampled: dict[_Key, Resampled]
) -> dict[ContestantName, dict[Metric, Estimate]]:
    gains: dict[ContestantName, dict[Metric, Estimate]] = {}
    for name in field.answers:
        if name != "candidate":
            gains[name] = {}
            for metric in metrics_of(spec.target.task):
                own, other = resampled["candidate", metric, _ALL], resampled[name, metric, _ALL]
                gain = own.minus(other, direction(metric))
                gains[name][metric] = _estimate(gain, spec, metric, field.rows.height)
    return gains


def _slice_results(
    spec: ModelSpec, field: _Field, slices: list[Slice], resampled: dict[_Key, Resampled]
) -> list[SliceResult]:
    results = []
    for number, part in enumerate(slices):
        found = {
            name: _estimate(resampled[name, spec.metric, number], spec, spec.metric, part.rows.size)
            for name in field.answers
            if name != "baseline"
        }
        results.append(
            SliceResult(
                column=part.column,
                value=part.value,
                n_rows=part.rows.size,
                candidate=found["candidate"],
                champion=found.get("champion"),
            )
        )
    return results

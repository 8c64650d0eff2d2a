"""Numbers of logged requests: pure functions from frames of the prediction log to `ArmEvidence`.

Here: which request failed, how long it took, what was answered, and how good that was.
Not here: where the frames are read (`log_source.py`), and what the numbers prove (`assessment.py`).

`answers` has a row for each predicted row: id, row, at, arm, unit, seconds, label, score, invalid,
the columns `feature__<name>` that a criterion needs, `value__<criterion>` of each that names a
function, and `truth`, null where it is not known.
`failures` has a row for each failed request: id, at, arm, unit. A failed request counts once,
also when its revision had logged an answer before its process died.
"""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.rollout.evidence import Arm, ArmEvidence
from mlops_assets.rollout.measures import Counts, Histogram, Measure, Moments
from mlops_assets.rollout.metrics_source import Question, Subject
from mlops_assets.rollout.policy import MOST_SLICES, Criterion

FEATURE_PREFIX = "feature__"
VALUE_PREFIX = "value__"
SAME_RATIO = 0.01
"""Two numbers count as the same answer when they lie at most this share of the larger apart."""
_SCORE_RANGES = 10
_LONGEST_VALUE = 200
_SMALLEST_PROBABILITY = 1e-6


def measure_arms(
    answers: pl.DataFrame,
    failures: pl.DataFrame,
    question: Question,
    *,
    ranges: Sequence[float] = (),
    slices: Mapping[str, Sequence[str]] | None = None,
) -> dict[Arm, ArmEvidence]:
    """What each arm did.

    Args:
        answers: Logged answers of the window, each id and row once, warm-up left out.
        failures: Failed requests of the window, warm-up left out.
        question: What is asked.
        ranges: Bounds of the ranges of a regression's predictions, fixed before the window.
        slices: By criterion, the values of its slice that are judged.
    """
    found: dict[Arm, ArmEvidence] = {}
    for arm in get_args(Arm):
        if arm not in question.revisions:
            continue
        mine = answers.filter(pl.col("arm") == arm)
        requests = _requests(mine, failures.filter(pl.col("arm") == arm))
        rows = mine.filter(~pl.col("invalid"))
        measures: dict[str, Measure] = {}
        by_slice: dict[str, dict[str, Moments]] = {}
        for criterion in question.criteria:
            measure = _measure(criterion, question, requests, rows, ranges)
            if measure is not None:
                measures[criterion.title] = measure
            values = (slices or {}).get(criterion.title, ())
            if criterion.slice_by is not None and values:
                by_slice[criterion.title] = _slice(criterion, question, requests, rows, values)
        if arm == "challenger" and question.mirrored:
            measures |= _disagreements(question, answers)
        units = requests["unit"] if question.by_unit else requests["id"]
        found[arm] = ArmEvidence(
            n_requests=requests.height,
            n_units=units.n_unique(),
            measures=measures,
            slices=by_slice,
        )
    return found


def frequent_values(answers: pl.DataFrame, feature: str) -> list[str]:
    """The most frequent values of a slice's feature, as text; those that are judged. What is longer
    than 200 characters is no value to slice by, and too much to remember."""
    column = FEATURE_PREFIX + feature
    if column not in answers.columns or answers.is_empty():
        return []
    values = answers.select(value=pl.col(column).cast(pl.String)).drop_nulls()["value"]
    counts = values.filter(values.str.len_chars() <= _LONGEST_VALUE)
    frame = counts.value_counts(sort=True).sort(["count", "value"], descending=[True, False])
    return [str(value) for value in frame["value"].head(MOST_SLICES)]


def score_ranges(scores: NDArray[np.float64]) -> tuple[float, ...]:
    """Bounds that cut earlier predictions into ten equally frequent ranges, growing."""
    if scores.size == 0:
        return ()
    bounds = np.quantile(scores, np.linspace(0, 1, _SCORE_RANGES + 1)[1:-1])
    return tuple(float(bound) for bound in np.unique(bounds))


def losses(metric: str, rows: pl.DataFrame, subject: Subject) -> pl.Series:
    """The loss, or the hit, of each row whose truth is known; null for the others."""
    truth = _truth_class(rows["truth"], subject)
    if subject.task == "regression":
        error = rows["score"] - rows["truth"].cast(pl.Float64, strict=False)
        return error.abs() if metric == "mean_absolute_error" else error * error
    if metric == "accuracy":
        return (rows["label"] == truth).cast(pl.Float64)
    return _probability_loss(metric, rows, truth, subject)


def _requests(rows: pl.DataFrame, failures: pl.DataFrame) -> pl.DataFrame:
    """One row for each request: its unit, its time, whether it failed, and how long it took."""
    first = rows.group_by("id", maintain_order=True).agg(
        pl.col("unit").first(), pl.col("seconds").first(), failed=pl.col("invalid").any()
    )
    lost = failures.select("id", "unit").unique("id", keep="first", maintain_order=True)
    lost = lost.with_columns(seconds=pl.lit(None, pl.Float64), failed=pl.lit(True))
    return pl.concat([lost, first.join(lost, on="id", how="anti")], how="vertical_relaxed")


def _measure(
    criterion: Criterion,
    question: Question,
    requests: pl.DataFrame,
    rows: pl.DataFrame,
    ranges: Sequence[float],
) -> Measure | None:
    if criterion.metric == "latency":
        answered = requests.filter(pl.col("seconds").is_not_null())
        units = _codes(answered["unit"]) if question.by_unit else None
        return Histogram.of(answered["seconds"].to_numpy(), units)
    if criterion.metric == "prediction_distribution":
        return _distribution(question, rows, ranges)
    if criterion.metric == "disagreement":
        return None
    frame = requests if criterion.metric == "error_ratio" else rows
    return _moments(frame, _values(criterion, question, requests, rows), question)


def _values(
    criterion: Criterion,
    question: Question,
    requests: pl.DataFrame,
    rows: pl.DataFrame,
) -> pl.Series:
    """The number of each request or row whose mean is judged; null leaves it out."""
    if criterion.metric == "error_ratio":
        return requests["failed"].cast(pl.Float64)
    if criterion.metric == "score_mean":
        return rows["score"]
    if criterion.metric == "quality":
        return losses(str(criterion.quality), rows, question.subject)
    return rows[VALUE_PREFIX + criterion.title]


def _moments(frame: pl.DataFrame, values: pl.Series, question: Question) -> Moments:
    unit = frame["unit"] if question.by_unit else frame["id"]
    known = pl.DataFrame({"unit": unit, "value": values.cast(pl.Float64)}).filter(
        pl.col("value").is_not_null() & pl.col("value").is_finite()
    )
    units = known.group_by("unit").agg(m=pl.len(), s=pl.col("value").sum())
    return Moments.of_units(units["m"].to_numpy(), units["s"].to_numpy())


def _slice(
    criterion: Criterion,
    question: Question,
    requests: pl.DataFrame,
    rows: pl.DataFrame,
    values: Sequence[str],
) -> dict[str, Moments]:
    """The measure of each value of a slice. A failed request has no features, so no slice."""
    text = rows[FEATURE_PREFIX + str(criterion.slice_by)].cast(pl.String)
    found = {}
    for value in values:
        part = rows.filter(text == value)
        inside = requests.join(part.select("id").unique(), on="id", how="semi")
        numbers = _values(criterion, question, inside, part)
        frame = inside if criterion.metric == "error_ratio" else part
        found[value] = _moments(frame, numbers, question)
    return found


def _distribution(question: Question, rows: pl.DataFrame, ranges: Sequence[float]) -> Counts | None:
    if question.subject.task == "multiclass":
        labels = rows["label"]
    elif question.subject.task == "binary":
        low = (rows["score"] * _SCORE_RANGES).floor().clip(0, _SCORE_RANGES - 1).cast(pl.Int32)
        labels = low.cast(pl.String)
    elif ranges:
        labels = pl.Series(np.searchsorted(ranges, rows["score"].to_numpy())).cast(pl.String)
    else:
        return None
    units = _codes(rows["unit"] if question.by_unit else rows["id"])
    return Counts.of(labels.to_list(), units)


def _disagreements(question: Question, answers: pl.DataFrame) -> dict[str, Measure]:
    titles = [c.title for c in question.criteria if c.metric == "disagreement"]
    if not titles:
        return {}
    pairs = pair_answers(answers, question.subject)
    moments = _moments(pairs, pairs["differs"].cast(pl.Float64), question)
    return dict.fromkeys(titles, moments)


def pair_answers(answers: pl.DataFrame, subject: Subject) -> pl.DataFrame:
    """What both versions answered to the same row: labels, scores, and whether they differ."""
    sides = {}
    for arm in ("stable", "challenger"):
        side = answers.filter(pl.col("arm") == arm)
        sides[arm] = side.rename({"label": f"label_{arm}", "score": f"score_{arm}"})
    mirrored = sides["challenger"].select("id", "row", "label_challenger", "score_challenger")
    both = sides["stable"].join(mirrored, on=["id", "row"], how="inner")
    apart = (pl.col("score_challenger") - pl.col("score_stable")).abs()
    largest = pl.max_horizontal(pl.col("score_stable").abs(), pl.col("score_challenger").abs())
    if subject.task == "regression":
        differs = (apart > SAME_RATIO * largest).fill_null(True)
    else:
        differs = pl.col("label_stable") != pl.col("label_challenger")
    return both.with_columns(apart=apart, differs=differs)


def _truth_class(truth: pl.Series, subject: Subject) -> pl.Series:
    """The truth in the words of the classes; null where it is none of them."""
    if subject.task == "regression" or not subject.classes:
        return truth
    positive = subject.positive
    if subject.task == "binary" and positive is not None and positive not in subject.classes:
        no, yes = subject.classes
        named = truth.is_in(list(subject.classes))
        meant = pl.when(truth == positive).then(pl.lit(yes)).otherwise(pl.lit(no))
        chosen = pl.select(
            pl.when(truth.is_null()).then(None).when(named).then(truth).otherwise(meant)
        )
        return chosen.to_series()
    return pl.select(pl.when(truth.is_in(list(subject.classes))).then(truth)).to_series()


def _probability_loss(
    metric: str, rows: pl.DataFrame, truth: pl.Series, subject: Subject
) -> pl.Series:
    known = (truth.is_not_null() & rows["probabilities"].is_not_null()).to_numpy()
    result = np.full(rows.height, np.nan)
    if known.any():
        shares = np.array(
            rows["probabilities"].filter(pl.Series(known)).to_list(), dtype=np.float64
        )
        position = {label: k for k, label in enumerate(subject.classes)}
        actual = np.array([position[str(label)] for label in truth.filter(pl.Series(known))])
        hit = shares[np.arange(actual.size), actual]
        if metric == "log_loss":
            result[known] = -np.log(np.clip(hit, _SMALLEST_PROBABILITY, 1.0))
        else:  # Brier, for two classes that of the positive one
            squares = (shares**2).sum(axis=1) - 2 * hit + 1
            result[known] = squares / 2 if len(subject.classes) == 2 else squares
    return pl.Series(result).fill_nan(None)


def _codes(units: pl.Series) -> NDArray[Any]:
    """A number for each unit, the same for the same."""
    return units.hash().to_numpy()

"""Whether a single column gives the target away.

A leaked column is usually one that is written after the fact, and it predicts the target alone.
Here: how well each feature does that, and the verdict. A score needs no model of ours: a feature is
cut into bins (a category is a bin of its own, so is a missing value), one half of the rows says
what each bin's target is, the other half is predicted with it, and the other way round. So an id
that is different in every row scores nothing, however many values it has.
"""

from collections.abc import Callable

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.modeling.metrics import Floats, Integers

_BINS = 64
_MOST_ROWS = 200_000  # the last of the frame; more change no score by 0.001
_SHRINKAGE = 1.0  # rows of the average that each bin is given beside its own


class LeakageVerdict(BaseModel):
    """Whether any feature alone predicts the target too well.

    Attributes:
        passed: No score is above the limit, and all are known.
        reason: In words, with the numbers.
        suspects: The features above the limit, best first.
    """

    model_config = ConfigDict(frozen=True)

    passed: bool
    reason: str
    suspects: list[str]


def assess_leakage(scores: dict[str, float | None], maximum: float) -> LeakageVerdict:
    """The verdict on `FrameFacts.single_column_scores`.

    Args:
        scores: By feature; None when it is unknown.
        maximum: `spec.features.maximum_single_column_score`; a score may reach it.
    """
    known = {name: score for name, score in scores.items() if score is not None}
    ranked = sorted(known, key=lambda name: -known[name])
    suspects = [name for name in ranked if known[name] > maximum]
    if suspects:
        shown = ", ".join(f"{name} ({known[name]:.3f})" for name in suspects)
        reason = f"alone predict the target better than {maximum}: {shown}; is it known beforehand?"
    elif unknown := [name for name, score in scores.items() if score is None]:
        reason = f"too few rows to know about {', '.join(unknown)}"
    else:
        best = f"{ranked[0]} ({known[ranked[0]]:.3f})" if ranked else "none"
        return LeakageVerdict(passed=True, reason=f"best is {best}, {maximum} allowed", suspects=[])
    return LeakageVerdict(passed=False, reason=reason, suspects=suspects)


def score_columns(
    frame: pl.DataFrame, features: list[FeatureField], target: pl.Series, *, classes: bool
) -> dict[str, float | None]:
    """How well each feature alone predicts the target, on rows that it did not learn from.

    Classes: ROC-AUC (several: the mean of each against the rest), 0.5 is chance. Regression: R², 0
    is chance. None when a half of the rows has fewer than two values of the target.
    """
    rows = slice(max(0, frame.height - _MOST_ROWS), None)
    answers = target[rows]
    columns = answers.to_dummies().to_numpy() if classes else answers.to_numpy().reshape(-1, 1)
    if classes and columns.shape[1] == 2:
        columns = columns[:, 1:]
    truths = columns.astype(np.float64)
    scorer = _auc if classes else _r_squared
    return {field.name: _score(frame[field.name][rows], truths, scorer) for field in features}


def _score(
    values: pl.Series, truths: Floats, scorer: Callable[[Floats, Floats], float | None]
) -> float | None:
    """The best of two ways to use the column: by bins and, for numbers, along the line."""
    codes = _bin(values)
    found = [_crossed(codes, truth, scorer) for truth in truths.T]
    known = [score for score in found if score is not None]
    if len(known) < len(found):
        return None
    score = float(np.mean(known))
    if values.dtype == pl.Float64:
        line = values.fill_null(values.median() or 0.0).to_numpy()
        straight = [_along(line, truth, scorer) for truth in truths.T]
        score = max(score, float(np.mean(straight)))
    return round(score, 6)


def _bin(values: pl.Series) -> Integers:
    """Bin of each row, 0 for missing values."""
    if values.dtype == pl.Boolean:
        return values.cast(pl.Int64).fill_null(-1).to_numpy() + 1
    if values.dtype == pl.String:
        return values.rank("dense").cast(pl.Int64).fill_null(0).to_numpy()
    numbers = values.to_numpy()
    known = numbers[~np.isnan(numbers)]
    inner = np.linspace(0, 1, _BINS + 1)[1:-1]
    edges = np.unique(np.quantile(known, inner)) if known.size else known
    bins = np.searchsorted(edges, numbers, side="left") + 1
    return np.where(np.isnan(numbers), 0, bins)


def _crossed(
    codes: Integers, truth: Floats, scorer: Callable[[Floats, Floats], float | None]
) -> float | None:
    """Mean score of two halves, each predicted with what the other says of its bins."""
    even = np.arange(truth.size) % 2 == 0
    n_bins = int(codes.max(initial=0)) + 1
    scores = []
    for learns in (even, ~even):
        average = truth[learns].mean() if learns.any() else 0.0
        counts = np.bincount(codes[learns], minlength=n_bins)
        sums = np.bincount(codes[learns], weights=truth[learns], minlength=n_bins)
        means = (sums + _SHRINKAGE * average) / (counts + _SHRINKAGE)
        score = scorer(means[codes[~learns]], truth[~learns])
        if score is None:
            return None
        scores.append(score)
    return float(np.mean(scores))


def _along(line: Floats, truth: Floats, scorer: Callable[[Floats, Floats], float | None]) -> float:
    """Score of the number itself, upwards or downwards; a straight line fitted for regression."""
    if scorer is _auc:
        upwards = _auc(line, truth)
        return 0.5 if upwards is None else max(upwards, 1 - upwards)
    if np.ptp(line) == 0:
        return 0.0
    return float(np.corrcoef(line, truth)[0, 1] ** 2)


def _auc(scores: Floats, truth: Floats) -> float | None:
    """ROC-AUC with ties counted half; None when a class is missing."""
    n_positive = truth.sum()
    n_negative = truth.size - n_positive
    if n_positive == 0 or n_negative == 0:
        return None
    _, codes, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    above = float(ranks[codes] @ truth) - n_positive * (n_positive + 1) / 2
    return float(above / (n_positive * n_negative))


def _r_squared(predicted: Floats, truth: Floats) -> float | None:
    """Share of the spread that is explained; None when all numbers are the same."""
    if truth.size == 0 or np.ptp(truth) == 0:
        return None
    spread = ((truth - truth.mean()) ** 2).sum()
    return float(1 - ((truth - predicted) ** 2).sum() / spread)

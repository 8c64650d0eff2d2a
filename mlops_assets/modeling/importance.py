"""How much a model's quality depends on each feature."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from mlops_assets.modeling.contestants import Contestant, answer, truth
from mlops_assets.modeling.features import VALIDATES, BuiltFrame
from mlops_assets.modeling.metrics import (
    Floats,
    class_statistic,
    direction,
    number_statistic,
)
from mlops_assets.spec import ModelSpec

_MOST_ROWS = 1_000
_MOST_REPEATS = 5
_MOST_ANSWERS = 80  # for all features; not a time, or another machine would find something else


@dataclass(frozen=True, slots=True)
class FeatureImportance:
    """What shuffling one feature costs.

    Attributes:
        name: The feature.
        loss: How much worse the gated metric becomes, mean over the repeats.
        spread: Standard deviation over the repeats; 0 with one repeat.
    """

    name: str
    loss: float
    spread: float


def estimate_importance(
    spec: ModelSpec, built: BuiltFrame, candidate: Contestant
) -> list[FeatureImportance]:
    """Permutation importance on up to 1,000 validation rows, most important first.

    Features that go together share their importance: shuffling one leaves the model the other.
    Empty when the metric is undefined on these rows.

    Source: Breiman (2001), Machine Learning 45:5.
    """
    rng = np.random.default_rng(spec.model.seed)
    rows = built.frame.filter(built.frame[VALIDATES])
    if rows.height > _MOST_ROWS:
        chosen = np.sort(rng.choice(rows.height, _MOST_ROWS, replace=False))
        rows = rows[chosen]
    whole = _quality(spec, built, rows, answer(candidate, rows, built.facts.classes))
    if not np.isfinite(whole):
        return []
    features = [field.name for field in candidate.manifest.features]
    n_repeats = min(max(_MOST_ANSWERS // len(features), 1), _MOST_REPEATS)
    found = []
    for name in features:
        worse = [
            whole - _quality(spec, built, rows, _answer_shuffled(built, candidate, rows, name, rng))
            for _ in range(n_repeats)
        ]
        found.append(FeatureImportance(name, float(np.mean(worse)), float(np.std(worse))))
    return sorted(found, key=lambda importance: -importance.loss)


def _answer_shuffled(
    built: BuiltFrame,
    candidate: Contestant,
    rows: pl.DataFrame,
    name: str,
    rng: np.random.Generator,
) -> Floats:
    shuffled = rows[name].gather(rng.permutation(rows.height))
    return answer(candidate, rows.with_columns(shuffled), built.facts.classes)


def _quality(spec: ModelSpec, built: BuiltFrame, rows: pl.DataFrame, answers: Floats) -> float:
    """The gated metric on the rows, turned so that more is better."""
    build = number_statistic if spec.target.task == "regression" else class_statistic
    statistic = build(spec.metric, truth(rows, built.facts.classes), answers)
    if rows.height == 0:
        return float("nan")
    return direction(spec.metric) * float(statistic(np.ones((rows.height, 1)))[0])

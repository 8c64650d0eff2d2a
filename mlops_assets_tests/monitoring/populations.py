"""Rows of which everything is known: how they are made, what a model answers, what is true."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.monitoring.answers import Answers, Subject, answers_of
from mlops_assets.monitoring.performance_reference import EvaluatedRows

BINARY = Subject("binary", (0, 1))
REGRESSION = Subject("regression")
FIELDS = [FeatureField(name="x", kind="number"), FeatureField(name="plan", kind="category")]
PLANS = ["basic", "gold", "none"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Population:
    """Rows with their features, answers and truth."""

    features: pl.DataFrame
    answers: Answers

    def evaluated(self) -> EvaluatedRows:
        """As rows of an evaluation."""
        return EvaluatedRows(self.answers, self.features, FIELDS)


def classes(n: int, seed: int, *, shift: float = 0.0, flipped: float = 0.0) -> Population:
    """Rows whose class depends on x; the model is overconfident and says so more the further out.

    Args:
        n: Rows.
        seed: Of all that is random.
        shift: Mean of x, which is 0 at the evaluation.
        flipped: Share of rows whose truth is the opposite: what x means has changed.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(shift, 1.3, n)
    is_one = rng.random(n) < 1 / (1 + np.exp(-x))
    is_one ^= rng.random(n) < flipped
    raw = 1 / (1 + np.exp(-1.7 * x + 0.3))
    features = pl.DataFrame({"x": x, "plan": rng.choice(PLANS, n)})
    predicted = np.stack([1 - raw, raw], axis=1)
    return Population(features, answers_of(BINARY, predicted, is_one.astype(np.int64)))


def numbers(n: int, seed: int, *, shift: float = 0.0, spread: float = 1.0) -> Population:
    """Rows whose number the model misses by more, the larger x, and twice that for plan basic.

    Args:
        n: Rows.
        seed: Of all that is random.
        shift: Mean of x, which is 0 at the evaluation.
        spread: By how much all errors are larger than at the evaluation.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(shift, 1.0, n)
    plan = rng.choice(PLANS, n)
    scale = spread * np.exp(0.5 * x) * np.where(plan == "basic", 2.0, 1.0)
    truth = 3 * x + rng.normal(0, 1, n) * scale
    features = pl.DataFrame({"x": x, "plan": plan})
    return Population(features, answers_of(REGRESSION, 3 * x, truth))

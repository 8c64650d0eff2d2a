"""What a shadow answered beside what callers were answered: agreement and differences. Pure."""

import math
from collections.abc import Sequence

import polars as pl

from mlops_assets.rollout.measuring import FEATURE_PREFIX, frequent_values, pair_answers
from mlops_assets.rollout.metrics_source import Subject
from mlops_assets.rollout.record import Record

_MOST_DIFFERENCES = 20
_MOST_POINTS = 1_000
_MOST_CATEGORIES = 20


class Difference(Record):
    """One mirrored row that both versions answered differently.

    Attributes:
        prediction_id: The caller's id.
        stable: What the caller was answered.
        challenger: What the new version answered.
        apart: How far the scores lie apart.
    """

    prediction_id: str
    stable: str
    challenger: str
    apart: float | None


class SliceAgreement(Record):
    """How often both versions agree where a feature has one value."""

    feature: str
    value: str
    n: int
    agreement_ratio: float


class ShadowReport(Record):
    """What both versions answered to the same requests.

    Attributes:
        n_pairs: Rows that both answered.
        agreement_ratio: Share of them with the same answer; None without any.
        mean_apart: Mean distance of the scores; None without any.
        differences: The rows whose scores lie furthest apart.
        slices: The agreement by value of each feature, the lowest first.
        points: Scores of both versions, a sample for a picture.
    """

    n_pairs: int
    agreement_ratio: float | None
    mean_apart: float | None
    differences: tuple[Difference, ...] = ()
    slices: tuple[SliceAgreement, ...] = ()
    points: tuple[tuple[float, float], ...] = ()


def build_shadow_report(
    answers: pl.DataFrame, subject: Subject, features: Sequence[str]
) -> ShadowReport:
    """The report on some answers of both arms.

    Args:
        answers: As `measuring.py` describes them.
        subject: What the model answers.
        features: Categorical features by which the agreement is told.
    """
    pairs = pair_answers(answers, subject)
    if pairs.is_empty():
        return ShadowReport(n_pairs=0, agreement_ratio=None, mean_apart=None)
    furthest = pairs.filter(pl.col("differs")).sort("apart", descending=True, nulls_last=True)
    finite = pairs.filter(pl.col("apart").is_finite())
    apart = finite["apart"].drop_nulls()
    sample = finite.select("score_stable", "score_challenger").drop_nulls()
    if sample.height > _MOST_POINTS:
        sample = sample.sample(_MOST_POINTS, seed=0)
    return ShadowReport(
        n_pairs=pairs.height,
        agreement_ratio=1.0 - float(pairs["differs"].cast(pl.Float64).to_numpy().mean()),
        mean_apart=float(apart.to_numpy().mean()) if apart.len() else None,
        differences=tuple(_difference(row) for row in furthest.head(_MOST_DIFFERENCES).to_dicts()),
        slices=tuple(_slices(pairs, features)),
        points=tuple(sample.rows()),
    )


def _difference(row: dict[str, object]) -> Difference:
    apart = row["apart"]
    is_known = isinstance(apart, float) and math.isfinite(apart)
    return Difference(
        prediction_id=str(row["id"]),
        stable=str(row["label_stable"]),
        challenger=str(row["label_challenger"]),
        apart=float(str(apart)) if is_known else None,
    )


def _slices(pairs: pl.DataFrame, features: Sequence[str]) -> list[SliceAgreement]:
    found = []
    for feature in features:
        values = frequent_values(pairs, feature)
        for value in values[:_MOST_CATEGORIES]:
            part = pairs.filter(pl.col(FEATURE_PREFIX + feature).cast(pl.String) == value)
            differing = float(part["differs"].cast(pl.Float64).to_numpy().mean())
            found.append(
                SliceAgreement(
                    feature=feature, value=value, n=part.height, agreement_ratio=1.0 - differing
                )
            )
    return sorted(found, key=lambda each: each.agreement_ratio)

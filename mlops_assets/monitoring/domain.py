"""A classifier that tells a window's rows from the reference's: what no single column shows.

Ridge regression of "is of the window" on the judged bins of whole rows: normal scores of numbers,
their squares and products, an indicator for each category. The prediction for each row without
itself has a closed form, so no folds are needed, and one factorisation serves a thousand labellings
of the same rows: the null costs little more than the fit.

Source: leave-one-out residuals of ridge regression, Allen (1974), Technometrics 16:125.
"""

from collections.abc import Mapping
from itertools import combinations_with_replacement
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from mlops_assets.monitoring.layout import ColumnLayout
from mlops_assets.monitoring.null import Basis, Null
from mlops_assets.monitoring.report import DomainDrift
from mlops_assets.monitoring.sketch import NO_TIME, ColumnCounts, RowSample, Sketch

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]

_MOST_REFERENCE, _MOST_CURRENT = 6_000, 2_000
_FEWEST = 30
_DRAWS = 199
_MOST_FEATURES = 240
_MOST_IN_PRODUCTS = 15
_FEWEST_IN_CATEGORY = 20
_RIDGE = 0.01


def assess_domain(
    reference: Sketch, current: Sketch, basis: Basis, weights: Mapping[str, float]
) -> DomainDrift | None:
    """How well the sampled rows of both sides are told apart, and how well chance would be.

    Args:
        reference: Its sample is used up to 6,000 rows.
        current: Up to 2,000.
        basis: Rows: labels are shuffled. Blocks: runs of the reference's own blocks take the
            window's place, with as many rows of the sample.
        weights: Importance by column; the heaviest 15 numbers go into products.

    Returns:
        None with fewer than 30 rows on a side, or nothing to tell rows by.
    """
    old, new = _head(reference.sample, _MOST_REFERENCE), _head(current.sample, _MOST_CURRENT)
    if basis.unit == "blocks":
        per_run = old.n * basis.n_current // max(basis.n_reference, 1)
        new = _head(new, max(per_run, _FEWEST))
    if min(old.n, new.n) < _FEWEST:
        return None
    order = [c for c in reference.layout.columns.values() if c.column.role == "feature"]
    order.sort(key=lambda c: -weights.get(c.column.name, 0.0))
    features = _features(reference, np.concatenate([old.codes, new.codes]), order)
    if features.shape[1] == 0:
        return None
    labels = np.arange(old.n + new.n) >= old.n
    rng = np.random.default_rng(int(reference.layout.digest[:16], 16) + new.n)
    if basis.unit == "rows":
        shuffled = [labels, *(rng.permutation(labels) for _ in range(_DRAWS))]
        auc, *by_chance = _aucs(features, np.stack(shuffled, axis=1)).tolist()
    else:
        (auc,) = _aucs(features, labels[:, None]).tolist()
        by_chance = _aucs(features[: old.n], _runs(old.blocks, basis, new.n, rng)).tolist()
    null = Null(np.sort(by_chance), basis.n_units(_DRAWS))
    return DomainDrift(
        auc=auc,
        p=null.p(auc),
        auc_by_chance=float(np.quantile(null.draws, 0.95)),
        n_reference=old.n,
        n_current=new.n,
    )


def _head(sample: RowSample, n: int) -> RowSample:
    """The rows with the smallest keys: a uniform sample of a uniform sample."""
    return RowSample(sample.keys[:n], sample.blocks[:n], sample.codes[:n])


def _runs(blocks: NDArray[np.int64], basis: Basis, m: int, rng: np.random.Generator) -> Labels:
    """Labellings in which some run of the reference's blocks plays the window."""
    known = np.unique(blocks[blocks != NO_TIME])
    length = min(basis.n_current, max(1, known.size // 2))
    starts = np.arange(known.size)
    if starts.size > _DRAWS:
        starts = rng.choice(starts, _DRAWS, replace=False)
    labels = np.zeros((blocks.size, starts.size), dtype=bool)
    for position, start in enumerate(starts):
        run = known[(start + np.arange(length)) % known.size]
        rows = np.flatnonzero(np.isin(blocks, run))
        labels[rng.permutation(rows)[:m], position] = True
    some = labels.any(axis=0)
    return labels[:, some]


def _features(reference: Sketch, codes: NDArray[np.uint8], columns: list[ColumnLayout]) -> Floats:
    """Standardised features of rows; constant ones are left out."""
    places = {name: at for at, name in enumerate(reference.layout.columns)}
    made: list[Floats] = []
    numbers: list[Floats] = []
    for layout in columns:
        column = codes[:, places[layout.column.name]].astype(np.int64)
        if layout.is_number:
            scores = _normal_scores(reference.columns[layout.column.name])[column]
            made += [scores, (column == layout.n_bins).astype(float)]
            numbers.append(scores)
        else:
            seen = np.bincount(column, minlength=layout.n_bins + 1)
            made += [
                (column == code).astype(float)
                for code in np.flatnonzero(seen >= _FEWEST_IN_CATEGORY)
            ]
        if len(made) >= _MOST_FEATURES:
            break
    pairs = combinations_with_replacement(numbers[:_MOST_IN_PRODUCTS], 2)
    for left, right in pairs:
        if len(made) >= _MOST_FEATURES:
            break
        made.append(left * right)
    if not made:
        return np.zeros((codes.shape[0], 0))
    matrix = np.stack(made, axis=1)
    spread = matrix.std(axis=0)
    kept = spread > 1e-9
    return np.asarray((matrix[:, kept] - matrix[:, kept].mean(axis=0)) / spread[kept])


def _normal_scores(counts: ColumnCounts) -> Floats:
    """The normal quantile of the middle of each judged bin; 0 for missing values."""
    weights = counts.bins[:-1] / max(counts.n, 1)
    middle = np.clip(np.cumsum(weights) - weights / 2, 1e-3, 1 - 1e-3)
    quantile = NormalDist().inv_cdf
    return np.array([*(quantile(share) for share in middle), 0.0])


def _aucs(features: Floats, labels: Labels) -> Floats:
    """ROC-AUC of each labelling, from the prediction of each row by all others."""
    n = features.shape[0]
    with_one = np.concatenate([np.ones((n, 1)), features], axis=1)
    penalty = np.eye(with_one.shape[1]) * (_RIDGE * n)
    penalty[0, 0] = 0.0
    inverse = np.linalg.inv(with_one.T @ with_one + penalty)
    own = ((with_one @ inverse) * with_one).sum(axis=1)[:, None]  # of a row in its own answer
    wanted = labels.astype(float)
    fitted = with_one @ (inverse @ (with_one.T @ wanted))
    alone = (fitted - own * wanted) / np.maximum(1 - own, 1e-9)
    return np.array([_auc(alone[:, at], labels[:, at]) for at in range(labels.shape[1])])


def _auc(scores: Floats, labels: Labels) -> float:
    """Chance that a row of the window scores above one of the reference; ties count half."""
    _, place, counts = np.unique(scores.round(12), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    m = int(labels.sum())
    n = labels.size - m
    return float((ranks[labels].sum() - m * (m + 1) / 2) / (n * m))

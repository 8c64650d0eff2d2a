"""Whether units are shared as the router was told: what is asked before an A/B test is read."""

from collections.abc import Mapping

import numpy as np

from mlops_assets.rollout.evidence import Arm, Evidence, Traffic
from mlops_assets.rollout.likelihood import log_gamma


def split_evidence(counts: Mapping[str, float], expected: Mapping[str, float]) -> float:
    """Evidence that units are not shared as the router was told: 1 is none, 100 is strong.

    The likelihood ratio between a mixture of all splits around the expected one and the expected
    one itself. It may be looked at after each unit: while the split is right, it ever exceeds
    1 / alpha with a chance of at most alpha.

    Args:
        counts: Units by arm.
        expected: Share by arm, each above 0, of any scale.

    Source: Lindon and Malek (2022), NeurIPS 35, Anytime-Valid Inference for Multinomial Count Data.

    >>> round(split_evidence({"a": 5010, "b": 4990}, {"a": 50, "b": 50}), 2)
    0.1
    >>> split_evidence({"a": 5250, "b": 4750}, {"a": 50, "b": 50}) > 1000
    True
    """
    arms = sorted(expected)
    n = np.asarray([counts.get(arm, 0.0) for arm in arms], dtype=np.float64)
    shares = np.asarray([expected[arm] for arm in arms], dtype=np.float64)
    shares = shares / shares.sum()
    prior = _SPLIT_UNITS * shares
    log_mixture = (
        log_gamma(prior.sum())
        - log_gamma(prior.sum() + n.sum())
        + (log_gamma(prior + n) - log_gamma(prior)).sum()
    )
    return float(np.exp(min(log_mixture - (n * np.log(shares)).sum(), 700.0)))


_SPLIT_UNITS = 100.0  # the mixture is as wide as 100 units would tell: splits off by 5 points


SPLIT_ALPHA = 0.01
"""Chance that a right split is ever taken for a wrong one; it holds a rollout and ends none."""


def split_problem(evidence: Evidence, traffic: Traffic) -> str | None:
    """Why the split is not what the router was told, in words; None while nothing says so.

    An A/B test whose arms are not filled as intended compares groups that differ in more than the
    version, so its numbers are not read.
    """
    arms: tuple[Arm, ...] = ("stable", "challenger", "baseline")
    shares = {str(arm): float(getattr(traffic, arm)) for arm in arms if getattr(traffic, arm)}
    counts = {str(arm): float(found.n_sent) for arm, found in evidence.arms.items()}
    if len(shares) < 2 or not any(counts.get(arm) for arm in shares):
        return None
    strength = split_evidence(counts, shares)
    if strength < 1 / SPLIT_ALPHA:
        return None
    found = ", ".join(f"{counts.get(arm, 0):,.0f} {arm} ({s:g} %)" for arm, s in shares.items())
    return (
        f"the split is not what it should be: {found}; evidence {strength:,.3g} to 1, "
        f"{1 / SPLIT_ALPHA:g} needed. The arms may differ in more than the version"
    )

"""Comparisons as readings: the verdict of an interval, and its numbers in words."""

import math

from mlops_assets.rollout.history import Reading, Verdict
from mlops_assets.rollout.rule import Rule
from mlops_assets.rollout.sequential import Interval


def build_reading(
    rule: Rule,
    title: str,
    n_mine: int,
    n_theirs: int,
    estimates: tuple[float, float, float],
    beyond: Interval,
    ends: Interval,
    *,
    limit: float | None = None,
) -> Reading:
    """The reading of a comparison with another arm.

    Args:
        rule: The criterion.
        title: Its name, with the slice.
        n_mine: Values of the challenger.
        n_theirs: Values of the other arm.
        estimates: The challenger's, the other's, and how much worse the first is.
        beyond: How far beyond the limit.
        ends: How much worse, in the unit of the limit.
        limit: What is allowed; by default the margin.
    """
    criterion = rule.criterion
    own, other, difference = estimates
    allowed = (criterion.margin or 0.0) if limit is None else limit
    verdict = verdict_of(beyond)
    unit = " of it" if criterion.relative else ""
    kind = "apart" if criterion.better == "same" else "worse"
    return Reading(
        criterion=title,
        test="margin",
        verdict=verdict,
        n_stable=n_theirs,
        n_challenger=n_mine,
        stable=short(other),
        challenger=short(own),
        difference=short(difference),
        low=short(ends.low),
        high=short(ends.high),
        limit=short(allowed),
        reason=(
            f"{title}: {number_text(own)} beside {number_text(other)} of {rule.reference}, "
            f"{number_text(ends.low)} to {number_text(ends.high)}{unit} {kind}, {allowed:.3g} "
            f"allowed: {verdict}"
        ),
    )


def build_untold(title: str, verdict: Verdict, words: str) -> Reading:
    """The reading of a comparison that could not be made."""
    return Reading(
        criterion=title, test="margin", verdict=verdict, reason=f"{title}: {verdict}, {words}"
    )


def verdict_of(beyond: Interval) -> Verdict:
    """What an interval of the harm beyond the limit proves."""
    if beyond.low > 0:
        return "harmful"
    return "healthy" if beyond.high <= 0 else "undecided"


def minus(one: float, other: float) -> float:
    """A difference, without any proof where either is infinite."""
    return one - other if math.isfinite(other) else -math.inf


def short(value: float) -> float | None:
    """Six digits, and nothing for what is not finite, so that a history stays small."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def number_text(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "?"

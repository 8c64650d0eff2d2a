"""One criterion against the evidence: every comparison that it asks for, as readings.

Here: `compare`. An interval of how far the challenger lies beyond what is allowed decides: wholly
above 0 is harmful, wholly below is healthy, else it is undecided.
Not here: how intervals are made (`sequential.py`), what is allowed and how sure one must be
(`rule.py`), the words (`readings.py`), and what all criteria say together (`assessment.py`).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Literal

from mlops_assets.rollout.evidence import ArmEvidence, Evidence
from mlops_assets.rollout.history import Reading
from mlops_assets.rollout.measures import Counts, Histogram, Moments
from mlops_assets.rollout.policy import MOST_SLICES, Criterion
from mlops_assets.rollout.readings import (
    build_reading,
    build_untold,
    minus,
    number_text,
    short,
    verdict_of,
)
from mlops_assets.rollout.rule import Rule
from mlops_assets.rollout.sequential import (
    Interval,
    distribution_distance,
    quantile_interval,
)

Measured = Moments | Histogram | Counts

_DELAYED = ("quality", "function")


def compare(rule: Rule, evidence: Evidence) -> Iterator[Reading]:
    """Every comparison of a criterion, also those that could not be made."""
    title = rule.criterion.title
    why = evidence.source_error or evidence.missing.get(title)
    if why is not None:
        yield build_untold(title, "unknown", why)
        return
    is_delayed = rule.criterion.metric in _DELAYED
    arms = evidence.late if is_delayed and evidence.late else evidence.arms
    own, other = arms.get("challenger"), arms.get(rule.reference)
    if own is None or own.n_requests == 0:
        yield build_untold(title, "undecided", "no request was answered yet")
        return
    mine = own.measures.get(title)
    if mine is None:
        words = "no truth has arrived yet" if is_delayed else "it was not measured"
        yield build_untold(title, "undecided" if is_delayed else "unknown", words)
        return
    yield from _compare_all(rule, title, mine, other.measures.get(title) if other else None)
    yield from _compare_slices(rule, own, other)


def _compare_slices(rule: Rule, own: ArmEvidence, other: ArmEvidence | None) -> Iterator[Reading]:
    title = rule.criterion.title
    mine = own.slices.get(title, {})
    theirs: Mapping[str, Moments] = other.slices.get(title, {}) if other else {}
    for value in sorted(mine, key=lambda value: (-mine[value].n, value))[:MOST_SLICES]:
        yield from _compare_all(rule, f"{title}[{value}]", mine[value], theirs.get(value))


def _compare_all(
    rule: Rule, title: str, mine: Measured, theirs: Measured | None
) -> Iterator[Reading]:
    criterion = rule.criterion
    if criterion.margin is not None:
        if rule.unread is not None:
            yield build_untold(title, "unknown", rule.unread)
        elif theirs is not None and theirs.n > 0:
            yield _against(rule, title, mine, theirs)
        elif rule.bound is not None and title == criterion.title:
            # Half of the alpha went into the level itself.
            halved = replace(rule, alpha_harm=rule.alpha_harm / 2)
            kept = "what the former version kept, with the margin,"
            yield _bounded(halved, title, mine, rule.bound, "maximum", called=kept)
        else:
            words = f"nothing of {rule.reference} to compare it with"
            yield build_untold(title, "undecided", words)
    if criterion.maximum is not None:
        yield _bounded(rule, title, mine, criterion.maximum, "maximum")
    if criterion.minimum is not None:
        yield _bounded(rule, title, mine, criterion.minimum, "minimum")


def _against(rule: Rule, title: str, mine: Measured, theirs: Measured) -> Reading:
    """Compared with the version that serves at the same time."""
    if isinstance(mine, Histogram) and isinstance(theirs, Histogram):
        return _slower(rule, title, mine, theirs)
    if isinstance(mine, Counts) and isinstance(theirs, Counts):
        return _elsewhere(rule, title, mine, theirs)
    if isinstance(mine, Moments) and isinstance(theirs, Moments):
        return _worse(rule, title, mine, theirs)
    raise TypeError(f"{title}: {type(mine).__name__} is compared with {type(theirs).__name__}")


def _worse(rule: Rule, title: str, mine: Moments, theirs: Moments) -> Reading:
    """Means: errors, scores, losses."""
    criterion, margin = rule.criterion, rule.criterion.margin or 0.0
    own, other = mine.total / max(mine.n, 1), theirs.total / theirs.n
    beyond = _beyond(rule, mine, theirs, margin)
    unit = abs(other) if criterion.relative and other else 1.0
    shift = own - other if criterion.better != "higher" else other - own
    ends = Interval(beyond.low / unit + margin, beyond.high / unit + margin)
    return build_reading(rule, title, mine.n, theirs.n, (own, other, shift / unit), beyond, ends)


def _beyond(rule: Rule, mine: Moments, theirs: Moments, margin: float) -> Interval:
    """How far the means lie beyond the margin, in the direction that is harm."""
    relative = math.copysign(margin, theirs.total) if rule.criterion.relative else 0.0
    extra = 0.0 if rule.criterion.relative else margin
    up = down = Interval(-math.inf, -math.inf)
    if rule.criterion.better != "higher":
        found = rule.interval(mine, theirs, 1 + relative)
        up = Interval(found.low - extra, found.high - extra)
    if rule.criterion.better != "lower":
        found = rule.interval(mine, theirs, 1 - relative, upward=False)
        down = Interval(-found.high - extra, -found.low - extra)
    return Interval(max(up.low, down.low), max(up.high, down.high))


def _slower(rule: Rule, title: str, mine: Histogram, theirs: Histogram) -> Reading:
    """Latency quantiles. Harm is proven by whole bins; health may be told from inside of one."""
    criterion = rule.criterion
    harm, passing = rule.alpha_harm / 2, rule.alpha_pass / 2
    own = quantile_interval(mine, criterion.quantile, alpha_low=harm, alpha_high=passing)
    other = quantile_interval(theirs, criterion.quantile, alpha_low=passing, alpha_high=harm)
    if own is None or other is None:
        return build_untold(title, "undecided", "no value yet")
    least = minus(own.low_edge, other.high_edge)
    most = own.high - other.low
    beyond = Interval(
        least - _allowed(criterion, other.high_edge), most - _allowed(criterion, other.low)
    )
    unit = other.estimate if criterion.relative and 0 < other.estimate < math.inf else 1.0
    estimates = (own.estimate, other.estimate, minus(own.estimate, other.estimate) / unit)
    ends = Interval(least / unit, most / unit)
    limit = _allowed(criterion, other.estimate) / unit
    return build_reading(rule, title, mine.n, theirs.n, estimates, beyond, ends, limit=limit)


def _allowed(criterion: Criterion, seconds: float) -> float:
    margin = criterion.margin or 0.0
    relative = margin * seconds if criterion.relative else margin
    return max(relative, criterion.margin_seconds)


def _elsewhere(rule: Rule, title: str, mine: Counts, theirs: Counts) -> Reading:
    """Distributions of predictions."""
    margin = rule.criterion.margin or 0.0
    found = distribution_distance(
        mine, theirs, alpha_low=rule.alpha_harm, alpha_high=rule.alpha_pass
    )
    names = {*mine.counts, *theirs.counts}
    apart = [
        abs(mine.counts.get(name, 0) / max(mine.n, 1) - theirs.counts.get(name, 0) / theirs.n)
        for name in names
    ]
    verdict = verdict_of(Interval(found.low - margin, found.high - margin))
    return Reading(
        criterion=title,
        test="margin",
        verdict=verdict,
        n_stable=theirs.n,
        n_challenger=mine.n,
        difference=short(sum(apart) / 2),
        low=short(found.low),
        high=short(found.high),
        limit=margin,
        reason=(
            f"{title}: {sum(apart) / 2:.3g} from {rule.reference} ({found.low:.3g} to "
            f"{found.high:.3g}; 0 alike, 1 disjoint), {margin:g} allowed: {verdict}"
        ),
    )


def _bounded(
    rule: Rule,
    title: str,
    mine: Measured,
    limit: float,
    test: Literal["maximum", "minimum"],
    *,
    called: str | None = None,
) -> Reading:
    """Compared with a fixed number, in words that of the test."""
    own, level = _level(rule, mine, test)
    sign = 1 if test == "maximum" else -1
    ends = sorted((sign * (level.low - limit), sign * (level.high - limit)))
    beyond = Interval(*ends)
    verdict = verdict_of(beyond)
    return Reading(
        criterion=title,
        test=test,
        verdict=verdict,
        n_challenger=mine.n,
        challenger=short(own),
        difference=short(sign * (own - limit)),
        low=short(beyond.low),
        high=short(beyond.high),
        limit=0.0,
        reason=(
            f"{title}: {number_text(own)} ({number_text(level.low)} to "
            f"{number_text(level.high)}), {called or f'the {test}'} is {limit:.4g}: {verdict}"
        ),
    )


def _level(
    rule: Rule, mine: Measured, test: Literal["maximum", "minimum"]
) -> tuple[float, Interval]:
    """The challenger's own level, proven by whole bins on the side of harm."""
    is_maximum = test == "maximum"
    if isinstance(mine, Moments):
        return mine.total / max(mine.n, 1), rule.interval(mine, None, 1.0, upward=is_maximum)
    alphas = (rule.alpha_harm, rule.alpha_pass)
    low, high = alphas if is_maximum else alphas[::-1]
    found = None
    if isinstance(mine, Histogram):
        found = quantile_interval(mine, rule.criterion.quantile, alpha_low=low, alpha_high=high)
    if found is None:
        return math.nan, Interval(-math.inf, math.inf)
    if is_maximum:
        return found.estimate, Interval(found.low_edge, found.high)
    return found.estimate, Interval(found.low, found.high_edge)

"""One criterion against the evidence: every comparison that it asks for, as readings.

Here: `compare`. An interval of how far the challenger lies beyond what is allowed decides: wholly
above 0 is harmful, wholly below is healthy, else it is undecided.
Not here: how intervals are made (`sequential.py`), and what all criteria say together
(`assessment.py`).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from mlops_assets.rollout.evidence import Arm, ArmEvidence, Counts, Evidence, Histogram, Moments
from mlops_assets.rollout.policy import MOST_SLICES, Criterion
from mlops_assets.rollout.sequential import (
    Interval,
    distribution_distance,
    error_difference,
    mean_difference,
    quantile_interval,
)
from mlops_assets.rollout.state import Reading, Verdict

Measured = Moments | Histogram | Counts

_FLAGS = ("error_ratio", "disagreement")
_DELAYED = ("quality", "function")


@dataclass(frozen=True, slots=True)
class Rule:
    """A criterion and how sure one must be.

    Attributes:
        criterion: What is judged.
        reference: The arm that it is compared with.
        bound: The level that the former version kept, with the margin; used where no other version
            serves at the same time. None: there is none.
        alpha_harm: Chance that one comparison ever calls harmful what is allowed.
        alpha_pass: Chance that it ever calls healthy what is not.
        unread: Why the challenger may not be compared with another version; None: it may.
    """

    criterion: Criterion
    reference: Arm
    bound: float | None
    alpha_harm: float
    alpha_pass: float
    unread: str | None = None

    def interval(
        self, mine: Moments, theirs: Moments | None, ratio: float, *, upward: bool = True
    ) -> Interval:
        """Of own - ratio · other; the end that proves harm has harm's alpha, the other passing's.

        Args:
            mine: The challenger's values.
            theirs: The other arm's; None gives the challenger's own level.
            ratio: Factor of the other arm's mean.
            upward: Whether more is worse.
        """
        is_same = self.criterion.better == "same"
        harm = self.alpha_harm / 2 if is_same and theirs is not None else self.alpha_harm
        low, high = (harm, self.alpha_pass) if upward else (self.alpha_pass, harm)
        is_flag = self.criterion.metric in _FLAGS or self.criterion.quality == "accuracy"
        estimate = error_difference if is_flag and ratio >= 0 else mean_difference
        effect = self._effect(theirs or mine)
        return estimate(mine, theirs, ratio=ratio, effect=effect, alpha_low=low, alpha_high=high)

    def _effect(self, arm: Moments) -> float:
        """The size of difference that matters: the margin, or a tenth of the spread without one."""
        margin = self.criterion.margin or 0.0
        if self.criterion.relative:
            margin *= abs(arm.mean or 0.0)
        spread = math.sqrt(arm.squares / max(arm.size_squares, 1.0))
        return margin or max(spread / 10, 1e-9)


def compare(rule: Rule, evidence: Evidence) -> Iterator[Reading]:
    """Every comparison of a criterion, also those that could not be made."""
    title = rule.criterion.title
    why = evidence.source_error or evidence.missing.get(title)
    if why is not None:
        yield _told(title, "unknown", why)
        return
    is_delayed = rule.criterion.metric in _DELAYED
    arms = evidence.late if is_delayed and evidence.late else evidence.arms
    own, other = arms.get("challenger"), arms.get(rule.reference)
    if own is None or own.n_requests == 0:
        yield _told(title, "undecided", "no request was answered yet")
        return
    mine = own.measures.get(title)
    if mine is None:
        words = "no truth has arrived yet" if is_delayed else "it was not measured"
        yield _told(title, "undecided" if is_delayed else "unknown", words)
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
            yield _told(title, "unknown", rule.unread)
        elif theirs is not None and theirs.n > 0:
            yield _against(rule, title, mine, theirs)
        elif rule.bound is not None and title == criterion.title:
            # Half of the alpha went into the level itself.
            halved = replace(rule, alpha_harm=rule.alpha_harm / 2)
            yield _bounded(halved, title, mine, rule.bound, "maximum")
        else:
            yield _told(title, "undecided", f"nothing of {rule.reference} to compare it with")
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
    return _compared(rule, title, mine.n, theirs.n, (own, other, shift / unit), beyond, ends)


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
        return _told(title, "undecided", "no value yet")
    least = _minus(own.low_edge, other.high_edge)
    most = own.high - other.low
    beyond = Interval(
        least - _allowed(criterion, other.high_edge), most - _allowed(criterion, other.low)
    )
    unit = other.estimate if criterion.relative and 0 < other.estimate < math.inf else 1.0
    estimates = (own.estimate, other.estimate, _minus(own.estimate, other.estimate) / unit)
    ends = Interval(least / unit, most / unit)
    limit = _allowed(criterion, other.estimate) / unit
    return _compared(rule, title, mine.n, theirs.n, estimates, beyond, ends, limit=limit)


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
    verdict = _verdict(Interval(found.low - margin, found.high - margin))
    return Reading(
        criterion=title,
        test="margin",
        verdict=verdict,
        n_stable=theirs.n,
        n_challenger=mine.n,
        difference=_short(sum(apart) / 2),
        low=_short(found.low),
        high=_short(found.high),
        limit=margin,
        reason=(
            f"{title}: {sum(apart) / 2:.3g} from {rule.reference} ({found.low:.3g} to "
            f"{found.high:.3g}; 0 alike, 1 disjoint), {margin:g} allowed: {verdict}"
        ),
    )


def _bounded(
    rule: Rule, title: str, mine: Measured, limit: float, test: Literal["maximum", "minimum"]
) -> Reading:
    """Compared with a fixed number."""
    own, level = _level(rule, mine, test)
    sign = 1 if test == "maximum" else -1
    ends = sorted((sign * (level.low - limit), sign * (level.high - limit)))
    beyond = Interval(*ends)
    verdict = _verdict(beyond)
    is_former = rule.criterion.maximum is None and test == "maximum"
    called = f"the {test}" if not is_former else "what the former version kept, with the margin,"
    return Reading(
        criterion=title,
        test=test,
        verdict=verdict,
        n_challenger=mine.n,
        challenger=_short(own),
        difference=_short(sign * (own - limit)),
        low=_short(beyond.low),
        high=_short(beyond.high),
        limit=0.0,
        reason=(
            f"{title}: {_number(own)} ({_number(level.low)} to {_number(level.high)}), {called} is "
            f"{limit:.4g}: {verdict}"
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


def _compared(
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
    verdict = _verdict(beyond)
    unit = " of it" if criterion.relative else ""
    kind = "apart" if criterion.better == "same" else "worse"
    return Reading(
        criterion=title,
        test="margin",
        verdict=verdict,
        n_stable=n_theirs,
        n_challenger=n_mine,
        stable=_short(other),
        challenger=_short(own),
        difference=_short(difference),
        low=_short(ends.low),
        high=_short(ends.high),
        limit=_short(allowed),
        reason=(
            f"{title}: {_number(own)} beside {_number(other)} of {rule.reference}, "
            f"{_number(ends.low)} to {_number(ends.high)}{unit} {kind}, {allowed:.3g} allowed: "
            f"{verdict}"
        ),
    )


def _told(title: str, verdict: Verdict, words: str) -> Reading:
    return Reading(
        criterion=title, test="margin", verdict=verdict, reason=f"{title}: {verdict}, {words}"
    )


def _verdict(beyond: Interval) -> Verdict:
    """What an interval of the harm beyond the limit proves."""
    if beyond.low > 0:
        return "harmful"
    return "healthy" if beyond.high <= 0 else "undecided"


def _minus(one: float, other: float) -> float:
    """A difference, without any proof where either is infinite."""
    return one - other if math.isfinite(other) else -math.inf


def _short(value: float) -> float | None:
    """Six digits, and nothing for what is not finite, so that a history stays small."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "?"

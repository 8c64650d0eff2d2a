"""What the evidence says of all criteria together: a verdict with its numbers, in words.

Here: `assess`, from evidence and policy to an `Assessment`; `kept_levels`, what a promoted version
is held against.
Not here: one criterion's comparisons (`comparison.py`), whether an A/B test may be read at all
(`split_check.py`), and what follows (`decision.py`).

The alpha of the policy is the chance that a version which is not worse than allowed is ever called
harmful, by any comparison in any stage; all of them share it. That a version which is worse is
called healthy has a chance of at most alpha too, and that need not be shared: such a version is
promoted only if the very comparison that it fails is wrong, at the last step.
"""

import math
from collections.abc import Mapping, Sequence

from mlops_assets.rollout.comparison import Measured, compare
from mlops_assets.rollout.evidence import Arm, Evidence
from mlops_assets.rollout.history import Reading, Verdict
from mlops_assets.rollout.measures import Histogram, Moments
from mlops_assets.rollout.phases import Phase
from mlops_assets.rollout.policy import Criterion, RolloutPolicy
from mlops_assets.rollout.record import Record
from mlops_assets.rollout.rule import Rule
from mlops_assets.rollout.sequential import error_difference, quantile_interval

_MOST_TOLD = 3
_PROTECTING = ("error_ratio", "latency")
_LEVEL = 0.01  # a share of errors is known well enough within 1 %


class Assessment(Record):
    """What all criteria say together.

    Attributes:
        verdict: harmful: one that rolls back is. unknown: the source did not answer, or a required
            criterion was not measured. healthy: all required ones are. undecided: else.
        readings: Every comparison.
        asking: Criteria that are harmful and may only ask.
        n_challenger: Requests of the challenger.
        n_stable: Requests of the arm that it is compared with.
        reason: In words.
    """

    verdict: Verdict
    readings: tuple[Reading, ...]
    asking: tuple[str, ...]
    n_challenger: int
    n_stable: int
    reason: str


def assess(
    evidence: Evidence,
    policy: RolloutPolicy,
    phase: Phase,
    bounds: Mapping[str, float],
    *,
    unread: str | None = None,
) -> Assessment:
    """Every criterion of the policy that can be judged in a phase.

    Args:
        evidence: The numbers.
        policy: The criteria and their limits.
        phase: Where the rollout stands; disagreement is judged while traffic is mirrored only.
        bounds: By criterion, the level that the stable version kept; judged where no other version
            serves at the same time.
        unread: Why answers may not be compared between the versions; None: they may. Errors and
            latency are compared all the same: they protect callers, whoever they are.
    """
    reference = _reference(evidence, phase)
    judged = {
        criterion.title: criterion
        for criterion in policy.criteria
        if criterion.metric != "disagreement" or phase == "shadow"
    }
    readings: list[Reading] = []
    for title, criterion in judged.items():
        rule = Rule(
            criterion,
            reference,
            bounds.get(title),
            policy.alpha_each,
            policy.alpha,
            unread=None if criterion.metric in _PROTECTING else unread,
        )
        readings += compare(rule, evidence)
    verdict, told = _sum_up(evidence, judged, readings)
    return Assessment(
        verdict=verdict,
        readings=tuple(readings),
        asking=tuple(r.criterion for r in _harmful(judged, readings, "ask")),
        n_challenger=evidence.n("challenger"),
        n_stable=evidence.n(reference),
        reason=_words(evidence, verdict, told),
    )


def kept_levels(evidence: Evidence, policy: RolloutPolicy, phase: Phase) -> dict[str, float]:
    """By criterion, a level that the serving version is proven to keep, with the margin on top.

    What a promoted version is held against when nothing serves beside it: errors and latency only,
    since these have one direction and move little from hour to hour.

    Args:
        evidence: The numbers, of the last stage before the promotion.
        policy: The criteria and their limits.
        phase: That stage.
    """
    arm = evidence.arms.get(_reference(evidence, phase))
    found: dict[str, float] = {}
    for criterion in policy.criteria:
        measure = arm.measures.get(criterion.title) if arm is not None else None
        top = _top(measure, criterion, policy.alpha_each / 2)  # the other half is for the watch
        if criterion.margin is None or not math.isfinite(top):
            continue
        allowed = criterion.margin * top if criterion.relative else criterion.margin
        found[criterion.title] = top + max(allowed, criterion.margin_seconds)
    return found


def _reference(evidence: Evidence, phase: Phase) -> Arm:
    """The arm that the challenger is compared with. A baseline has a share in steps only: copies of
    requests are compared with the answers that callers got."""
    is_step = phase in ("step", "baking") and "baseline" in evidence.arms
    return "baseline" if is_step or evidence.n("baseline") else "stable"


def _sum_up(
    evidence: Evidence, judged: Mapping[str, Criterion], readings: Sequence[Reading]
) -> tuple[Verdict, Sequence[Reading]]:
    """The verdict, and the readings that it rests on. Of all answers the worst counts."""
    harmful = _harmful(judged, readings, "roll_back")
    if harmful:
        return "harmful", harmful
    # Slices speak up when they are harmed; a step waits for the whole.
    awaited = [r for r in readings if r.criterion in judged and judged[r.criterion].required]
    unknown = [r for r in awaited if r.verdict == "unknown"]
    if not unknown and all(r.verdict == "unknown" for r in readings):
        unknown = list(readings)  # nothing is required, and nothing at all was measured
    if unknown or evidence.source_error is not None:
        return "unknown", unknown
    waiting = [r for r in awaited if r.verdict != "healthy"]
    if waiting:
        return "undecided", waiting
    return "healthy", [r for r in readings if r.verdict == "healthy"]


def _harmful(
    judged: Mapping[str, Criterion], readings: Sequence[Reading], on_harm: str
) -> list[Reading]:
    return [
        reading
        for reading in readings
        if reading.verdict == "harmful"
        and judged[reading.criterion.partition("[")[0]].on_harm == on_harm
    ]


def _words(evidence: Evidence, verdict: Verdict, told: Sequence[Reading]) -> str:
    if verdict == "unknown" and evidence.source_error is not None:
        return f"the source of metrics did not answer: {evidence.source_error}"
    more = f"; and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
    words = "; ".join(reading.reason for reading in told[:_MOST_TOLD])
    return f"{words}{more}" if words else "no criterion speaks against it"


def _top(measure: Measured | None, criterion: Criterion, alpha: float) -> float:
    """The highest level that errors or latency may have, as far as is known; else infinite."""
    if isinstance(measure, Histogram):
        found = quantile_interval(measure, criterion.quantile, alpha_low=alpha, alpha_high=alpha)
        return found.high_edge if found is not None else math.inf
    if isinstance(measure, Moments) and criterion.metric == "error_ratio" and measure.n:
        found_share = error_difference(
            measure, None, effect=criterion.margin or _LEVEL, alpha_low=alpha, alpha_high=alpha
        )
        return found_share.high
    return math.inf

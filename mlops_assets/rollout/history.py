"""What was seen on the way of a rollout: looks at the evidence, each with its comparisons."""

from typing import Literal

from pydantic import AwareDatetime

from mlops_assets.rollout.evidence import Traffic
from mlops_assets.rollout.phases import Phase
from mlops_assets.rollout.record import Record

Verdict = Literal["harmful", "healthy", "undecided", "unknown"]
"""harmful: proven worse than allowed. healthy: proven to be within what is allowed. undecided:
measured, and neither is proven. unknown: not measured."""


class Reading(Record):
    """One comparison of one criterion: the numbers, and what they say.

    Attributes:
        criterion: Its name; with a slice `name[value]`.
        test: margin: against the version that serves at the same time. maximum, minimum: a bound.
        verdict: What the interval says.
        n_stable: Values of the arm that it is compared with; 0 against a bound.
        n_challenger: Values of the challenger.
        stable: Estimate of the arm that it is compared with; None when unknown or there is none.
        challenger: Estimate of the challenger's.
        difference: Harm above 0: how much worse, in the unit of `limit`.
        low: Lower end of the interval of the difference that is valid at every look.
        high: Upper end.
        limit: How much worse is allowed; in the unit of the criterion, relative ones as a ratio.
        reason: In words.
    """

    criterion: str
    test: Literal["margin", "maximum", "minimum"]
    verdict: Verdict
    n_stable: int = 0
    n_challenger: int = 0
    stable: float | None = None
    challenger: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    reason: str


class Evaluation(Record):
    """One look at the evidence, as it is shown and plotted.

    Attributes:
        at: When.
        phase: Phase in which it was judged.
        step: Position of the step.
        action: What was decided.
        verdict: Of all criteria together.
        traffic: As wanted from then on.
        n_challenger: Requests of the challenger in this stage.
        n_stable: Requests of the arm that it is compared with.
        readings: Every comparison.
        reason: Why.
    """

    at: AwareDatetime
    phase: Phase
    step: int
    action: str
    verdict: Verdict
    traffic: Traffic
    n_challenger: int
    n_stable: int
    readings: tuple[Reading, ...] = ()
    reason: str


def thinned(history: tuple[Evaluation, ...]) -> tuple[Evaluation, ...]:
    """Without every second look of the older half that changed nothing; else without every second.

    The newer half stays, and a lone one goes.
    """
    half = len(history) // 2
    older, newer = history[:half], history[half:]
    kept = tuple(
        look for at, look in enumerate(older) if look.action not in ("none", "hold") or at % 2
    )
    return (older[1::2] if len(kept) == half else kept) + (newer if half else ())

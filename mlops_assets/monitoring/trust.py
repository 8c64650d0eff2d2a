"""Whether an estimate of performance is believed: by how far off it was when truth came.

Here: `EstimateError`, one comparison of estimate and truth, and `assess_trust`.
Not here: the estimates (`cbpe.py`, `dle.py`), and what follows from them (`estimation.py`).

The first comparisons come from the evaluation: the rows that validate are cut into parts by time,
and each is estimated by what the others taught. Later ones come from windows whose truth is known.
A window is judged by the trust that was earned before it, so that a change of what the inputs mean
shows as a concept drift first, and as lost trust later.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from statistics import NormalDist
from typing import Literal

import numpy as np
from pydantic import AwareDatetime, Field

from mlops_assets.modeling.evaluation import Estimate
from mlops_assets.monitoring.record import Record
from mlops_assets.spec.model import Metric

TrustState = Literal["trusted", "untrusted", "unproven"]

FEWEST_ERRORS = 3
MOST_ERRORS = 10


class EstimateError(Record):
    """How far an estimate was off.

    Attributes:
        metric: Which.
        estimated: What was estimated.
        realised: What truth said, of the same rows.
        standard_error: Of what truth said.
        end: End of the window; None for a part of the evaluation's rows.
    """

    metric: Metric
    estimated: float
    realised: float
    standard_error: float = Field(ge=0)
    end: AwareDatetime | None = None

    @property
    def error(self) -> float:
        """Estimated minus realised."""
        return self.estimated - self.realised


class Trust(Record):
    """Whether an estimate is believed.

    Attributes:
        state: trusted; untrusted: it was too far off; unproven: too few comparisons, or too noisy
            ones, to tell.
        n_errors: Comparisons that it rests on.
        mean_error: Mean absolute error; None without any.
        by_chance: What a perfect estimate would show on average, since truth scatters too.
        reason: In words.
    """

    state: TrustState
    n_errors: int
    mean_error: float | None = None
    by_chance: float | None = None
    reason: str


def error_of(
    metric: Metric,
    estimated: Estimate,
    realised: Estimate,
    *,
    end: datetime | None = None,
    confidence: float = 0.95,
) -> EstimateError | None:
    """One comparison; None when a number of it is unknown."""
    if estimated.value is None or realised.value is None:
        return None
    if realised.low is None or realised.high is None:
        return None
    width = 2 * NormalDist().inv_cdf((1 + confidence) / 2)
    return EstimateError(
        metric=metric,
        estimated=estimated.value,
        realised=realised.value,
        standard_error=(realised.high - realised.low) / width,
        end=end,
    )


def assess_trust(errors: Sequence[EstimateError], metric: Metric, tolerance: float) -> Trust:
    """Whether the last ten comparisons speak for an estimate.

    What a perfect estimate would show by chance is taken off the mean absolute error first; the
    mean of a half-normal, as truth scatters with its standard error. What is left must not exceed
    the tolerance. When chance alone scatters more than the tolerance, nothing can be told.

    Args:
        errors: Comparisons in the order of time; those of other metrics are left out.
        metric: Which estimate.
        tolerance: In the metric's unit: the margin by which performance may be worse.
    """
    last = [error for error in errors if error.metric == metric][-MOST_ERRORS:]
    if len(last) < FEWEST_ERRORS:
        reason = f"{len(last)} comparisons with truth, {FEWEST_ERRORS} needed"
        return Trust(state="unproven", n_errors=len(last), reason=reason)
    mean = float(np.mean([abs(found.error) for found in last]))
    spread = [found.standard_error for found in last]
    by_chance = math.sqrt(2 / math.pi) * float(np.mean(spread))
    noise = math.sqrt((1 - 2 / math.pi) * float(np.mean(np.square(spread))) / len(last))
    told = (
        f"{metric} was off by {mean:.3g} on average in {len(last)} comparisons with truth, "
        f"{by_chance:.3g} of it by chance; {tolerance:.3g} is allowed"
    )
    excess = max(0.0, mean - by_chance)
    state: TrustState = "trusted" if excess <= tolerance else "untrusted"
    if state == "trusted" and noise > tolerance:
        state, told = "unproven", f"{told}, and chance hides more than that"
    return Trust(state=state, n_errors=len(last), mean_error=mean, by_chance=by_chance, reason=told)

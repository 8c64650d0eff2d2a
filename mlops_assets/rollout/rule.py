"""One criterion in force in one stage: what it is held against, and how sure one must be."""

import math
from dataclasses import dataclass

from mlops_assets.rollout.evidence import Arm
from mlops_assets.rollout.measures import Moments
from mlops_assets.rollout.policy import Criterion
from mlops_assets.rollout.sequential import Interval, error_difference, mean_difference

_FLAGS = ("error_ratio", "disagreement")


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

"""What a candidate must pass to be registered: pure functions from evidence to results."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from mlops_assets.modeling.evaluation import Evaluation
from mlops_assets.spec import GatesSpec

GateName = Literal[
    "beats_baseline", "not_worse_than_champion", "slices", "calibration", "minimum_rows"
]


class GateResult(BaseModel):
    """One gate's answer.

    Attributes:
        name: Which gate.
        passed: Whether the candidate passes. What is unknown does not pass.
        value: The number that was compared; None when it is unknown or there is nothing to compare.
        threshold: What it was compared with.
        reason: In words, with the numbers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: GateName
    passed: bool
    value: float | None
    threshold: float | None
    reason: str


def judge(evaluation: Evaluation, gates: GatesSpec) -> list[GateResult]:
    """Every gate that is switched on, in the order of the document's reference."""
    raise NotImplementedError

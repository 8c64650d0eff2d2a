"""Whether a single column gives the target away."""

from pydantic import BaseModel, ConfigDict


class LeakageVerdict(BaseModel):
    """Whether any feature alone predicts the target too well.

    Attributes:
        passed: No score is above the limit, and all are known.
        reason: In words, with the numbers.
        suspects: The features above the limit, best first.
    """

    model_config = ConfigDict(frozen=True)

    passed: bool
    reason: str
    suspects: list[str]


def assess_leakage(scores: dict[str, float | None], maximum: float) -> LeakageVerdict:
    """The verdict on `FrameFacts.single_column_scores` under
    `spec.features.maximum_single_column_score`."""
    raise NotImplementedError

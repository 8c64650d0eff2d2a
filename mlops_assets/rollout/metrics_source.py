"""Where the numbers of a rollout come from: the narrow seam between what is asked and who knows it.

Here: `MetricsSource`, its question and its answer. The prediction log (`log_source.py`) knows
everything; counters of pods or Prometheus know errors and latencies only, and say so in `missing`.
Not here: what the numbers mean (`assessment.py`).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from pydantic import AwareDatetime, Field

from mlops_assets.rollout.evidence import Arm, ArmEvidence
from mlops_assets.rollout.policy import Criterion
from mlops_assets.rollout.record import Record

if TYPE_CHECKING:
    import polars as pl

Task = Literal["binary", "multiclass", "regression"]


class Subject(Record):
    """What the model answers, as far as its numbers depend on it.

    Attributes:
        task: What is predicted.
        classes: Labels in the order of the probabilities, as the log writes them; empty for
            regression.
        positive: The value of the target that means yes, which callers may send as the truth.
    """

    task: Task
    classes: tuple[str, ...] = ()
    positive: str | None = None


class Question(Record):
    """What is to be measured.

    Attributes:
        service: Name of the InferenceService.
        subject: What its model answers.
        revisions: Name of the revision of each arm.
        since: Requests count from here on.
        until: Now.
        mirrored: Whether the challenger's answers are those to copies, which reached nobody.
        criteria: What is judged.
        by_unit: Whether callers are kept on one version, so that each caller is one unit.
        warm_up_requests: First requests of each arm that are left out.
        compared: The last stage in which both versions answered, whose truth may have come since;
            None unless the promoted version is watched.
        cursor: What the source answered last in this rollout; empty at first.
    """

    service: str
    subject: Subject
    revisions: Mapping[Arm, str]
    since: AwareDatetime
    until: AwareDatetime
    mirrored: bool = False
    criteria: tuple[Criterion, ...]
    by_unit: bool = False
    warm_up_requests: int = 0
    compared: tuple[AwareDatetime, AwareDatetime] | None = None
    cursor: str = ""


class Measured(Record):
    """What was found. See `Evidence` for its fields.

    Attributes:
        cursor: To be asked with the next time; at most 50,000 characters.
    """

    arms: Mapping[Arm, ArmEvidence] = Field(default_factory=dict)
    late: Mapping[Arm, ArmEvidence] = Field(default_factory=dict)
    source_error: str | None = None
    missing: Mapping[str, str] = Field(default_factory=dict)
    cursor: str = ""


class MetricsSource(Protocol):
    """Measures both versions of a rollout. Never raises: what is not known is said so."""

    def measure(self, question: Question) -> Measured:
        """The numbers of a window. `source_error` is set when the source did not answer."""


@runtime_checkable
class AnswerSource(Protocol):
    """A source that knows each answer, not only sums; only the prediction log does."""

    def answers(self, question: Question, features: Sequence[str]) -> "pl.DataFrame":
        """The answers of the window, with some features, as `measuring.py` describes them."""

"""What `up` finds out about each model, as one of three words and a reason: pure decisions."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from mlops_assets.platform.events import ModelMade
from mlops_assets.platform.home import Home

Outcome = Literal["answers", "refused", "failed"]
"""answers: the champion answered its example. refused: no champion, since gates refused the
candidate; a result. failed: anything else."""


class Probe(BaseModel):
    """What a service said to its example. `problem` says why it is no answer; None when it is."""

    model_config = ConfigDict(frozen=True)

    version: int | None
    problem: str | None


class ModelResult(BaseModel):
    """How it stands with one model.

    Attributes:
        model: Its name.
        outcome: One of three words.
        reason: The rest of the sentence.
        version: Registry version that answers; None when none does.
        refused: Gates that the newest candidate failed, each with its reason.
        service: Name of its InferenceService, under which it answers.
        example: Rows that it answers.
        made: The assets made this time.
        seconds: From the first look at the model to this result.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    outcome: Outcome
    reason: str
    version: int | None
    refused: dict[str, str]
    service: str | None
    example: list[dict[str, JsonValue]]
    made: list[str]
    seconds: float

    @property
    def line(self) -> str:
        """The result as one line."""
        if self.outcome == "answers":
            return f"{self.model}: {self.reason}"
        return f"{self.model}: {self.outcome}: {self.reason}"


def classify(made: ModelMade, probe: Probe | None) -> ModelResult:
    """How it stands with a model, once all is made that can be.

    Args:
        made: What the materializing process reported.
        probe: What the service said; None when there was none to ask.
    """
    outcome, reason = _judge(made, probe)
    answered = probe is not None and probe.problem is None
    return ModelResult(
        model=made.model,
        outcome=outcome,
        reason=reason,
        version=probe.version if probe is not None and answered else None,
        refused=made.refused,
        service=made.service,
        example=made.example,
        made=made.made,
        seconds=made.seconds,
    )


def _judge(made: ModelMade, probe: Probe | None) -> tuple[Outcome, str]:
    refusal = "; ".join(f"{gate}: {reason}" for gate, reason in made.refused.items())
    champion = None
    if probe is not None and probe.problem is None:
        champion = f"champion v{probe.version}"
    if made.failure is not None:
        still = f" ({champion} still answers)" if champion else ""
        return "failed", made.failure + still
    if made.version is None:
        return ("refused", refusal) if refusal else ("failed", "it is made, but not served")
    if probe is None or probe.problem is not None:
        problem = "it was not asked" if probe is None else probe.problem
        return "failed", f"champion v{made.version} does not answer: {problem}"
    if probe.version != made.version:
        return "failed", f"{champion} answers, but v{made.version} should"
    if refusal:
        return "answers", f"{champion} answers; its newest challenger is refused: {refusal}"
    return "answers", f"{champion} answers"


def exit_code(
    results: Sequence[ModelResult], *, error: str | None, require_champion: bool
) -> Literal[0, 1]:
    """0 when all is well; 1 when a model or the platform failed, or a champion is missing."""
    accepted = {"answers"} if require_champion else {"answers", "refused"}
    failed = error is not None or any(result.outcome not in accepted for result in results)
    return 1 if failed else 0


class Results(BaseModel):
    """What one `up` found out, kept in the home for `status`."""

    model_config = ConfigDict(frozen=True)

    finished_at: str
    models: list[ModelResult]


def read_results(home: Home) -> list[ModelResult]:
    """What former starts found out; empty when there is nothing, or it is of another version."""
    try:
        return Results.model_validate_json(home.results.read_text()).models
    except (OSError, ValidationError):
        return []


def build_summary(
    results: Sequence[ModelResult],
    *,
    code: int,
    error: str | None,
    urls: Mapping[str, str],
    seconds: Mapping[str, float],
) -> dict[str, JsonValue]:
    """The one JSON object of `up --json`."""
    return {
        "ok": code == 0,
        "error": error,
        "urls": dict(urls),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "models": [result.model_dump(mode="json") for result in results],
    }

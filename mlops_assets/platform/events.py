"""What the materializing process tells `up`: one JSON object a line.

Data only; `progress.py` makes it readable, `results.py` judges it.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(_Event):
    """Something to know, such as a repair."""

    kind: Literal["message"] = "message"
    text: str


class Unusable(_Event):
    """Nothing can be made: the last event, with what is wrong."""

    kind: Literal["unusable"] = "unusable"
    text: str


class Models(_Event):
    """Which models there are, in the order of their making, and which are retired."""

    kind: Literal["models"] = "models"
    models: list[str]
    retired: list[str]


class Planned(_Event):
    """A run begins. `reasons` says why each of its steps is taken."""

    kind: Literal["planned"] = "planned"
    model: str
    dagster_run_id: str
    reasons: dict[str, str]


class StepStarted(_Event):
    """A step of a run begins."""

    kind: Literal["step_started"] = "step_started"
    model: str
    step: str


class StepEnded(_Event):
    """A step of a run came to its end."""

    kind: Literal["step_ended"] = "step_ended"
    model: str
    step: str
    seconds: float
    ok: bool


class ModelMade(_Event):
    """All is done for a model that can be done now.

    Attributes:
        model: Its name.
        service: Name of its InferenceService; None when it has none.
        version: Registry version that should answer; None when there never was a champion.
        refused: Gates that its newest candidate failed, each with its reason.
        failure: What failed and where; None when nothing did.
        example: Rows of raw features that the service must answer.
        ready_timeout_seconds: How long the service may take to be ready.
        made: The assets made this time.
        seconds: How long it took.
    """

    kind: Literal["model_made"] = "model_made"
    model: str
    service: str | None
    version: int | None
    refused: dict[str, str]
    failure: str | None
    example: list[dict[str, JsonValue]]
    ready_timeout_seconds: float
    made: list[str]
    seconds: float


Event = Message | Unusable | Models | Planned | StepStarted | StepEnded | ModelMade

_ANY: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])


def read_event(line: str) -> Event:
    """The event of a line. Raises pydantic's ValidationError when it is none."""
    return _ANY.validate_json(line)

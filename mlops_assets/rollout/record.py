"""The form of every value of the rollout's core."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A value of the rollout's core: frozen, closed, and of one stored form."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

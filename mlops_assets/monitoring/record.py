"""The base of values that monitoring and retraining store."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A value that never changes, closed, and of one stored form."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

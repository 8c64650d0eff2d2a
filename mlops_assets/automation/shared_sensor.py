"""A sensor that every document brings and that is one for all of them, and what it asks of runs."""

from typing import Any

import dagster as dg

UNENDED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
"""Statuses of a run that may still do something."""


class SharedSensor(dg.SensorDefinition):
    """A sensor that stays the same object while Dagster merges the documents' definitions.

    Dagster copies the sensors of each component to note where it stands, and then refuses two of
    one name; those that are one object it takes for one.
    """

    def with_attributes(self, **_: Any) -> dg.SensorDefinition:
        """This sensor: it belongs to no component alone."""
        return self

"""A sensor that every document brings and that is one for all of them, and what it asks of runs."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from mlops_assets.errors import PlatformError

UNENDED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
"""Statuses of a run that may still do something."""


def tick_seconds() -> int:
    """Seconds between two ticks of a shared sensor: of `MLOPS_TICK_SECONDS`, else 5.

    Raises:
        PlatformError: it is no whole number of seconds.
    """
    text = os.environ.get("MLOPS_TICK_SECONDS", "5")
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise PlatformError(
            f"MLOPS_TICK_SECONDS: found {text!r}, allowed: 1 or more, whole seconds"
        )
    return int(text)


def read_cursor(cursor: str | None) -> dict[str, Any]:
    """What the last tick found of each model; nothing when that cannot be read."""
    try:
        found = json.loads(cursor or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def log_news(
    context: dg.SensorEvaluationContext, lines: Sequence[str], before: Mapping[str, Any]
) -> None:
    """Log what a tick tells of a model, unless the last one told it: each log is a file for ever.

    Args:
        context: Of the tick.
        lines: What it tells; kept as `told` in what its cursor holds of the model.
        before: What the last tick's cursor holds of the model.
    """
    known = before.get("told", ())
    for line in lines:
        if line not in known:
            context.log.info(line)


class SharedSensor(dg.SensorDefinition):
    """A sensor that stays the same object while Dagster merges the documents' definitions.

    Dagster copies the sensors of each component to note where it stands, and then refuses two of
    one name; those that are one object it takes for one.
    """

    def with_attributes(self, **_: Any) -> dg.SensorDefinition:
        """This sensor: it belongs to no component alone."""
        return self

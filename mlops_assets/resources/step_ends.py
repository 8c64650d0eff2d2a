"""How often a step has ended, by the event log.

A failure by a signal is no end. Every eviction begins with SIGTERM, upon which the step's worker
writes a failure of its own; whether the step has failed or runs again is decided by what became of
its pod. In a run without step pods the run itself has ended then.
"""

import dagster as dg
from dagster._core.events import DagsterEvent
from dagster._core.execution.plan.objects import ErrorSource, StepFailureData

_END_EVENTS = {
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_UP_FOR_RETRY,
}


def is_interruption(event: DagsterEvent) -> bool:
    """Whether it is a step's failure by a signal."""
    data = event.event_specific_data
    return isinstance(data, StepFailureData) and data.error_source == ErrorSource.INTERRUPT


def count_ends(instance: dg.DagsterInstance, run_id: str, step_key: str) -> int:
    """How many starts of a step are over."""
    events = [entry.dagster_event for entry in instance.all_logs(run_id, of_type=_END_EVENTS)]
    return sum(
        event is not None and event.step_key == step_key and not is_interruption(event)
        for event in events
    )

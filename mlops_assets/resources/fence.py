"""The fence: a step publishes nothing once its run is over, or once it was given up itself.

A step can outlive its run. Its pod works on while the run's worker was killed, or it was cut off
when the run was terminated; meanwhile the run may have been repeated, with other results. And the
run may have gone on without it, or with another start of it, when its node did not answer. So every
step asks here immediately before it hands on a record, registers a version or changes a service.

What is left is the moment between the question and the write, a few milliseconds; and a storage
that cannot be asked refuses, too.
"""

from typing import Any

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES

from mlops_assets.errors import MlopsError
from mlops_assets.resources.step_ends import count_ends

_NO_RUN = "its run is unknown to the storage"


def find_refusal(status: dg.DagsterRunStatus | None, own_attempt: int, n_ends: int) -> str | None:
    """Why a step may not publish; None when it may. Pure.

    Args:
        status: Status of the run as the storage has it now; None: the run was deleted.
        own_attempt: How often the step was started before it.
        n_ends: How many starts of the step are over, by the event log.
    """
    if status is None:
        return _NO_RUN
    if status in FINISHED_STATUSES:
        return f"its run is over: {status.value}"
    if status == dg.DagsterRunStatus.CANCELING:
        return "its run is being terminated"
    if n_ends > own_attempt:
        return f"start {own_attempt + 1} of it, which this is, was given up"
    return None


def require_live_run(context: dg.AssetExecutionContext | dg.OutputContext) -> None:
    """Refuses when the step may not publish any more.

    Raises:
        MlopsError: with the reason.
    """
    step: Any = (
        context.step_context
        if isinstance(context, dg.OutputContext)
        else context.get_step_execution_context()
    )
    instance: dg.DagsterInstance = step.instance
    key = step.step.key
    run = instance.get_run_by_id(step.run_id)
    n_ends = count_ends(instance, step.run_id, key)
    status = run.status if run is not None else None
    if refusal := find_refusal(status, step.previous_attempt_count, n_ends):
        raise MlopsError(f"step {key} of run {step.run_id} publishes nothing: {refusal}")

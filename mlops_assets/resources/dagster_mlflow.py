"""dagster-mlflow's `mlflow_tracking`, repaired, for assets and ops that ask for `mlflow`.

What is repaired, with MLflow 3 (dagster 21872 and 15053, measured with dagster-mlflow 0.29.27):
- MLflow ends every active run as FINISHED when a process exits, so a failed Dagster run looked
  finished. Here the run's status follows Dagster's own record of its steps.
- Steps that start side by side each searched, found nothing and created a run of their own. Here
  they claim, wait until every other claim is visible, and all take the earliest.
"""

import time
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg

from mlops_assets.modeling.tracking import Tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient

CLAIM_SETTLES_SECONDS = 1.0  # longer than a create takes plus the skew of the clocks involved
_RUN_TAG = "dagster_run_id"  # dagster-mlflow's own tag

RunStatus = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]


def mlflow_resource(tracking_uri: str, experiment_name: str) -> dg.ResourceDefinition:
    """The resource `mlflow`: dagster-mlflow's object, with all of MLflow's functions on it."""

    @dg.resource(description="dagster-mlflow's mlflow_tracking, with its run status repaired.")
    def mlflow(context: dg.InitResourceContext) -> Iterator[Any]:
        from dagster_mlflow import mlflow_tracking

        client = Tracking(tracking_uri).client
        run_id = claim_run(client, experiment_name, str(context.run_id))
        config = {
            "experiment_name": experiment_name,
            "mlflow_tracking_uri": tracking_uri,
            "mlflow_run_id": run_id,
            "env": {},
            "extra_tags": {},
        }
        inner = mlflow_tracking.resource_fn(context.replace_config(config))
        tracking = next(inner)
        try:
            yield tracking
        finally:
            tracking.end_run(_status_of(context))

    return mlflow


def claim_run(client: "MlflowClient", experiment_name: str, dagster_run_id: str) -> str:
    """The one MLflow run of a Dagster run, whichever process asks first."""
    experiment_id = _experiment_id(client, experiment_name)
    mine = f"tags.{_RUN_TAG} = '{dagster_run_id}'"
    while True:
        claims = client.search_runs([experiment_id], mine)
        if not claims:
            client.create_run(experiment_id, tags={_RUN_TAG: dagster_run_id})
            continue
        newest = max(claim.info.start_time for claim in claims)
        missing_seconds = newest / 1000 + CLAIM_SETTLES_SECONDS - time.time()
        if missing_seconds <= 0:
            break
        time.sleep(min(missing_seconds, CLAIM_SETTLES_SECONDS))
    first, *others = sorted(claims, key=lambda c: (c.info.start_time, c.info.run_id))
    for other in others:
        client.delete_run(other.info.run_id)
    return str(first.info.run_id)


def run_status(planned: Set[str], steps: Mapping[str, str], *, interrupted: bool) -> RunStatus:
    """The status of an MLflow run, from the steps of its Dagster run.

    Args:
        planned: Keys of every step that the Dagster run was to execute.
        steps: Status by step key, as far as steps have ended: SUCCESS, FAILURE or SKIPPED.
        interrupted: Somebody ended the Dagster run.
    """
    if interrupted:
        return "KILLED"
    if "FAILURE" in steps.values():
        return "FAILED"
    return "FINISHED" if planned <= steps.keys() else "RUNNING"


def _status_of(context: dg.InitResourceContext) -> RunStatus:
    instance, run = context.instance, context.run
    if instance is None or run is None:
        return "FINISHED"
    current = instance.get_run_by_id(run.run_id)
    planned: Sequence[str] = run.step_keys_to_execute or ()
    if not planned and run.execution_plan_snapshot_id:
        plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
        planned = plan.step_keys_to_execute
    ended = {
        stats.step_key: stats.status.value
        for stats in instance.get_run_step_stats(run.run_id)
        if stats.status is not None and stats.status.value in ("SUCCESS", "FAILURE", "SKIPPED")
    }
    stopped = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
    interrupted = current is not None and current.status in stopped
    return run_status(set(planned), ended, interrupted=interrupted)


def _experiment_id(client: "MlflowClient", name: str) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:  # another process was first
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)

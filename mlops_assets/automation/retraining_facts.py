"""What the retraining sensor asks Dagster, the registry and the rollouts about a model.

Everything here answers within milliseconds and loads nothing heavy.
"""

import dagster as dg

from mlops_assets.assets.training import DATASET_ROWS_TAG
from mlops_assets.retraining.attempts import OutsideFacts, RolloutStatus, RunFacts, RunStatus
from mlops_assets.retraining.state import Attempt, RetrainingState
from mlops_assets.rollout.registry import TrackingRegistry
from mlops_assets.rollout.state import RolloutState
from mlops_assets.rollout.store import RolloutStore
from mlops_assets.spec import ModelSpec

ATTEMPT_TAG = "mlops/retraining"
"""Tag of a run: key of the attempt that it was launched for."""

_ENDED: dict[dg.DagsterRunStatus, RunStatus] = {
    dg.DagsterRunStatus.SUCCESS: "succeeded",
    dg.DagsterRunStatus.FAILURE: "failed",
    dg.DagsterRunStatus.CANCELED: "failed",
}


def read_facts(
    instance: dg.DagsterInstance,
    registry: TrackingRegistry,
    rollouts: RolloutStore,
    spec: ModelSpec,
    state: RetrainingState,
) -> OutsideFacts:
    """What is known outside of a model's windows.

    Raises:
        RegistryError: the registry cannot be read.
        RolloutError: the rollout cannot be read.
    """
    aliases = registry.aliases(spec.registered_model)
    champion = aliases.get("champion")
    rows = state.champion.n_rows if state.champion is not None else None
    if champion is not None and (state.champion is None or state.champion.version != str(champion)):
        told = registry.tag(spec.registered_model, champion, DATASET_ROWS_TAG)
        rows = None if told is None else int(told)
    asks_rows = spec.retraining is not None and spec.retraining.new_rows is not None
    attempt, challenger = state.in_flight, aliases.get("challenger")
    return OutsideFacts(
        champion=None if champion is None else str(champion),
        champion_rows=rows,
        n_rows=_dataset_rows(instance, spec) if asks_rows else None,
        run=None if attempt is None else _run(instance, rollouts, spec, attempt, challenger),
    )


def _dataset_rows(instance: dg.DagsterInstance, spec: ModelSpec) -> int | None:
    """Rows of the newest snapshot of the dataset."""
    event = instance.get_latest_materialization_event(dg.AssetKey([spec.name, "dataset"]))
    made = event.asset_materialization if event is not None else None
    found = made.metadata.get("dagster/row_count") if made is not None else None
    return int(str(found.value)) if found is not None else None


def _run(
    instance: dg.DagsterInstance,
    rollouts: RolloutStore,
    spec: ModelSpec,
    attempt: Attempt,
    challenger: int | None,
) -> RunFacts | None:
    """The run of an attempt, the newest when there are several; None: there is none yet.

    There are several when one crashed and Dagster repeats it, from the step that it was at: it
    runs still, and what it has made is found in the former ones.
    """
    filters = dg.RunsFilter(tags={ATTEMPT_TAG: attempt.run_key})
    records = instance.get_run_records(filters)  # newest first
    if not records:
        return None
    record = records[0]
    run = record.dagster_run
    is_repeated = run.is_complete_and_waiting_to_retry
    status = "running" if is_repeated else _ENDED.get(run.status, "running")
    facts = RunFacts(dagster_run_id=run.run_id, status=status)
    if status == "running":
        return facts
    update: dict[str, object] = {"cpu_minutes": sum(map(_seconds, records)) / 60}
    if status == "failed":
        update["refused"] = _refusals(instance, spec, run.run_id)
        update["told"] = f"run {run.run_id[:8]} ended as {run.status.value}"
    else:
        versions = (_version(instance, spec, r.dagster_run.run_id) for r in records)
        version = next(filter(None, versions), None)
        update["version"] = version
        update["rollout"], update["rollout_told"] = _rollout(rollouts, spec, version, challenger)
    return facts.model_copy(update=update)


def _seconds(record: dg.RunRecord) -> float:
    """How long a run took."""
    end = record.end_time or 0.0
    return max(0.0, end - (record.start_time or end))


def _refusals(instance: dg.DagsterInstance, spec: ModelSpec, run_id: str) -> str:
    """Reasons of the gates that refused the run's candidate."""
    key = dg.AssetKey([spec.name, "evaluation"])
    found = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ).records
    refused = []
    for record in found:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        evaluation = event.asset_check_evaluation_data
        if evaluation.asset_key == key and evaluation.blocking and not evaluation.passed:
            refused.append(f"{evaluation.check_name}: {evaluation.description or 'it failed'}")
    return "; ".join(refused)


def _version(instance: dg.DagsterInstance, spec: ModelSpec, run_id: str) -> str | None:
    """The version that a run registered."""
    key = dg.AssetKey([spec.name, "model_version"])
    found = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    ).records
    for record in found:
        made = record.event_log_entry.asset_materialization
        if made is not None and made.asset_key == key and "version" in made.metadata:
            return str(made.metadata["version"].value)
    return None


def _rollout(
    rollouts: RolloutStore, spec: ModelSpec, version: str | None, challenger: int | None
) -> tuple[RolloutStatus, str]:
    """How it stands with a version's rollout, in a word and in words."""
    if spec.rollout is None or version is None:
        return "none", ""
    content, _ = rollouts.read(spec.service)
    state = None if content is None else RolloutState.from_storage(content)
    if state is None or str(state.challenger.version) != version:
        if str(challenger) == version:
            return "going", "its rollout has not begun yet"
        return ("none", "") if state is None else ("superseded", "another version took its place")
    told = f"v{version}: {state.phase}: {state.reason}"
    if not state.is_ended:
        return "going", told
    return ("promoted" if state.phase == "succeeded" else "rolled_back"), told

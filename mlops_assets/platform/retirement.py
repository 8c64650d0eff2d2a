"""Takes a model out of service, and remembers it.

What goes: the service, its rollout, the schedules, the aliases in the registry, the state of its
retraining. What stays: the document, every run, version, snapshot, log and verdict. `up` passes a
retired model over until it is named: `mlops-assets up --model NAME` makes it live again from what
is still valid.
"""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.errors import PlatformError
from mlops_assets.platform.evidence import declared_services, read_record
from mlops_assets.platform.home import Home
from mlops_assets.platform.instance import CodeLocation, code_location, ensure_instance
from mlops_assets.platform.models import known_documents, require_known
from mlops_assets.platform.pipelines import repository_origin
from mlops_assets.platform.registry_glance import count_aliases
from mlops_assets.platform.rollouts import forget_rollout
from mlops_assets.platform.watching import forget_retraining
from mlops_assets.serving.home import ServingHome
from mlops_assets.whole_files import alone, replace_file

if TYPE_CHECKING:
    import dagster as dg
    from dagster._core.remote_origin import RemoteInstigatorOrigin


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What a retirement took away; empty when there was nothing left to take."""

    service: str | None
    n_aliases: int
    schedules: tuple[str, ...]


def retire(home: Home, project: Path, model: str, now: datetime) -> Withdrawn:
    """Takes a model out of service. Safe to repeat, and to be killed at any line.

    Raises:
        PlatformError: there is no such model.
    """
    require_known(home, project, model)
    mark_retired(home, model, now)  # first: an `up` from here on passes it over
    service = withdraw_service(home, model)
    n_aliases = withdraw_aliases(home, model)
    forget_retraining(home, model)  # after the champion's alias: with it, a tick would write anew
    return Withdrawn(service, n_aliases, _withdraw_schedules(home, project, model))


def read_retired(home: Home) -> dict[str, str]:
    """The retired models, with the time of it (ISO 8601, UTC).

    Raises:
        PlatformError: the file is damaged.
    """
    mend = "write {} into it, or the names and times"
    try:
        found = json.loads(home.retired.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise PlatformError(f"{home.retired} is not JSON ({error}); {mend}") from error
    if not isinstance(found, dict):
        raise PlatformError(f"{home.retired} holds a {type(found).__name__}; {mend}")
    return {str(model): str(at) for model, at in found.items()}


def mark_retired(home: Home, model: str, now: datetime) -> None:
    """Remembers that a model is retired; the first time counts."""
    with _alone(home):
        retired = read_retired(home)
        if model not in retired:
            _write(home, {**retired, model: now.isoformat(timespec="seconds")})


def unretire(
    home: Home, instance: "dg.DagsterInstance", location: CodeLocation, model: str
) -> None:
    """Forgets that a model was retired; its schedules are what its document says again."""
    with _alone(home):
        retired = read_retired(home)
        if retired.pop(model, None) is not None:
            for schedule in schedule_names(model):
                restart_schedule(instance, location, schedule)
            _write(home, retired)


def withdraw_service(home: Home, model: str) -> str | None:
    """Tells the gateway to serve a model no more; returns the service's name, if there was one."""
    service = declared_services(home).get(model)
    if service is not None:
        forget_rollout(home, service)  # first: a tick from here on has nothing to repair
        ServingHome.under(home.root).manifest(service).unlink(missing_ok=True)
    return service


def withdraw_aliases(home: Home, model: str) -> int:
    """Takes the aliases off a model's registered model; returns how many there were."""
    record = read_record(home, model, "model_version")
    name = str(record["name"]) if record is not None else model
    n_aliases = count_aliases(home, name)
    if n_aliases:
        from mlops_assets.modeling.tracking import Tracking  # loads MLflow: only when needed

        Tracking(f"sqlite:///{home.mlflow_database}").remove_aliases(name)
    return n_aliases


def schedule_names(model: str) -> tuple[str, str]:
    """The schedules that a model may have: of the whole job, and of its dataset alone."""
    return f"{model}_schedule", f"{model}_refresh"


def stop_schedule(
    instance: "dg.DagsterInstance", location: CodeLocation, name: str, cron: str
) -> None:
    """Stops a schedule; it stays stopped when its document asks for it to run."""
    from dagster._core.scheduler.instigation import (
        InstigatorState,
        InstigatorStatus,
        InstigatorType,
        ScheduleInstigatorData,
    )

    origin, origin_id, selector_id = _schedule(location, name)
    stopped = InstigatorState(
        origin,
        InstigatorType.SCHEDULE,
        InstigatorStatus.STOPPED,
        ScheduleInstigatorData(cron, None),
    )
    if instance.get_instigator_state(origin_id, selector_id) is None:
        instance.add_instigator_state(stopped)
    else:
        instance.update_instigator_state(stopped)


def restart_schedule(instance: "dg.DagsterInstance", location: CodeLocation, name: str) -> None:
    """Lets a schedule be what its document says again."""
    _, origin_id, selector_id = _schedule(location, name)
    if instance.get_instigator_state(origin_id, selector_id) is not None:
        instance.delete_instigator_state(origin_id, selector_id)


def _withdraw_schedules(home: Home, project: Path, model: str) -> tuple[str, ...]:
    """Stops the schedules that a model's document has; returns their names."""
    spec = known_documents(project).get(model)
    if spec is None or not home.dagster.is_dir():
        return ()
    declared = zip(schedule_names(model), (spec.schedule, spec.refresh), strict=True)
    crons = {name: when.cron for name, when in declared if when is not None}
    if crons:
        import dagster as dg

        ensure_instance(project, home)
        with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
            for name, cron in crons.items():
                stop_schedule(instance, code_location(project), name, cron)
    return tuple(crons)


def _schedule(location: CodeLocation, name: str) -> "tuple[RemoteInstigatorOrigin, str, str]":
    """What Dagster's records call a schedule."""
    from dagster._core.remote_origin import RemoteInstigatorOrigin

    origin = RemoteInstigatorOrigin(repository_origin(location), name)
    return origin, origin.get_id(), origin.get_selector().get_id()


def _alone(home: Home) -> AbstractContextManager[None]:
    """One process at a time reads the list and writes it again."""
    home.root.mkdir(parents=True, exist_ok=True)
    return alone(home.root / ".retired.lock")


def _write(home: Home, retired: Mapping[str, str]) -> None:
    replace_file(home.retired, json.dumps(dict(sorted(retired.items())), indent=1))

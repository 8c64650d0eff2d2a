"""Takes a model out of service, and remembers it.

What goes: the service, its rollout, the schedule, the aliases in the registry, the state of its
retraining. What stays: the document, every run, version, snapshot, log and verdict. `up` passes a
retired model over until it is named: `mlops-assets up --model NAME` makes it live again from what
is still valid.
"""

import json
from collections.abc import Mapping
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
from mlops_assets.whole_files import replace_file

if TYPE_CHECKING:
    import dagster as dg
    from dagster._core.remote_origin import RemoteInstigatorOrigin


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What a retirement took away; empty when there was nothing left to take."""

    service: str | None
    n_aliases: int
    schedule: str | None


def retire(home: Home, project: Path, model: str, now: datetime) -> Withdrawn:
    """Takes a model out of service. Safe to repeat, and to be killed at any line.

    Raises:
        PlatformError: there is no such model.
    """
    require_known(home, project, model)
    mark_retired(home, model, now)  # first: an `up` from here on passes it over
    service = withdraw_service(home, model)
    forget_retraining(home, model)
    schedule = _withdraw_schedule(home, project, model)
    return Withdrawn(service, withdraw_aliases(home, model), schedule)


def read_retired(home: Home) -> dict[str, str]:
    """The retired models, with the time of it (ISO 8601, UTC).

    Raises:
        PlatformError: the file is damaged.
    """
    try:
        found = json.loads(home.retired.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise PlatformError(
            f"{home.retired} is not JSON ({error}); write {{}} into it, or the names and times"
        ) from error
    return {str(model): str(at) for model, at in dict(found).items()}


def mark_retired(home: Home, model: str, now: datetime) -> None:
    """Remembers that a model is retired; the first time counts."""
    retired = read_retired(home)
    if model not in retired:
        _write(home, {**retired, model: now.isoformat(timespec="seconds")})


def unretire(
    home: Home, instance: "dg.DagsterInstance", location: CodeLocation, model: str
) -> None:
    """Forgets that a model was retired; its schedule is what its document says again."""
    retired = read_retired(home)
    if retired.pop(model, None) is not None:
        restart_schedule(instance, location, model)
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


def stop_schedule(
    instance: "dg.DagsterInstance", location: CodeLocation, model: str, cron: str
) -> None:
    """Stops a model's schedule; it stays stopped when its document asks for it to run."""
    from dagster._core.scheduler.instigation import (
        InstigatorState,
        InstigatorStatus,
        InstigatorType,
        ScheduleInstigatorData,
    )

    origin, origin_id, selector_id = _schedule(location, model)
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


def restart_schedule(instance: "dg.DagsterInstance", location: CodeLocation, model: str) -> None:
    """Lets a model's schedule be what its document says again."""
    _, origin_id, selector_id = _schedule(location, model)
    if instance.get_instigator_state(origin_id, selector_id) is not None:
        instance.delete_instigator_state(origin_id, selector_id)


def _withdraw_schedule(home: Home, project: Path, model: str) -> str | None:
    """Stops the schedule of a model whose document has one."""
    spec = known_documents(project).get(model)
    if spec is None or spec.schedule is None or not home.dagster.is_dir():
        return None
    import dagster as dg

    ensure_instance(project, home)
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        stop_schedule(instance, code_location(project), model, spec.schedule.cron)
    return f"{model}_schedule"


def _schedule(location: CodeLocation, model: str) -> "tuple[RemoteInstigatorOrigin, str, str]":
    """What Dagster's records call a model's schedule."""
    from dagster._core.remote_origin import RemoteInstigatorOrigin

    origin = RemoteInstigatorOrigin(repository_origin(location), f"{model}_schedule")
    return origin, origin.get_id(), origin.get_selector().get_id()


def _write(home: Home, retired: Mapping[str, str]) -> None:
    replace_file(home.retired, json.dumps(dict(sorted(retired.items())), indent=1))

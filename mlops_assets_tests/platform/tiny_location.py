"""A code location of two models that are made in milliseconds, as tests of the platform need them.

`<MLOPS_HOME>/tiny.json` says how the model `apple` behaves: `content` of its source, whether its
`gate` lets it pass, whether its source is `gone`, whether its evaluation `fails` or `hangs`. `pear`
always behaves.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel

from mlops_assets.kserve.manifest import MODEL_NAME, revision_name
from mlops_assets.resources.records import RecordIOManager
from mlops_assets.serving.home import ServingHome, write_json


def home() -> Path:
    """MLOPS_HOME now: one process may load this once and use it in many homes."""
    return Path(os.environ["MLOPS_HOME"])


class Snapshot(BaseModel):
    """The record of the tiny dataset."""

    version: int
    n_rows: int


class Judged(BaseModel):
    """The record of the tiny evaluation."""

    value: float


class Live(BaseModel):
    """The record of the tiny service."""

    service: str
    version: int
    example: list[dict[str, Any]]


def behaviour(model: str) -> dict[str, Any]:
    """How a model is to behave now."""
    found: dict[str, Any] = {"content": "a", "gate": True}
    found |= dict.fromkeys(("gone", "fails", "hangs"), False)
    path = home() / "tiny.json"
    if model == "apple" and path.exists():
        found.update(json.loads(path.read_text()))
    return found


def build(model: str) -> dg.Definitions:
    """The assets and the job of a model."""
    common: Any = {"group_name": model, "io_manager_key": "records"}

    @dg.asset(key=[model, "dataset"], code_version="1", dagster_type=Snapshot, **common)
    def dataset() -> dg.MaterializeResult:  # type: ignore[type-arg]
        now = behaviour(model)
        if now["gone"]:
            raise dg.Failure("its source is gone", allow_retries=False)
        content = now["content"]
        return dg.MaterializeResult(
            value=Snapshot(version=1, n_rows=len(content)), data_version=dg.DataVersion(content)
        )

    @dg.asset(
        key=[model, "evaluation"],
        ins={"dataset": dg.AssetIn(key=[model, "dataset"])},
        check_specs=[dg.AssetCheckSpec("gate", asset=[model, "evaluation"], blocking=True)],
        code_version="1",
        dagster_type=Judged,
        **common,
    )
    def evaluation(dataset: Snapshot) -> dg.MaterializeResult:  # type: ignore[type-arg]
        now = behaviour(model)
        if now["fails"]:
            raise dg.Failure("the estimator does not converge", allow_retries=False)
        while now["hangs"]:
            (home() / "hangs").touch()
            time.sleep(0.05)
        check = dg.AssetCheckResult(
            check_name="gate", passed=now["gate"], description="0.49 is not above 0.5"
        )
        return dg.MaterializeResult(value=Judged(value=dataset.n_rows), check_results=[check])

    @dg.asset(
        key=[model, "inference_service"],
        ins={"evaluation": dg.AssetIn(key=[model, "evaluation"])},
        code_version="1",
        dagster_type=Live,
        **common,
    )
    def inference_service(evaluation: Judged) -> dg.MaterializeResult:  # type: ignore[type-arg]
        manifest = {
            "metadata": {"name": f"{model}-service", "labels": {MODEL_NAME: model}},
            "spec": {"predictor": {"name": revision_name(1)}},
        }
        write_json(ServingHome.under(home()).manifest(f"{model}-service"), manifest)
        return dg.MaterializeResult(
            value=Live(service=f"{model}-service", version=1, example=[{"colour": "red"}])
        )

    job = dg.define_asset_job(
        f"{model}_pipeline", selection=dg.AssetSelection.groups(model), tags={"mlops/model": model}
    )
    schedule = dg.ScheduleDefinition(
        name=f"{model}_schedule",
        job=job,
        cron_schedule="0 3 * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    assets: list[Any] = [dataset, evaluation, inference_service]
    return dg.Definitions(assets=assets, jobs=[job], schedules=[schedule])


defs = dg.Definitions.merge(
    build("apple"),
    build("pear"),
    dg.Definitions(
        resources={"records": RecordIOManager(root=dg.EnvVar("TINY_RECORDS"))},
        executor=dg.in_process_executor,
    ),
)

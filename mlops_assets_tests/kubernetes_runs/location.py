"""A code location for tests of runs on a cluster: assets that work, wait, hunger and go missing.

`SHARED` names a folder that all pods see, as a claim on a cluster would be. What one of these
assets does depends on files there, so a test decides when a step goes on.
"""

import os
import time
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel

from mlops_assets.kubernetes_runs.step_pods import step_pod_executor
from mlops_assets.resources.records import RecordIOManager

_MOST_SECONDS = 300.0


class Count(BaseModel):
    """The record of every asset here."""

    value: int


def shared() -> Path:
    """The folder that all pods see."""
    return Path(os.environ["SHARED"])


def wait_for(name: str) -> None:
    """Until a test has put a file there."""
    deadline = time.monotonic() + _MOST_SECONDS
    while not (shared() / name).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


COMMON: Any = {"io_manager_key": "records", "dagster_type": Count}


@dg.asset(key=["toy", "first"], **COMMON)
def first(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    """What a pod sees of its surroundings."""
    seen = {name: os.environ.get(name, "") for name in ("FROM_SECRET", "FROM_STEP", "HOSTNAME")}
    print(f"first runs in {seen['HOSTNAME']}")
    return dg.MaterializeResult(value=Count(value=1), metadata=seen)


@dg.asset(
    key=["toy", "second"],
    ins={"first": dg.AssetIn(key=["toy", "first"])},
    op_tags={
        "dagster-k8s/config": {
            "container_config": {
                "resources": {"requests": {"memory": "5Gi"}, "limits": {"memory": "5Gi"}},
                "env": [{"name": "FROM_STEP", "value": "step"}],
            },
            "pod_template_spec_metadata": {"labels": {"team": "ml"}},
        }
    },
    **COMMON,
)
def second(first: Count) -> dg.MaterializeResult[Any]:
    """Reads what the step before it made, in another pod."""
    seen = {"FROM_STEP": os.environ.get("FROM_STEP", "")}
    return dg.MaterializeResult(value=Count(value=first.value + 1), metadata=seen)


@dg.asset(key=["toy", "waiting"], op_tags={"mlops/maximum_evictions": "1"}, **COMMON)
def waiting(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    """Writes that it began, and goes on when the test says so."""
    name = context.run.tags["test/name"]
    (shared() / f"{name}-began").touch()
    wait_for(f"{name}-go")
    (shared() / f"{name}-went-on").touch()
    return dg.MaterializeResult(value=Count(value=int(time.time())))


@dg.asset(key=["toy", "after"], ins={"waiting": dg.AssetIn(key=["toy", "waiting"])}, **COMMON)
def after(waiting: Count) -> dg.MaterializeResult[Any]:
    """Has something to do when `waiting` is done."""
    return dg.MaterializeResult(value=waiting)


@dg.asset(
    key=["toy", "hungry"],
    op_tags={
        "dagster-k8s/config": {
            "container_config": {
                "resources": {"requests": {"memory": "400Mi"}, "limits": {"memory": "400Mi"}}
            },
        },
        "mlops/maximum_memory": "2Gi",
    },
    **COMMON,
)
def hungry() -> dg.MaterializeResult[Any]:
    """Takes 600 MB more than Dagster itself."""
    taken = bytearray(600 << 20)
    time.sleep(0.5)  # long enough for the kubelet's look
    return dg.MaterializeResult(value=Count(value=len(taken)))


@dg.asset(
    key=["toy", "lost"],
    op_tags={"dagster-k8s/config": {"container_config": {"image": "registry.example/none:1"}}},
    **COMMON,
)
def lost() -> dg.MaterializeResult[Any]:
    """Is never started: its image does not exist."""
    return dg.MaterializeResult(value=Count(value=0))


@dg.asset(key=["toy", "wrong"], **COMMON)
def wrong() -> dg.MaterializeResult[Any]:
    """Fails by itself."""
    raise ValueError("the data is wrong")


def _job(name: str, *assets: str, executor: dg.ExecutorDefinition, **tags: Any) -> Any:
    keys = [dg.AssetKey(["toy", asset]) for asset in assets]
    return dg.define_asset_job(name, selection=keys, executor_def=executor, tags=tags)


RUN_TAGS = {
    "dagster-k8s/config": {
        "container_config": {
            "resources": {"requests": {"memory": "3Gi"}, "limits": {"memory": "3Gi"}},
            "env": [{"name": "FROM_RUN", "value": "run"}],
        },
        "pod_spec_config": {"node_selector": {"pool": "cpu"}},
        "job_spec_config": {"ttl_seconds_after_finished": 600},
    }
}
IN_RUN, IN_STEPS = dg.in_process_executor, step_pod_executor

defs = dg.Definitions(
    assets=[first, second, waiting, after, hungry, lost, wrong],
    executor=IN_RUN,
    resources={"records": RecordIOManager(root=str(Path(os.environ["SHARED"]) / "records"))},
    jobs=[
        _job("in_run", "first", "second", executor=IN_RUN, **RUN_TAGS),
        _job("in_steps", "first", "second", executor=IN_STEPS, **RUN_TAGS),
        _job("waiting_in_run", "waiting", executor=IN_RUN),
        _job("waiting_in_steps", "waiting", executor=IN_STEPS),
        _job("waiting_and_after_in_steps", "waiting", "after", executor=IN_STEPS),
        _job("hungry_in_steps", "hungry", executor=IN_STEPS),
        _job("lost_in_steps", "lost", executor=IN_STEPS),
        _job("wrong_in_run", "wrong", executor=IN_RUN),
    ],
)

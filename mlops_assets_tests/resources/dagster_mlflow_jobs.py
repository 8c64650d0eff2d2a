"""Jobs for `test_dagster_mlflow.py`; in a module, since step processes import them."""

import os
import time
from collections.abc import Callable

import dagster as dg

from mlops_assets.resources.dagster_mlflow import mlflow_resource


def _resource() -> dg.ResourceDefinition:
    return mlflow_resource(os.environ.get("TEST_TRACKING_URI", ""), "dagster")


@dg.op(required_resource_keys={"mlflow"})
def left(context: dg.OpExecutionContext) -> int:
    context.resources.mlflow.log_metric("left", 1.0)
    return 1


@dg.op(required_resource_keys={"mlflow"})
def right(context: dg.OpExecutionContext) -> int:
    context.resources.mlflow.log_metric("right", 2.0)
    time.sleep(0.5)
    return 2


@dg.op(required_resource_keys={"mlflow"})
def join(context: dg.OpExecutionContext, a: int, b: int) -> None:
    context.resources.mlflow.log_metric("join", a + b)


@dg.op(required_resource_keys={"mlflow"})
def broken(context: dg.OpExecutionContext, a: int) -> None:
    context.resources.mlflow.log_metric("broken", a)
    raise ValueError("broken on purpose")


def _side_by_side() -> None:
    join(left(), right())


def _failing() -> None:
    broken(left())
    right()


def _job(name: str, body: Callable[[], None], executor: dg.ExecutorDefinition) -> dg.JobDefinition:
    return dg.job(name=name, resource_defs={"mlflow": _resource()}, executor_def=executor)(body)


_PRELOAD = {"preload_modules": ["dagster", "mlflow"]}
_PROCESSES = dg.multiprocess_executor.configured(
    {"max_concurrent": 2, "start_method": {"forkserver": _PRELOAD}}, name="processes"
)


def side_by_side_multiprocess() -> dg.JobDefinition:
    return _job("side_by_side", _side_by_side, _PROCESSES)


def failing_in_process() -> dg.JobDefinition:
    return _job("failing", _failing, dg.in_process_executor)


def failing_multiprocess() -> dg.JobDefinition:
    return _job("failing", _failing, _PROCESSES)

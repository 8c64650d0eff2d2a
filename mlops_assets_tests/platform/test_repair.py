"""Which runs are closed after a kill, and which are left alone."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._core.remote_origin import RemoteJobOrigin

from mlops_assets.platform.execution import PROCESS_TAG, is_process, process_identity
from mlops_assets.platform.instance import code_location
from mlops_assets.platform.pipelines import repository_origin
from mlops_assets.platform.repair import REASON, repair
from mlops_assets_tests.platform.conftest import ROOT, Tiny


@dg.job
def nothing() -> None:
    """A job for runs that somebody else executes."""


def now() -> datetime:
    return datetime.now(UTC)


def begin(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus, tags: dict[str, str] | None = None
) -> dg.DagsterRun:
    """A run that stands as it would after a kill."""
    origin = RemoteJobOrigin(repository_origin(code_location(ROOT)), nothing.name)
    return instance.create_run_for_job(nothing, status=status, tags=tags, remote_job_origin=origin)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.FAILURE),
        (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.FAILURE),
        (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE),
        (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED),
        (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.QUEUED),
        (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.SUCCESS),
    ],
)
def test_repair_table(tiny: Tiny, before: dg.DagsterRunStatus, after: dg.DagsterRunStatus) -> None:
    with tiny.instance() as instance:
        run = begin(instance, before)
        told = list(repair(instance, tiny.home, now()))
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        assert found.status == after
        assert [REASON in text for text in told] == [True] * (before != after)
        assert list(repair(instance, tiny.home, now())) == []


def test_a_run_whose_process_lives_is_left_alone(tiny: Tiny) -> None:
    """As one of `dagster dev` beside: it wrote its process into the log as it began."""
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with tiny.instance() as instance, subprocess.Popen(command) as other:
        launched = begin(instance, dg.DagsterRunStatus.STARTED)
        data = EngineEventData.in_process(other.pid)
        instance.report_engine_event("Started process for run.", launched, data)
        mine = begin(instance, dg.DagsterRunStatus.STARTED, {PROCESS_TAG: process_identity()})
        assert list(repair(instance, tiny.home, now())) == []
        other.kill()
        other.wait()
        (told,) = repair(instance, tiny.home, now())
        assert launched.run_id[:8] in told
        found = instance.get_run_by_id(mine.run_id)
        assert found is not None
        assert not found.is_finished


def test_a_run_that_is_launched_meanwhile_is_left_alone(tiny: Tiny) -> None:
    """Dagster's daemon is up again, and has taken it from the queue; its process comes next."""
    with tiny.instance() as instance:
        began = now() - timedelta(seconds=1)  # the database keeps whole seconds of new runs
        run = begin(instance, dg.DagsterRunStatus.STARTING)
        assert list(repair(instance, tiny.home, began)) == []
        (told,) = repair(instance, tiny.home, now())
        assert run.run_id[:8] in told


def test_a_later_process_with_the_same_number_is_another() -> None:
    assert is_process(process_identity())
    assert not is_process(f"{os.getpid()}@1000")
    assert not is_process("no process")

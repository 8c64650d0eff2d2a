"""Restarts of the control plane, and retries of runs: nothing is lost, and nothing done twice."""

import logging
import signal
import time
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent
from dagster._core.execution.plan.resume_retry import ReexecutionStrategy
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, RETRY_NUMBER_TAG
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon

from mlops_assets_tests.kubernetes.job_cluster import eventually
from mlops_assets_tests.kubernetes_runs.rights import granted_rights, used_rights
from mlops_assets_tests.kubernetes_runs.stand import LOCATION, PATIENCE_SECONDS, Stand

pytestmark = pytest.mark.timeout(900)  # a busy machine


def tag_of(stand: Stand, run_id: str, tag: str) -> str:
    run = stand.instance.get_run_by_id(run_id)
    return run.tags.get(f"dagster/{tag}", "") if run else ""


def retry_of(stand: Stand, run_id: str) -> str:
    """The run that repeats another, once there is one."""
    return eventually(lambda: tag_of(stand, run_id, "auto_retry_run_id"), PATIENCE_SECONDS)


def test_a_crashed_run_is_retried_and_a_wrong_one_is_not(stand: Stand) -> None:
    # Dagster's daemon passes over what failed before its first look.
    list(EventLogConsumerDaemon().run_iteration(stand.workspace()))
    once = {"dagster/max_retries": "1"}
    wrong = stand.launch("wrong_in_run", **once)
    more = {"mlops/maximum_memory": "3Gi"}
    crashed = stand.launch("waiting_in_run", "crashed", **once, **more)
    stand.began("crashed")
    stand.cluster.processes.kill(stand.pod(crashed, "dagster-run"), "OOMKilled")
    assert stand.ended(crashed) == "FAILURE"
    assert stand.said(crashed, "killed for memory: OOMKilled"), stand.messages(crashed)
    stand.go_on("crashed")

    child = retry_of(stand, crashed)
    assert stand.ended(child) == "SUCCESS", stand.story(child)
    memory = [
        job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
        for run_id in (crashed, child)
        for job in stand.jobs(run_id)
    ]
    assert memory == ["2Gi", "3Gi"]
    assert stand.ended(wrong) == "FAILURE"

    # Dagster says why in the event log too, but not when its daemon reads the failure before the
    # run's status is stored; the tag is always written.
    assert eventually(lambda: tag_of(stand, wrong, "will_retry"), PATIENCE_SECONDS) == "false"
    assert not stand.instance.get_runs(dg.RunsFilter(tags={"dagster/parent_run_id": wrong}))


def test_while_the_daemon_is_dead_no_run_is_lost_and_no_zombie_publishes(stand: Stand) -> None:
    record = stand.shared / "records" / "toy" / "waiting.json"
    before = record.read_text() if record.exists() else ""
    zombie, orphan = (stand.launch("waiting_in_steps", name) for name in ("zombie", "orphan"))
    for name in ("zombie", "orphan"):
        stand.began(name)
    step = stand.pod(zombie, "dagster-step")
    stand.cluster.processes.kill(stand.pod(zombie, "dagster-run"))
    assert stand.ended(zombie) == "FAILURE"
    stand.stop("daemon", signal.SIGKILL)  # and its keeper, which would delete the step's Job
    queued = stand.launch("in_run", "waits_for_a_daemon")
    assert stand.pod(zombie, "dagster-step") == step  # works on, for a run that is over
    stand.go_on("zombie")
    eventually((stand.shared / "zombie-went-on").exists, PATIENCE_SECONDS)
    refused = "publishes nothing: its run is over: FAILURE"
    eventually(lambda: stand.said(zombie, refused), PATIENCE_SECONDS)
    assert (record.read_text() if record.exists() else "") == before
    made = dg.DagsterEventType.ASSET_MATERIALIZATION
    assert not stand.instance.all_logs(zombie, of_type=made)
    stand.go_on("orphan")
    assert stand.ended(orphan) == "SUCCESS", stand.story(orphan)
    assert stand.status(queued) == "QUEUED"
    stand.start_daemon()
    assert stand.ended(queued) == "SUCCESS", stand.story(queued)


def test_a_queued_run_starts_on_the_image_that_it_was_queued_with(stand: Stand) -> None:
    stand.stop("daemon")
    old = stand.launch("in_run", "queued_with_v1")
    stand.stop("code")
    newer = "registry.example/mlops/platform:v2"
    images = stand.cluster.processes.images
    images[newer] = next(iter(images.values()))
    stand.start_code_location(newer)
    new = stand.launch("in_run", "queued_with_v2")
    stand.start_daemon()
    for run_id, image in ((old, next(iter(images))), (new, newer)):
        assert stand.ended(run_id) == "SUCCESS", stand.story(run_id)
        (job,) = stand.jobs(run_id)
        assert job["spec"]["template"]["spec"]["containers"][0]["image"] == image
        run = stand.instance.get_run_by_id(run_id)
        assert run is not None
        assert run.tags["dagster/image"] == image


def test_two_daemons_launch_each_run_once(stand: Stand) -> None:
    stand.start_daemon("second-daemon")
    run_ids = [stand.launch("in_run", f"run-{number}") for number in range(2)]
    for run_id in run_ids:
        assert stand.ended(run_id) == "SUCCESS", stand.story(run_id)
        assert len(stand.jobs(run_id)) == 1
        successes = dg.DagsterEventType.RUN_SUCCESS
        assert len(stand.instance.all_logs(run_id, of_type=successes)) == 1
    stand.stop("second-daemon", signal.SIGKILL)


def test_lost_retries_are_found_and_launched(stand: Stand) -> None:
    names = ("skipped", "created", "unreachable", "unseen")
    skipped, created, failed, unseen = runs = [
        stand.launch("waiting_in_run", name, **{"dagster/max_retries": "1"}) for name in names
    ]
    for name in names:
        stand.began(name)
    stand.stop("daemon")
    for run_id in runs:
        stand.cluster.processes.kill(stand.pod(run_id, "dagster-run"))
    for run_id in (skipped, created):
        _fail_while_dagster_looks(stand, run_id)
        assert tag_of(stand, run_id, "will_retry") == "true"
    never_began = _create_retry(stand, created)
    stand.stop("code")
    _fail(stand, failed)
    list(EventLogConsumerDaemon().run_iteration(stand.workspace()))
    assert stand.said(failed, "Failed to retry run"), stand.story(failed)
    assert tag_of(stand, failed, "will_retry") == "false"
    list(EventLogConsumerDaemon().run_iteration(stand.workspace()))
    for run_id in runs:  # Dagster's cursor is past it for good
        assert not tag_of(stand, run_id, "auto_retry_run_id")
    _fail(stand, unseen)  # Dagster will look at it once its daemon is back
    for name in names:
        stand.go_on(name)
    stand.start_code_location()
    stand.start_daemon(MLOPS_RUN_KEEPER_RETRY_SECONDS="10")
    for run_id in runs:
        child = retry_of(stand, run_id)
        assert stand.ended(child) == "SUCCESS", stand.story(child)
        assert len(stand.instance.get_runs(dg.RunsFilter(tags={PARENT_RUN_ID_TAG: run_id}))) == 1
        lost = stand.said(run_id, "The automatic retry of this run was lost")
        assert lost == (run_id != unseen), stand.story(run_id)
    assert retry_of(stand, created) == never_began


def _fail(stand: Stand, run_id: str) -> None:
    run = stand.instance.get_run_by_id(run_id)
    assert run is not None
    stand.instance.report_run_failed(run, "the worker is gone")


def _create_retry(stand: Stand, run_id: str) -> str:
    """What Dagster's daemon does before it submits a retry, killed there; the retry's id."""
    run = stand.instance.get_run_by_id(run_id)
    assert run is not None
    request = stand.workspace().create_request_context()
    location = request.get_code_location(LOCATION)
    retry = stand.instance.create_reexecuted_run(
        parent_run=run,
        request_context=request,
        code_location=location,
        remote_job=location.get_repository("__repository__").get_full_job(run.job_name),
        strategy=ReexecutionStrategy.FROM_FAILURE,
        extra_tags={RETRY_NUMBER_TAG: "1"},
        use_parent_run_tags=True,
    )
    return retry.run_id


def _fail_while_dagster_looks(stand: Stand, run_id: str) -> None:
    """Write a run's failure in Dagster's own three steps, and let its daemon look after the first.

    That is what happened to one of seven retries on a real cluster.
    """
    instance, run = stand.instance, stand.instance.get_run_by_id(run_id)
    assert run is not None
    list(EventLogConsumerDaemon().run_iteration(stand.workspace()))  # it has a cursor by now
    event = DagsterEvent("PIPELINE_FAILURE", run.job_name, message="the worker is gone")
    entry_type: Any = dg.EventLogEntry
    entry = entry_type(
        error_info=None,
        level=logging.ERROR,
        user_message="",
        run_id=run_id,
        timestamp=time.time(),
        job_name=run.job_name,
        dagster_event=event,
    )
    instance.event_log_storage.store_event(entry)
    list(EventLogConsumerDaemon().run_iteration(stand.workspace()))
    instance.run_storage.handle_run_event(run_id, event)
    instance.add_run_tags(run_id, {"dagster/will_retry": "true"})


def test_no_account_uses_a_right_that_its_role_does_not_give(stand: Stand) -> None:
    assert used_rights(stand) <= granted_rights()

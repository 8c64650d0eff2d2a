"""What is left over of runs that are over."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlops_assets.kubernetes_runs.reaping import RunState, find_leftovers
from mlops_assets.kubernetes_runs.worker import Object

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
GRACE_SECONDS = 30.0


def a_run(status: str, seconds_ago: float) -> RunState:
    finished = status in ("SUCCESS", "FAILURE", "CANCELED")
    return RunState("r", status, finished, NOW - timedelta(seconds=seconds_ago), {})


def a_thing(seconds_old: float = 900, *, alone: bool = True, **status: Any) -> Object:
    made = (NOW - timedelta(seconds=seconds_old)).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = {"name": "n", "namespace": "ns", "labels": {"dagster/run-id": "r"}}
    owners = [] if alone else [{"kind": "Job"}]
    return {
        "metadata": {**metadata, "creationTimestamp": made, "ownerReferences": owners},
        "status": status,
    }


def ended(kind: str) -> list[dict[str, str]]:
    return [{"type": kind, "status": "True"}]


@pytest.mark.parametrize(
    ("job", "run", "is_left"),
    [
        pytest.param(a_thing(active=1), a_run("FAILURE", 31), True, id="works_for_a_failed_run"),
        pytest.param(a_thing(active=1), a_run("CANCELED", 31), True, id="for_a_terminated_one"),
        pytest.param(a_thing(active=1), a_run("SUCCESS", 31), True, id="even_for_a_good_one"),
        pytest.param(a_thing(), a_run("FAILURE", 31), True, id="waits_for_its_first_pod"),
        pytest.param(a_thing(active=1), a_run("FAILURE", 30), False, id="grace_is_inclusive"),
        pytest.param(a_thing(active=1), a_run("STARTED", 9e5), False, id="works_for_a_run"),
        pytest.param(a_thing(active=1), a_run("CANCELING", 9e5), False, id="being_terminated"),
        pytest.param(
            a_thing(conditions=ended("Complete")), a_run("SUCCESS", 99), False, id="it_has_ended"
        ),
        pytest.param(
            a_thing(conditions=ended("Failed")), a_run("FAILURE", 99), False, id="badly_too"
        ),
        pytest.param(a_thing(31, active=1), None, True, id="run_was_deleted"),
        pytest.param(a_thing(30, active=1), None, False, id="run_may_be_on_its_way"),
    ],
)
def test_which_jobs_are_left_over(job: Object, run: RunState | None, is_left: bool) -> None:
    runs = {"r": run} if run else {}
    found = find_leftovers([job], [], runs, NOW, GRACE_SECONDS)
    assert [(thing.kind, thing.name) for thing in found] == [("job", "n")] * is_left


@pytest.mark.parametrize(
    ("pod", "is_left"),
    [
        pytest.param(a_thing(phase="Running"), True, id="without_a_job"),
        pytest.param(a_thing(phase="Pending"), True, id="not_even_started"),
        pytest.param(a_thing(phase="Running", alone=False), False, id="its_job_is_deleted_instead"),
        pytest.param(a_thing(phase="Succeeded"), False, id="it_has_ended"),
    ],
)
def test_which_pods_are_left_over(pod: Object, is_left: bool) -> None:
    found = find_leftovers([], [pod], {"r": a_run("FAILURE", 99)}, NOW, GRACE_SECONDS)
    assert [thing.kind for thing in found] == ["pod"] * is_left

"""What holds on every cluster: the emulated one of `test_pipeline.py`, and a real one.

A file that imports these tests brings the fixture `platform`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import dagster as dg

from mlops_assets_tests.kubernetes.job_cluster import eventually

MODEL, SERVICE = "music_therapy", "music-therapy"
JOB = f"{MODEL}_pipeline"


class Platform(Protocol):
    """A platform with the real definitions."""

    patience_seconds: float

    def launch(self, job: str) -> str:
        """Launch a run over GraphQL; its id."""

    def terminate(self, run_id: str) -> None:
        """Terminate a run over GraphQL."""

    def status(self, run_id: str) -> str:
        """The run's status."""

    def story(self, run_id: str) -> str:
        """What there is to know about a run, for a failing test."""

    def pods(self, run_id: str) -> Sequence[Any]:
        """The run's pods."""

    def live(self, service: str) -> Mapping[str, int]:
        """Percent of the traffic by revision, as the router reports it."""


def ended(platform: Platform, run_id: str) -> str:
    """The run's last status, once it has it."""
    last = {s.value for s in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)}
    last.add(dg.DagsterRunStatus.CANCELED.value)
    wait(platform, lambda: platform.status(run_id) in last, run_id)
    return platform.status(run_id)


def wait(platform: Platform, look: Callable[[], bool], what: str) -> None:
    """Until something is so; each look is a call over the network."""
    eventually(look, platform.patience_seconds, what, pause_seconds=0.5)


def test_a_model_goes_from_its_source_to_its_service(platform: Platform) -> None:
    run_id = platform.launch(JOB)
    assert ended(platform, run_id) == "SUCCESS", platform.story(run_id)
    assert sum(platform.live(SERVICE).values()) == 100


def test_a_terminated_run_leaves_no_pod_behind(platform: Platform) -> None:
    run_id = platform.launch(JOB)
    wait(platform, lambda: platform.status(run_id) == "STARTED", "its start")
    platform.terminate(run_id)
    assert ended(platform, run_id) == "CANCELED", platform.story(run_id)
    wait(platform, lambda: not platform.pods(run_id), "the end of its pods")

"""The materializing process over a real Dagster instance and models of milliseconds."""

import signal
import time
from datetime import UTC, datetime

import dagster as dg
import pytest

from mlops_assets.errors import PlatformError
from mlops_assets.platform.events import Message, Models
from mlops_assets.platform.execution import PROCESS_TAG, process_identity
from mlops_assets.platform.pipelines import MODEL_TAG
from mlops_assets.platform.retirement import mark_retired, read_retired
from mlops_assets_tests.platform.conftest import Tiny, outcomes, runs
from mlops_assets_tests.platform.test_repair import begin

ALL = ["dataset", "evaluation", "inference_service"]


def test_what_is_valid_is_not_made_again(tiny: Tiny) -> None:
    first = tiny.materialize()
    assert runs(first) == [("apple", ALL), ("pear", ALL)]
    made = outcomes(first)["apple"]
    assert (made.service, made.version, made.failure) == ("apple-service", 1, None)
    assert made.example == [{"colour": "red"}]
    second = tiny.materialize()
    assert runs(second) == [("apple", ["dataset"]), ("pear", ["dataset"])]  # no fingerprint: read
    tiny.behave(content="other")
    assert runs(tiny.materialize("apple")) == [
        ("apple", ["dataset"]),
        ("apple", ["evaluation", "inference_service"]),
    ]


def test_its_runs_are_filed_under_their_job(tiny: Tiny) -> None:
    tiny.materialize("pear")
    with tiny.instance() as instance:
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.SUCCESS
        assert run.job_name == "pear_pipeline"
        assert run.tags["mlops/model"] == "pear"
        assert run.remote_job_origin is not None
        assert run.remote_job_origin.location_name == "tiny"
        assert run.job_code_origin is not None
        assert [k.path for k in sorted(run.asset_selection or ())] == [["pear", a] for a in ALL]


def test_a_refusal_is_a_result_and_is_not_repeated(tiny: Tiny) -> None:
    tiny.behave(gate=False)
    for is_first in (True, False):
        told = tiny.materialize("apple")
        made = outcomes(told)["apple"]
        assert runs(told) == [("apple", ALL if is_first else ["dataset"])]
        assert made.refused == {"gate": "0.49 is not above 0.5"}
        assert (made.failure, made.version) == (None, None)


def test_a_refusal_leaves_the_champion(tiny: Tiny) -> None:
    tiny.materialize("apple")
    tiny.behave(gate=False, content="worse")
    made = outcomes(tiny.materialize("apple"))["apple"]
    assert (made.version, made.failure) == (1, None)
    assert made.refused == {"gate": "0.49 is not above 0.5"}


def test_a_failure_names_its_step_and_is_tried_again(tiny: Tiny) -> None:
    tiny.behave(fails=True)
    told = tiny.materialize()
    assert outcomes(told)["apple"].failure == "evaluation: the estimator does not converge"
    assert outcomes(told)["pear"].failure is None
    tiny.behave()
    told = tiny.materialize("apple")
    assert runs(told) == [("apple", ALL)]
    assert outcomes(told)["apple"].failure is None


def test_a_source_that_is_gone_is_told_though_the_last_candidate_was_refused(tiny: Tiny) -> None:
    tiny.behave(gate=False)
    assert outcomes(tiny.materialize("apple"))["apple"].made == ["dataset", "evaluation"]
    tiny.behave(gate=False, gone=True)
    made = outcomes(tiny.materialize("apple"))["apple"]
    assert made.failure == "dataset: its source is gone"
    assert made.refused == {"gate": "0.49 is not above 0.5"}
    assert made.made == []


def test_what_is_lost_is_made_again(tiny: Tiny) -> None:
    tiny.materialize("apple")
    manifest = tiny.home.root / "serving" / "manifests" / "apple-service.json"
    manifest.unlink()
    (tiny.home.root / "records" / "apple" / "evaluation.json").unlink()
    told = tiny.materialize("apple")
    assert runs(told) == [("apple", ALL)]
    assert manifest.exists()


def test_a_retired_model_is_passed_over_until_it_is_named(tiny: Tiny) -> None:
    mark_retired(tiny.home, "apple", datetime.now(UTC))
    told = tiny.materialize()
    assert told[0] == Models(models=["pear"], retired=["apple"])
    told = tiny.materialize("apple")
    assert told[0] == Models(models=["apple"], retired=[])
    assert read_retired(tiny.home) == {}


def test_an_unknown_model_is_named(tiny: Tiny) -> None:
    with pytest.raises(PlatformError, match="no model is named 'plum'; found: apple, pear"):
        tiny.materialize("plum")


def test_it_does_not_race_with_a_run_that_goes_on(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops_assets.platform.making._OTHER_RUN_SECONDS", 0.0)
    tags = {MODEL_TAG: "apple", PROCESS_TAG: process_identity()}
    with tiny.instance() as instance:
        other = begin(instance, dg.DagsterRunStatus.STARTED, tags)
    told = tiny.materialize()
    failure = outcomes(told)["apple"].failure
    assert failure is not None
    assert f"run {other.run_id[:8]} of apple is still under way" in failure
    assert runs(told) == [("pear", ALL)]


def test_a_kill_is_repaired_and_ends_as_without_it(tiny: Tiny) -> None:
    tiny.behave(hangs=True)
    with tiny.start("apple") as process:
        wait_for_hang(tiny)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    with tiny.instance() as instance:
        assert [r.status for r in instance.get_runs()] == [dg.DagsterRunStatus.STARTED]
    tiny.behave()
    told = tiny.materialize("apple")
    (message,) = [event.text for event in told if isinstance(event, Message)]
    assert "apple_pipeline is failed: the platform was killed" in message
    assert outcomes(told)["apple"].version == 1
    with tiny.instance() as instance:
        found = {r.status for r in instance.get_runs()}
    assert found == {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}


def test_a_signal_ends_its_run_within_seconds(tiny: Tiny) -> None:
    tiny.behave(hangs=True)
    with tiny.start("apple") as process:
        wait_for_hang(tiny)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert time.monotonic() - began < 5
    with tiny.instance() as instance:
        (run,) = instance.get_runs()
    assert run.is_finished


def wait_for_hang(tiny: Tiny) -> None:
    """Waits until the evaluation hangs."""
    deadline = time.monotonic() + 30
    while not (tiny.home.root / "hangs").exists():
        assert time.monotonic() < deadline, "it never hung"
        time.sleep(0.05)

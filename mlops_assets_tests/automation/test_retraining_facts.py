"""What the runs of an attempt say of it, also when one crashed and was repeated."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest

from mlops_assets.automation.retraining_facts import ATTEMPT_TAG, read_facts
from mlops_assets.retraining.attempts import RunFacts
from mlops_assets.retraining.state import Attempt, RetrainingState
from mlops_assets_tests.documents import churn_spec

KEY = "churn:retraining:1"
START = datetime(2026, 3, 2, tzinfo=UTC)
ATTEMPT = Attempt(number=1, trigger="drift", reason="-", run_key=KEY, started_at=START)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as made:
        yield made


def run(instance: dg.DagsterInstance, *assets: str, crashes: bool = False) -> str:
    """A run of the attempt that makes some assets, and fails after them if told so."""

    def build(name: str) -> dg.AssetsDefinition:
        @dg.asset(key=["churn", name], deps=[["churn", "model_version"]] * (name == "service"))
        def made() -> dg.MaterializeResult[None]:
            if name == "service" and crashes:
                raise RuntimeError("the pod is gone")
            return dg.MaterializeResult(metadata={"version": 7})

        return made

    result = dg.materialize(
        [build(name) for name in assets],
        instance=instance,
        tags={ATTEMPT_TAG: KEY},
        raise_on_error=False,
    )
    assert result.success is not crashes
    return result.run_id


def facts(instance: dg.DagsterInstance) -> RunFacts:
    registry = SimpleNamespace(aliases=lambda _: {}, tag=lambda *_: None)
    state = RetrainingState(model="churn", since=START, attempts=(ATTEMPT,))
    found = read_facts(instance, cast("Any", registry), cast("Any", None), churn_spec(), state)
    assert found.run is not None
    return found.run


def test_a_run_that_succeeds_tells_its_version(instance: dg.DagsterInstance) -> None:
    run(instance, "model_version", "service")
    assert (facts(instance).status, facts(instance).version) == ("succeeded", "7")


def test_a_crash_that_dagster_repeats_is_no_end(instance: dg.DagsterInstance) -> None:
    """The attempt was told to have failed, and its cooldown begun, while it ran on."""
    crashed = run(instance, "model_version", "service", crashes=True)
    assert facts(instance).status == "failed"
    instance.add_run_tags(crashed, {"dagster/will_retry": "true"})
    assert facts(instance).status == "running"


def test_what_a_crashed_run_had_registered_is_found_once_its_repetition_ends(
    instance: dg.DagsterInstance,
) -> None:
    """The repetition begins after the steps that ended well: it was said to have no version."""
    run(instance, "model_version", "service", crashes=True)
    run(instance, "evaluation")
    assert (facts(instance).status, facts(instance).version) == ("succeeded", "7")

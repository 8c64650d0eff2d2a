from dataclasses import dataclass, field

import pytest
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.errors import PlatformError
from mlops_assets.platform.launching import GraphqlRuns, launch_and_follow
from mlops_assets_tests.serving.running import find_free_port


@dataclass
class Runs:
    """Dagster as it answers one question after the other."""

    statuses: list[str]
    launched: list[str] = field(default_factory=list)

    def launch(self, model: str) -> str:
        self.launched.append(model)
        return "run-1"

    def status(self, run_id: str) -> str:
        assert run_id == "run-1"
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]


def test_a_run_is_followed_to_its_end_and_each_change_told_once() -> None:
    said: list[str] = []
    runs = Runs(["QUEUED", "STARTED", "STARTED", "FAILURE"])
    ended = launch_and_follow(runs, "toy", "http://d/", 60, said.append, look_seconds=0)
    assert (ended.status, ended.url) == ("FAILURE", "http://d/runs/run-1")
    assert said == ["launched http://d/runs/run-1", "queued", "started", "failure"]
    assert runs.launched == ["toy"]


def test_a_run_that_takes_longer_is_left_to_itself() -> None:
    ended = launch_and_follow(Runs(["STARTED"]), "toy", "http://d", 0, lambda _: None)
    assert ended.status == "STARTED"


def test_an_address_that_is_none_and_one_that_does_not_answer_are_told() -> None:
    with pytest.raises(PlatformError, match="expected the address of Dagster's pages"):
        GraphqlRuns("dagster:3000")
    url = f"http://127.0.0.1:{find_free_port()}"
    shown = CliRunner().invoke(app, ["launch", "toy", "--dagster-url", url])
    assert isinstance(shown.exception, PlatformError)
    assert url in str(shown.exception)

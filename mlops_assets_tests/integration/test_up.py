"""`mlops-assets up` with the shipped models: what the README promises of `make run`."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from mlops_assets.modeling.tracking import Tracking
from mlops_assets.platform.home import Home

ROOT = Path(__file__).parents[2]
GUARD = Path(__file__).parents[1] / "network_guard"
ANY_PORTS = ["--dagster-port=0", "--mlflow-port=0", "--gateway-port=0"]


def command(home: Path, *options: str) -> list[str]:
    program = str(Path(sys.executable).with_name("mlops-assets"))
    return [program, "up", "--once", "--json", f"--home={home}", *ANY_PORTS, *options]


def environment(home: Path) -> Mapping[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(GUARD),
        "NETWORK_GUARD_LOG": str(home.with_suffix(".network")),
    }


def bring_up(home: Path, *options: str) -> dict[str, Any]:
    """The summary of `up --once --json`."""
    done = subprocess.run(
        command(home, *options), env=environment(home), cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)  # one JSON object and nothing else
    return summary


def processes_of(home: Path) -> list[str]:
    """The command lines of processes that work in a home."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        words = [*(process.info["cmdline"] or []), *(process.info["environ"] or {}).values()]
        if process.pid != os.getpid() and str(home) in words:
            found.append(" ".join(process.info["cmdline"] or []))
    return found


def runs_of(home: Path) -> list[tuple[str, str]]:
    """Job and status of each Dagster run in a home, oldest first."""
    with dg.DagsterInstance.from_config(str(Home(home).dagster)) as instance:
        runs = instance.get_runs()
    return [(run.job_name, run.status.value) for run in reversed(runs)]


def champion_digest(home: Path, model: str) -> str:
    champion = Tracking(f"sqlite:///{home}/mlflow.db").version_of_alias(model, "champion")
    assert champion is not None
    return champion.model_digest


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up") / "home"


@pytest.fixture(scope="module")
def first(home: Path) -> dict[str, Any]:
    return bring_up(home)


def test_both_models_answer_and_nothing_but_this_machine_is_contacted(
    home: Path, first: dict[str, Any]
) -> None:
    assert {m["model"]: m["outcome"] for m in first["models"]} == {
        "flight_delay": "answers",
        "music_therapy": "answers",
    }
    log = home.with_suffix(".network")
    assert not log.exists(), log.read_text()
    assert processes_of(home) == []


def test_a_second_time_nothing_is_made_again(home: Path, first: dict[str, Any]) -> None:
    before = runs_of(home)
    assert [status for _, status in before] == ["SUCCESS", "SUCCESS"]
    again = bring_up(home)
    assert runs_of(home) == before
    assert [m["version"] for m in again["models"]] == [m["version"] for m in first["models"]]


def test_killed_in_a_step_and_started_again_it_ends_as_if_it_never_was(
    home: Path, first: dict[str, Any], tmp_path: Path
) -> None:
    killed = tmp_path / "home"
    model = "--model=music_therapy"
    with subprocess.Popen(
        command(killed, model), env=environment(killed), cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "music_therapy evaluation: begins" in line:
                break
        process.kill()
    deadline = time.monotonic() + 15
    while processes_of(killed):
        assert time.monotonic() < deadline, processes_of(killed)
        time.sleep(0.1)
    bring_up(killed, model)
    assert champion_digest(killed, "music_therapy") == champion_digest(home, "music_therapy")
    assert [status for _, status in runs_of(killed)] == ["FAILURE", "SUCCESS"]
    client = Tracking(f"sqlite:///{killed}/mlflow.db").client
    experiments = [e.experiment_id for e in client.search_experiments()]
    assert client.search_runs(experiments, "attributes.status = 'RUNNING'") == []

"""`mlops-assets up` with the shipped models: what the README promises of `make run`.

One home for the whole file, since its first champions take half a minute: the commands and the
pages that a person opens are tested on it in this order.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import psutil
import pytest
from playwright.sync_api import expect

from mlops_assets.modeling.tracking import Tracking
from mlops_assets.platform.home import Home
from mlops_assets_tests.browser.chromium import opened_page
from mlops_assets_tests.integration.loop_project import pages_of

ROOT = Path(__file__).parents[2]
GUARD = Path(__file__).parents[1] / "network_guard"
ANY_PORTS = ["--dagster-port=0", "--mlflow-port=0", "--gateway-port=0"]
_ENDED = (
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
)


def command(home: Path, *options: str) -> list[str]:
    program = str(Path(sys.executable).with_name("mlops-assets"))
    return [program, "up", f"--home={home}", *ANY_PORTS, *options]


def environment(home: Path) -> Mapping[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(GUARD),
        "NETWORK_GUARD_LOG": str(home.with_suffix(".network")),
    }


def bring_up(home: Path, *options: str) -> dict[str, Any]:
    """The summary of `up --once --json`."""
    done = subprocess.run(
        command(home, "--once", "--json", *options),
        env=environment(home),
        cwd=ROOT,
        capture_output=True,
        text=True,
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


def test_killed_in_a_step_and_started_again_it_ends_as_if_it_never_was(
    home: Path, first: dict[str, Any], tmp_path: Path
) -> None:
    killed = tmp_path / "home"
    model = "--model=music_therapy"
    with subprocess.Popen(
        command(killed, "--once", model),
        env=environment(killed),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
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


@pytest.fixture(scope="module")
def pages(home: Path, first: dict[str, Any]) -> Iterator[dict[str, str]]:
    """URL by name, of the platform started once more. Ctrl-C must stop it within seconds."""
    with subprocess.Popen(
        command(home),
        env=environment(home),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield pages_of(process)
            process.send_signal(signal.SIGINT)
            process.wait(20)
        finally:
            process.kill()  # its guardian stops what it started


def test_a_second_time_nothing_is_made_again(home: Path, pages: dict[str, str]) -> None:
    assert [status for _, status in runs_of(home)] == ["SUCCESS", "SUCCESS"]
    service = httpx.get(f"{pages['Predictions']}/services/music-therapy").text
    assert "v1" in service
    assert "v2" not in service


def test_dagster_shows_the_evaluation_with_its_gates(pages: dict[str, str]) -> None:
    with opened_page() as page:
        page.goto(f"{pages['Dagster']}/assets/music_therapy/evaluation?view=checks")
        expect(page.get_by_text("beats_baseline").first).to_be_visible(timeout=30_000)
        page.goto(f"{pages['Dagster']}/assets/music_therapy/evaluation")
        expect(page.get_by_text("metric/roc_auc").first).to_be_visible(timeout=30_000)


def test_mlflow_shows_the_registered_model(pages: dict[str, str]) -> None:
    with opened_page() as page:
        page.goto(f"{pages['MLflow']}/#/models/music_therapy")
        expect(page.get_by_text("champion").first).to_be_visible(timeout=30_000)


@pytest.mark.parametrize("javascript", [True, False])
def test_the_gateway_lists_its_services(pages: dict[str, str], javascript: bool) -> None:
    with opened_page(javascript=javascript) as page:
        page.goto(pages["Predictions"])
        expect(page.get_by_text("music-therapy").first).to_be_visible()
        expect(page.get_by_text("v1").first).to_be_visible()


def test_a_run_started_in_the_pages_gives_the_same_version(pages: dict[str, str]) -> None:
    from dagster_graphql import DagsterGraphQLClient

    client = DagsterGraphQLClient(pages["Dagster"].removeprefix("http://"))
    run_id = client.submit_job_execution(
        "music_therapy_pipeline",
        repository_location_name="mlops_assets",
        repository_name="__repository__",
    )
    deadline = time.monotonic() + 120
    while (status := client.get_run_status(run_id)) not in _ENDED:
        assert time.monotonic() < deadline, status
        time.sleep(0.5)
    assert status is dg.DagsterRunStatus.SUCCESS
    service = httpx.get(f"{pages['Predictions']}/services/music-therapy").text
    assert "v1" in service
    assert "v2" not in service

"""The three pages that `up` prints, as a person sees them."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from dagster import DagsterRunStatus
from playwright.sync_api import expect

from mlops_assets_tests.browser.chromium import opened_page

ROOT = Path(__file__).parents[2]
_ENDED = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
_PAGE = re.compile(r"^\s*(Dagster|MLflow|Predictions)\s+(http://\S+)")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """URL by name, of a platform with one champion. Ctrl-C must stop it within seconds."""
    home = tmp_path_factory.mktemp("browser") / "home"
    program = str(Path(sys.executable).with_name("mlops-assets"))
    ports = ["--dagster-port=0", "--mlflow-port=0", "--gateway-port=0"]
    with subprocess.Popen(
        [program, "up", "--model=music_therapy", f"--home={home}", *ports],
        cwd=ROOT,
        env=dict(os.environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield _pages_of(process)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


def _pages_of(process: "subprocess.Popen[str]") -> dict[str, str]:
    """What `up` prints once everything is up."""
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if "Ctrl-C stops everything" in line:
            break
    found = {match[1]: match[2] for line in lines if (match := _PAGE.match(line))}
    assert len(found) == 3, "".join(lines)
    return found


def test_dagster_shows_the_evaluation_with_its_gates(pages: dict[str, str]) -> None:
    with opened_page() as page:
        page.goto(f"{pages['Dagster']}/assets/music_therapy/evaluation?view=checks")
        expect(page.get_by_text("beats_baseline").first).to_be_visible(timeout=30_000)
        page.goto(f"{pages['Dagster']}/assets/music_therapy/evaluation")
        expect(page.get_by_text("metric/roc_auc").first).to_be_visible(timeout=30_000)


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
    assert status is DagsterRunStatus.SUCCESS
    service = httpx.get(f"{pages['Predictions']}/services/music-therapy").text
    assert "v1" in service
    assert "v2" not in service


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

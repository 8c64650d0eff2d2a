"""The three pages that `up` prints, as a person sees them."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from mlops_assets_tests.browser.chromium import opened_page

ROOT = Path(__file__).parents[2]
_PAGE = re.compile(r"^\s*[\d.]+ s\s+(Dagster|MLflow|Predictions)\s+(http://\S+)")


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
        assert process.stderr is not None
        found: dict[str, str] = {}
        lines = []
        for line in process.stderr:
            lines.append(line)
            if match := _PAGE.match(line):
                found[match[1]] = match[2]
            if len(found) == 3:
                break
        assert len(found) == 3, "".join(lines)
        try:
            yield found
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


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

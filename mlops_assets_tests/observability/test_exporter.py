"""The exporter as a process, on a home as it is before anything ran."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mlops_assets.observability.exporter import sources_from
from mlops_assets_tests.serving.running import find_free_port, running_module, wait_for


@pytest.fixture
def url(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (home / "dagster").mkdir(parents=True)
    (home / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("MLOPS_HOME", str(home))
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    port = find_free_port()
    with running_module("mlops_assets.observability.exporter", f"--port={port}") as process:
        wait_for(f"http://127.0.0.1:{port}/health", process, 200)
        yield f"http://127.0.0.1:{port}"


def test_every_source_of_a_new_home_answers(url: str) -> None:
    answer = httpx.get(f"{url}/metrics", timeout=200, trust_env=False)
    lines = answer.text.splitlines()
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    for source in sources_from(os.environ):
        assert f'mlops_source_up{{source="{source}"}} 1' in lines
    assert "mlops_runs_queued 0" in lines
    assert httpx.get(f"{url}/other", trust_env=False).status_code == 404

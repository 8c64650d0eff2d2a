"""The exporter: what it tells of its sources, and as a process on a home before anything ran."""

import os
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from mlops_assets.observability.exporter import Exporter, build_server, sources_from
from mlops_assets.observability.facts import Sample, sample
from mlops_assets_tests.serving.running import find_free_port, running_module, wait_for


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def sound(_: datetime) -> Iterator[Sample]:
    yield sample("mlops_runs_queued", 2)


def broken(_: datetime) -> Iterator[Sample]:
    yield sample("mlops_runs_queued", 1)
    raise OSError("ordered")


def test_a_source_that_fails_is_told_and_takes_no_other_with_it() -> None:
    exporter = Exporter({"a": broken, "b": sound}, Clock())
    assert exporter.unread() == ["a", "b"]
    assert exporter.text() == ""
    for name in exporter.unread():
        exporter.read(name)
    lines = exporter.text().splitlines()
    assert exporter.unread() == []
    assert 'mlops_source_up{source="a"} 0' in lines
    assert 'mlops_source_up{source="b"} 1' in lines
    assert "mlops_runs_queued 2" in lines
    assert "mlops_runs_queued 1" not in lines


def test_what_was_read_long_ago_is_told_no_more_and_a_source_that_hangs_ends_the_process() -> None:
    clock = Clock()
    exporter = Exporter({"a": sound}, clock)
    exporter.read("a")
    clock.now = 299
    assert "mlops_runs_queued 2" in exporter.text()
    clock.now = 300
    assert 'mlops_source_up{source="a"} 0' in exporter.text()
    assert 'mlops_source_age_seconds{source="a"} 300' in exporter.text()
    assert "mlops_runs_queued 2" not in exporter.text()
    clock.now = 899
    assert exporter.hung() == []
    clock.now = 900
    assert exporter.hung() == ["a"]
    assert Exporter({"a": sound}, clock).hung() == []


def test_a_source_that_takes_long_each_time_does_not_hang_and_what_it_told_last_is_young() -> None:
    clock = Clock()

    def slow(_: datetime) -> Iterator[Sample]:
        clock.now += 445
        yield sample("mlops_runs_queued", 2)

    exporter = Exporter({"a": slow}, clock)
    exporter.read("a")
    exporter.read("a")
    clock.now += 20
    assert clock.now > 900
    assert exporter.hung() == []
    assert 'mlops_source_up{source="a"} 1' in exporter.text()


def test_a_source_that_hangs_makes_no_scrape_wait() -> None:
    asked, goes_on = threading.Event(), threading.Event()

    def hangs(_: datetime) -> Iterator[Sample]:
        asked.set()
        goes_on.wait(60)
        yield from ()

    exporter = Exporter({"a": hangs, "b": sound})
    exporter.start()
    with build_server(exporter, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        at = f"http://127.0.0.1:{server.server_address[1]}"
        assert asked.wait(60)
        answers = [httpx.get(f"{at}/{page}", trust_env=False) for page in ("metrics", "ready")]
        server.shutdown()
    goes_on.set()
    assert [answer.status_code for answer in answers] == [200, 503]
    assert 'source="a"' not in answers[0].text
    assert answers[1].text == "waits for a\n" or answers[1].text == "waits for a, b\n"


@pytest.fixture
def url(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (home / "dagster").mkdir(parents=True)
    (home / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("MLOPS_HOME", str(home))
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    port = find_free_port()
    with running_module("mlops_assets.observability.exporter", f"--port={port}") as process:
        wait_for(f"http://127.0.0.1:{port}/ready", process, 200)
        yield f"http://127.0.0.1:{port}"


def test_every_source_of_a_new_home_answers(url: str) -> None:
    answer = httpx.get(f"{url}/metrics", timeout=200, trust_env=False)
    lines = answer.text.splitlines()
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    for source in sources_from(os.environ):
        assert f'mlops_source_up{{source="{source}"}} 1' in lines
    assert "mlops_runs_queued 0" in lines
    assert httpx.get(f"{url}/other", trust_env=False).status_code == 404

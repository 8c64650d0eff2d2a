"""A whole `up`, with the real process that makes models and servers of a few lines."""

import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from mlops_assets.errors import PlatformError
from mlops_assets.platform.environment import Addresses, marked_processes
from mlops_assets.platform.home import Home
from mlops_assets.platform.lock import current_holder
from mlops_assets.platform.progress import Progress
from mlops_assets.platform.results import read_results
from mlops_assets.platform.start import Options, Report, example_request
from mlops_assets.platform.supervision import Server
from mlops_assets.platform.up import bring_up
from mlops_assets_tests.platform.conftest import Tiny

# Every page answers 200; every service answers each row, as version 1.
ANSWER = """
import http.server, json, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def say(self, content):
        self.send_response(200); self.end_headers(); self.wfile.write(json.dumps(content).encode())
    def do_GET(self):
        self.say({})
    def do_POST(self):
        rows = json.loads(self.rfile.read(int(self.headers["content-length"])))["instances"]
        self.say({"predictions": [0 for _ in rows], "model_version": "1"})
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
ANY = Addresses("127.0.0.1", 0, 0, 0)


def small_servers(home: Home, project: Path, addresses: Addresses, parent_pid: int) -> list[Server]:
    """Servers that answer, in place of the real ones."""
    return [
        Server(name, (sys.executable, "-c", ANSWER, url.rpartition(":")[2]), url)
        for name, url in sorted(addresses.urls.items(), key=lambda item: item[0] != "gateway")
    ]


def options(tiny: Tiny) -> Options:
    return Options(tiny.home, tiny.project, ANY, once=True, build_servers=small_servers)


def up(asked: Options, on_results: Callable[[Report], None] | None = None) -> tuple[Report, str]:
    """Brings it up; returns the report and what was said."""
    said = io.StringIO()
    told: list[Report] = []
    with Progress(Console(file=said, width=200)) as progress:
        report = bring_up(asked, progress, on_results or told.append)
    assert not list(marked_processes(asked.home))
    return report, said.getvalue()


def test_each_model_gets_its_result(tiny: Tiny) -> None:
    tiny.behave(gate=False)
    told: list[Report] = []
    report, said = up(options(tiny), told.append)
    assert told == [report]
    assert report.error is None
    assert [result.line for result in report.results] == [
        "apple: refused: gate: 0.49 is not above 0.5",
        "pear: champion v1 answers",
    ]
    assert read_results(tiny.home) == report.results
    assert 0 < report.seconds["first_prediction"] <= report.seconds["all"]
    assert "apple dataset: begins, 1 of 3" in said
    assert current_holder(tiny.home.lock) is None


def test_it_stays_up_until_a_signal(tiny: Tiny) -> None:
    began: list[float] = []

    def interrupt(report: Report) -> None:
        began.append(time.monotonic())
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()

    asked = replace(options(tiny), once=False, models=("pear",))
    report, said = up(asked, interrupt)
    assert report.error is None
    assert time.monotonic() - began[0] < 5
    assert example_request(report.urls["gateway"], report.results[0]) in said
    assert "stopping" in said


def test_a_service_that_hangs_holds_up_nobody_who_stops(tiny: Tiny) -> None:
    """Each look at it took 10 s, or 20 s, and as long the stop."""
    asked = tiny.home.root / "asked"
    hanging = f"import pathlib, time; pathlib.Path({str(asked)!r}).touch(); time.sleep(60)"
    gateway_code = ANSWER.replace("        rows =", f"        {hanging}\n        rows =")

    def build(home: Home, project: Path, addresses: Addresses, pid: int) -> list[Server]:
        gateway, *pages = small_servers(home, project, addresses, pid)
        command = (gateway.command[0], "-c", gateway_code, *gateway.command[3:])
        return [replace(gateway, command=command), *pages]

    interrupted: list[float] = []

    def interrupt() -> None:
        while not asked.exists():
            time.sleep(0.05)
        interrupted.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    report, _ = up(replace(options(tiny), once=False, models=("pear",), build_servers=build))
    assert report.error == "stopped before everything was up"
    assert time.monotonic() - interrupted[0] < 8


def test_a_server_that_cannot_run_is_named_with_its_last_words(tiny: Tiny) -> None:
    def broken(home: Home, project: Path, addresses: Addresses, pid: int) -> list[Server]:
        gateway, *pages = small_servers(home, project, addresses, pid)
        command = (sys.executable, "-c", "raise SystemExit('no such table: runs')")
        return [gateway, *[replace(page, command=command) for page in pages]]

    report, _ = up(replace(options(tiny), build_servers=broken))
    assert report.error is not None
    assert "ended with code 1 before it answered" in report.error
    assert "no such table: runs" in report.error


def test_definitions_that_cannot_be_loaded_are_told(tiny: Tiny) -> None:
    workspace = tiny.project / "workspace.yaml"
    workspace.write_text(workspace.read_text().replace("tiny_location", "no_such_module"))
    report, _ = up(options(tiny))
    assert report.error is not None
    assert "No module named 'mlops_assets_tests.platform.no_such_module'" in report.error


def test_a_damaged_manifest_ends_it_with_a_report_that_names_the_file(tiny: Tiny) -> None:
    manifest = tiny.home.root / "serving" / "manifests" / "plum.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{")
    report, _ = up(options(tiny))
    assert report.error is not None
    assert f"{manifest} is not JSON" in report.error


def test_a_busy_port_is_refused_with_its_option(tiny: Tiny) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        asked = replace(options(tiny), addresses=Addresses("127.0.0.1", 0, port, 0))
        with pytest.raises(PlatformError, match=rf"port {port} .*{os.getpid()}.* --mlflow-port"):
            up(asked)


def test_ports_must_differ(tiny: Tiny) -> None:
    asked = replace(options(tiny), addresses=Addresses("127.0.0.1", 0, 47_123, 47_123))
    with pytest.raises(PlatformError, match="the ports must differ"):
        up(asked)


def test_what_a_killed_start_left_is_ended(tiny: Tiny) -> None:
    tiny.home.lock.write_text('{"pid": 1, "instance": "x", "started_at": "y", "urls": {}}')
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(command, env=tiny.environment, start_new_session=True) as left:
        asked = replace(options(tiny), addresses=Addresses("127.0.0.1", 0, 47_123, 47_123))
        said = io.StringIO()
        with Progress(Console(file=said, width=200)) as progress, pytest.raises(PlatformError):
            bring_up(asked, progress, print)
        assert left.wait(5) == -signal.SIGKILL
    assert "the platform of process 1 was killed; cleaning up after it" in said.getvalue()
    assert f"killed what it had left: process {left.pid}" in said.getvalue()

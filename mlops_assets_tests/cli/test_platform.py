"""up, status and retire as people and scripts call them."""

import json
import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.platform.results import ModelResult
from mlops_assets.platform.start import Report
from mlops_assets_tests.platform.conftest import Tiny, fresh_dagster, tiny

__all__ = ["fresh_dagster", "tiny"]  # fixtures


@pytest.fixture
def project(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    monkeypatch.setenv("MLOPS_PROJECT", str(tiny.project))
    return tiny


def test_status_is_one_json_object(project: Tiny) -> None:
    project.materialize("pear")
    shown = CliRunner().invoke(app, ["status", "--json"])
    found = json.loads(shown.stdout)
    assert found["pid"] is None
    assert [model["state"] for model in found["models"]] == ["stopped"]


def test_status_is_readable(project: Tiny) -> None:
    project.materialize("pear")
    shown = CliRunner().invoke(app, ["status"])
    assert shown.exit_code == 0
    assert "is stopped" in shown.stdout
    assert "pear" in shown.stdout


def test_retire_tells_what_went(project: Tiny) -> None:
    project.materialize("pear")
    shown = CliRunner().invoke(app, ["retire", "pear"])
    assert shown.stdout == (
        "pear is retired: service pear-service, aliases: 0, schedules: it has none\n"
    )


def test_up_prints_json_and_nothing_else(project: Tiny) -> None:
    """The servers cannot run here, so it fails; standard output is an object all the same."""
    environment = {
        **project.environment,
        "MLOPS_PROJECT": str(project.project),
        "MLOPS_PLATFORM": "",
    }
    (project.project / "workspace.yaml").write_text("load_from: []")
    code = "from mlops_assets.cli import main; main()"
    ports = [part for name in ("dagster", "mlflow", "gateway") for part in (f"--{name}-port", "0")]
    command = [sys.executable, "-c", code, "up", "--once", "--json", *ports]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    found = json.loads(ended.stdout)
    assert ended.returncode == 1
    assert found["ok"] is False
    assert "workspace.yaml: found 0 entries" in found["error"]


def test_a_key_that_is_none_is_a_failure_told_as_any_other(project: Tiny) -> None:
    (project.home.root / "keys").mkdir()
    (project.home.root / "keys" / "signing.pem").mkdir()
    ports = [part for name in ("dagster", "mlflow", "gateway") for part in (f"--{name}-port", "0")]
    ended = CliRunner().invoke(app, ["up", "--once", "--json", *ports])
    assert ended.exit_code == 1
    assert "signing.pem cannot be read" in json.loads(ended.stdout)["error"]


def test_a_port_that_is_none_is_refused(project: Tiny) -> None:
    ended = CliRunner().invoke(app, ["up", "--once", "--dagster-port", "70000"])
    assert ended.exit_code == 2
    assert "--dagster-port" in ended.stderr
    assert "65535" in ended.stderr


def test_a_busy_port_is_a_failure_told_as_any_other(project: Tiny) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        ended = CliRunner().invoke(app, ["up", "--once", "--json", f"--mlflow-port={port}"])
    found = json.loads(ended.stdout)
    assert ended.exit_code == 1
    assert found["ok"] is False
    assert "--mlflow-port" in found["error"]


def test_a_report_is_a_line_for_each_model(capsys: pytest.CaptureFixture[str]) -> None:
    from mlops_assets.cli.platform import _print_report

    result = ModelResult(
        model="churn",
        outcome="refused",
        reason="gate: 0.49 [too low]",
        version=None,
        refused={},
        service=None,
        example=[],
        made=[],
        seconds=1,
    )
    report = Report([result], {}, {}, error="mlflow ended")
    _print_report(report, 1, as_json=False)
    told = capsys.readouterr()
    assert told.out == "churn: refused: gate: 0.49 [too low]\n"
    assert told.err == "mlops-assets: mlflow ended\n"

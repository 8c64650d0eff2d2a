"""The command line as a whole: it starts at once, helps, and ends with a meaning."""

import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from mlops_assets.cli.app import app

HEAVY = ("dagster", "mlflow", "pydantic", "polars", "numpy", "sklearn", "pandas", "psutil", "yaml")


def run(*arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    """The command line in a process of its own."""
    code = "from mlops_assets.cli import main; main()"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from mlops_assets.cli.app import app\n"
        f"assert not [name for name in {HEAVY} if name in sys.modules]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_command_teaches() -> None:
    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0
    for command in ("up", "status", "new", "check", "predict", "retire", "predictor"):
        assert command in shown.output
    for command in ("up", "status", "new", "check", "predict", "retire"):
        told = CliRunner().invoke(app, [command, "--help"])
        assert told.exit_code == 0
        assert "Usage:" in told.output


def test_up_names_its_ports_and_their_defaults() -> None:
    told = re.sub(r"\s+", " ", CliRunner().invoke(app, ["up", "--help"]).output)
    for option, port in (("dagster", 3000), ("mlflow", 5000), ("gateway", 8080)):
        assert f"--{option}-port" in told
        assert f"[default: {port}]" in told


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["retire", "plum", "--home", "/nonexistent"], 2, "no model is named 'plum'; found: "),
        (["predict", "plum", "--row", "{}", "--home", "/nonexistent"], 2, "plum has no service "),
        (["up", "--home", "/dev/null"], 1, "/dev/null cannot be the platform's folder"),
    ],
)
def test_an_error_is_one_message_and_an_exit_code(
    arguments: list[str], code: int, message: str
) -> None:
    ended = run(*arguments)
    assert ended.returncode == code
    assert ended.stdout == ""
    assert ended.stderr.startswith("mlops-assets: ")
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr

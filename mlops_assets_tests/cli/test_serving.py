"""predict and predictor as people call them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.errors import ServingError
from mlops_assets.serving.home import ServingHome, write_json
from mlops_assets_tests.cli.test_app import run
from mlops_assets_tests.platform.test_probe import gateway

ANSWER = '{"predictions": ["yes"], "model_version": "1"}'


@pytest.fixture
def declared(home: Path) -> Path:
    """A home whose gateway is to serve the model churn."""
    manifest = {"metadata": {"name": "churn-service", "labels": {"mlops-assets/model": "churn"}}}
    write_json(ServingHome.under(home).manifest("churn-service"), manifest)
    return home


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        pytest.param(["--row", '{"age": 31}'], "", id="rows"),
        pytest.param([], '[{"age": 31}]', id="standard_input"),
        pytest.param(["--file", "-"], '{"age": 31}', id="dash"),
    ],
)
def test_the_answer_is_json(declared: Path, arguments: list[str], stdin: str) -> None:
    with gateway(200, ANSWER) as url:
        command = ["predict", "churn", "--home", str(declared), "--gateway", url, *arguments]
        shown = CliRunner().invoke(app, command, input=stdin)
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout) == json.loads(ANSWER)


def test_rows_of_a_file(declared: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text('[{"age": 31}]')
    with gateway(200, ANSWER) as url:
        command = ["predict", "churn", "--home", str(declared), "--gateway", url]
        shown = CliRunner().invoke(app, [*command, "--file", str(rows)])
    assert json.loads(shown.stdout)["predictions"] == ["yes"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "standard input is not JSON"),
        ("[1]", "standard input: found 1, needed: an object of features by name"),
        ("[]", "needed: an object of features by name"),
    ],
)
def test_what_is_no_row_is_named(declared: Path, text: str, message: str) -> None:
    shown = CliRunner().invoke(app, ["predict", "churn", "--home", str(declared)], input=text)
    assert isinstance(shown.exception, ServingError)
    assert message in str(shown.exception)


@pytest.mark.parametrize(("command", "option"), [("predictor", "--model-dir"), ("sink", "--lake")])
def test_servers_take_their_own_arguments(command: str, option: str) -> None:
    ended = run(command, "--help")
    assert ended.returncode == 0
    assert option in ended.stdout

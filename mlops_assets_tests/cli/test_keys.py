"""The keys commands as people call them."""

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from mlops_assets.cli.app import app
from mlops_assets_tests.serving.packages import write_binary_model


def run(*words: str, folder: Path) -> Result:
    return CliRunner().invoke(app, ["keys", *words, f"--folder={folder}"])


def listed(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(run("list", "--json", folder=folder).stdout)
    return found


def test_a_key_is_made_signs_and_is_replaced(tmp_path: Path) -> None:
    folder, package = tmp_path / "keys", write_binary_model(tmp_path / "model")
    first = run("new", folder=folder).stdout.strip()
    assert run("new", folder=folder).stdout.strip() == first
    refused = run("verify", str(package), folder=folder)
    assert "is not trusted here" in str(refused.exception)

    assert first in run("sign", str(package), folder=folder).stderr
    verified = run("verify", package.as_uri(), folder=folder)
    assert f"model toy, digest {'a' * 64}" in verified.stdout

    second = run("rotate", folder=folder).stdout.strip()
    assert listed(folder) == {"signs": second, "trusted": sorted([first, second])}
    assert f"{second} signs" in run("list", folder=folder).stdout
    assert run("verify", str(package), folder=folder).exit_code == 0
    assert run("sign", str(package), folder=folder).exit_code == 0
    assert run("distrust", first, folder=folder).exit_code == 0
    assert run("verify", str(package), folder=folder).exit_code == 0
    assert listed(folder) == {"signs": second, "trusted": [second]}

"""backtest as people call it."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.spec.reading import COMPONENT_TYPE
from mlops_assets_tests.backtest.pasts import past_document, past_rows


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("dagster.yaml", "workspace.yaml"):
        (tmp_path / name).write_text((Path(__file__).parents[2] / name).read_text())
    folder = tmp_path / "mlops_assets" / "defs" / "churn"
    folder.mkdir(parents=True)
    past_rows(36, 30).write_parquet(folder / "past.parquet")
    attributes = past_document(source={"path": "past.parquet"})
    content = {"type": COMPONENT_TYPE, "attributes": attributes}
    (folder / "defs.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setenv("MLOPS_PROJECT", str(tmp_path))
    return tmp_path


def test_it_prints_a_table_and_writes_report_picture_and_policy(project: Path) -> None:
    """In two processes, as on a machine with two cores."""
    output = project / "found"
    call = ["backtest", "churn", "--policy", "never", "--policy", "weekly", "--processes", "2"]
    shown = CliRunner().invoke(app, [*call, "--output", str(output), "--json"])
    assert shown.exit_code == 0, shown.exception
    report = json.loads(shown.stdout)
    assert [score["policy"] for score in report["scores"]] == ["never", "weekly"]
    assert json.loads((output / "report.json").read_text()) == report
    assert (output / "backtest.png").read_bytes().startswith(b"\x89PNG")
    assert "retraining" in yaml.safe_load((output / "policy.yaml").read_text())


def test_an_unknown_policy_or_model_is_told_with_those_that_there_are(project: Path) -> None:
    wrong = CliRunner().invoke(app, ["backtest", "churn", "--policy", "hourly"])
    assert "has no policy hourly; there are never, weekly" in str(wrong.exception)
    nobody = CliRunner().invoke(app, ["backtest", "nobody"])
    assert "no document declares a model 'nobody'; found: churn" in str(nobody.exception)

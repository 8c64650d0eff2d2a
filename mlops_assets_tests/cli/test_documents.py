"""check and new as people call them."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.spec.reading import COMPONENT_TYPE
from mlops_assets_tests.documents import churn_document


def write(folder: Path, **changes: object) -> None:
    (folder / "churn").mkdir()
    content = {"type": COMPONENT_TYPE, "attributes": churn_document(**changes)}
    (folder / "churn" / "defs.yaml").write_text(yaml.safe_dump(content))


def test_every_problem_is_a_line_and_exit_code_1(tmp_path: Path) -> None:
    write(tmp_path, split={"validation_ratio": 7}, description=3)
    shown = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert shown.exit_code == 1
    lines = shown.stdout.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"{tmp_path}/churn/defs.yaml:") for line in lines)
    assert "1 documents, 2 problems" in shown.stderr


def test_the_shipped_documents_have_no_problem() -> None:
    shown = CliRunner().invoke(app, ["check"])
    assert (shown.exit_code, shown.stdout) == (0, "")


def test_new_writes_into_the_projects_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("dagster.yaml", "workspace.yaml"):
        (tmp_path / name).write_text((Path(__file__).parents[2] / name).read_text())
    (tmp_path / "mlops_assets" / "defs").mkdir(parents=True)
    rows = tmp_path / "rows.csv"
    rows.write_text("age,left\n" + "".join(f"{n % 60 + 18},{n % 3 == 0}\n" for n in range(200)))
    monkeypatch.setenv("MLOPS_PROJECT", str(tmp_path))
    shown = CliRunner().invoke(app, ["new", "leavers", "--data", str(rows), "--target", "left"])
    assert shown.exit_code == 0, shown.exception
    assert (tmp_path / "mlops_assets" / "defs" / "leavers" / "defs.yaml").exists()

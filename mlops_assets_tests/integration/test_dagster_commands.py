"""What a Dagster user types in the project's folder, and in a folder of their own."""

import subprocess
import sys
from pathlib import Path

import yaml

from mlops_assets_tests.documents import churn_document, write_churn

ROOT = Path(__file__).parents[2]
OTHER_PROJECT = """
[project]
name = "other"
version = "0"
[tool.dg]
directory_type = "project"
[tool.dg.project]
root_module = "other"
"""
OTHER_DEFINITIONS = """
from pathlib import Path
import dagster as dg

@dg.definitions
def defs():
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
"""


def run(*words: str, folder: Path) -> str:
    program = str(Path(sys.executable).with_name(words[0]))
    done = subprocess.run(
        [program, *words[1:]], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_dg_lists_the_component() -> None:
    assert "mlops_assets.component.ModelPipeline" in run("dg", "list", "components", folder=ROOT)


def test_dg_checks_the_documents_and_the_definitions() -> None:
    assert "successfully" in run("dg", "check", "defs", folder=ROOT)


def test_another_project_uses_the_component_by_its_type_alone(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(OTHER_PROJECT)
    folder = tmp_path / "other" / "defs" / "churn"
    folder.mkdir(parents=True)
    (tmp_path / "other" / "__init__.py").touch()
    (tmp_path / "other" / "defs" / "__init__.py").touch()
    (tmp_path / "other" / "definitions.py").write_text(OTHER_DEFINITIONS)
    document = {"type": "mlops_assets.component.ModelPipeline", "attributes": churn_document()}
    (folder / "defs.yaml").write_text(yaml.safe_dump(document))
    write_churn(folder)
    listed = run("dagster", "asset", "list", "-m", "other.definitions", folder=tmp_path)
    assert "churn/inference_service" in listed
    run(
        "dagster", "asset", "materialize", "-m", "other.definitions",
        "--select", "key:churn/dataset", folder=tmp_path,
    )  # fmt: skip
    assert list((tmp_path / ".mlops" / "lake").rglob("*.parquet"))

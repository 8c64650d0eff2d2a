"""Documents as text, so that a test shows what a user would have written."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_assets.errors import SpecError
from mlops_assets.spec.reading import read_documents

Write = Callable[[str], Path]

SHORTEST = """\
type: mlops_assets.component.ModelPipeline
attributes:
  name: churn
  description: Will a customer leave within a month?
  owners: [team:growth]
  source:
    path: customers.csv
  features:
    numeric: [age]
  target:
    column: left
    task: binary
  model:
    estimator: sklearn.linear_model.LogisticRegression
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file of documents and answers with its path."""

    def write_text(text: str) -> Path:
        path = tmp_path / "defs.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_text


def problems_of(path: Path) -> list[str]:
    """What is wrong with a file, without its name: `line: field: found …, allowed: …`."""
    try:
        read_documents(path)
    except SpecError as error:
        return [str(problem).removeprefix(f"{path}:") for problem in error.problems]
    return []

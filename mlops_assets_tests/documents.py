"""A small model document and its data, for tests that need a whole pipeline."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mlops_assets.spec import ModelSpec


def churn_rows(n: int = 600, seed: int = 0) -> pl.DataFrame:
    """Customers of whom some leave: `months`, `spend` and `plan` tell something about it."""
    rng = np.random.default_rng(seed)
    months = rng.integers(1, 60, n)
    spend = rng.normal(50, 15, n).round(2)
    plan = rng.choice(["basic", "plus", "pro"], n)
    logit = 1.2 - 0.06 * months - 0.02 * (spend - 50) + np.where(plan == "basic", 0.8, 0.0)
    churned = rng.random(n) < 1 / (1 + np.exp(-logit))
    return pl.DataFrame(
        {
            "customer": [f"c{i:05d}" for i in range(n)],
            "months": months,
            "spend": spend,
            "plan": plan,
            "churned": np.where(churned, "yes", "no"),
        }
    )


def churn_document(**changes: Any) -> dict[str, Any]:
    """The attributes of the document that goes with `churn_rows` in `churn.csv`."""
    document: dict[str, Any] = {
        "name": "churn",
        "description": "Will a customer leave within a month?",
        "owners": ["team:growth"],
        "source": {"path": "churn.csv"},
        "contract": {
            "columns": {
                "customer": {"type": "string", "unique": True},
                "months": {"type": "integer", "minimum": 0, "maximum": 600},
                "spend": {"type": "number", "nullable": True},
                "plan": {"type": "string", "categories": ["basic", "plus", "pro"]},
                "churned": {"type": "string", "categories": ["yes", "no"]},
            }
        },
        "entity_key": "customer",
        "features": {"numeric": ["months", "spend"], "categorical": ["plan"]},
        "target": {"column": "churned", "task": "binary", "positive": "yes"},
        "model": {
            "estimator": "sklearn.linear_model.LogisticRegression",
            "preprocessing": {"scale": True},
        },
        "evaluation": {"bootstrap_samples": 100},
    }
    return document | changes


def churn_spec(**changes: Any) -> ModelSpec:
    """The same as a spec."""
    return ModelSpec.model_validate(churn_document(**changes))


def write_churn(folder: Path, rows: pl.DataFrame | None = None) -> Path:
    """`churn.csv` in a folder."""
    path = folder / "churn.csv"
    (churn_rows() if rows is None else rows).write_csv(path)
    return path

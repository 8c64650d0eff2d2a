"""A small past: what drives the target turns around in the middle."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from mlops_assets.spec import ModelSpec
from mlops_assets_tests.documents import churn_document

START = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday
ROWS_A_DAY = 150


def past_rows(n_days: int = 46, turns_on: int = 28, seed: int = 0) -> pl.DataFrame:
    """Customers day by day; from one day on, those who stayed leave. Truth comes 30 hours later."""
    rng = np.random.default_rng(seed)
    n = n_days * ROWS_A_DAY
    day = np.repeat(np.arange(n_days), ROWS_A_DAY)
    months = rng.integers(1, 60, n)
    sign = np.where(day < turns_on, 1.0, -1.0)
    churned = rng.random(n) < 1 / (1 + np.exp(-sign * 0.12 * (30 - months)))
    within = np.tile(np.arange(ROWS_A_DAY) * (86_400 // ROWS_A_DAY), n_days)
    at = [START + timedelta(days=int(d), seconds=int(s)) for d, s in zip(day, within, strict=True)]
    return pl.DataFrame(
        {
            "customer": [f"c{i:06d}" for i in range(n)],
            "at": at,
            "months": months,
            "spend": rng.normal(50, 15, n).round(2),
            "plan": rng.choice(["basic", "plus", "pro"], n),
            "churned": np.where(churned, "yes", "no"),
            "left_at": [moment + timedelta(hours=30) for moment in at],
        }
    )


def past_document(**changes: Any) -> dict[str, Any]:
    """The document that goes with the rows."""
    columns = {
        **churn_document()["contract"]["columns"],
        "at": {"type": "datetime"},
        "left_at": {"type": "datetime", "nullable": True},
        "churned": {"type": "string", "nullable": True, "categories": ["yes", "no"]},
    }
    return churn_document(
        **{
            "time_column": "at",
            "contract": {"columns": columns},
            "split": {"method": "time", "validation_window": "2d"},
            "history": {"truth_column": "left_at", "begin": "2024-01-21"},
            "retraining": {
                "cooldown": "4d",
                "violations": 2,
                "of_windows": 3,
                "minimum_rows": 200,
                "training_window": {"keep": "duration", "duration": "6d", "minimum_rows": 300},
            },
            **changes,
        }
    )


def past_spec(**changes: Any) -> ModelSpec:
    """The same as a spec."""
    return ModelSpec.model_validate(past_document(**changes))

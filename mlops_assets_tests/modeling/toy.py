"""A small dataset with every kind of column, and the document of a model on it."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.spec import ModelSpec

START = datetime(2022, 9, 1, tzinfo=UTC)
LATER = datetime(2030, 1, 1, tzinfo=UTC)  # a decision after all rows


def rows(n_rows: int = 600, seed: int = 0) -> pl.DataFrame:
    """Listening sessions: hours, age and genre tell something about `effect` and `score`."""
    rng = np.random.default_rng(seed)
    hours = rng.gamma(2, 2, n_rows).round(2)
    genre = rng.choice(["rock", "jazz", "pop", "folk"], n_rows, p=[0.5, 0.3, 0.15, 0.05])
    alone = rng.random(n_rows) < 0.6
    signal = 0.5 * hours + 1.2 * (genre == "jazz") - 1.5 * alone + rng.normal(0, 1, n_rows)
    effect = np.select([signal > 1.5, signal > 0], ["Improve", "No effect"], "Worsen")
    frame = pl.DataFrame(
        {
            "session": [f"s{i}" for i in range(n_rows)],
            "listener": [f"l{i}" for i in rng.integers(0, max(n_rows // 5, 2), n_rows)],
            "at": [START + timedelta(hours=i) for i in range(n_rows)],
            "hours": hours,
            "age": rng.integers(14, 80, n_rows).astype(float),
            "genre": genre,
            "alone": alone,
            "effect": effect,
            "score": signal.round(3),
        }
    )
    gone = pl.Series(rng.random(n_rows) < 0.1)
    return frame.with_columns(
        frame[name].set(gone.shuffle(seed=place), None)
        for place, name in enumerate(("age", "genre", "alone"))
    )


def input_frame(rows: Iterable[Mapping[str, object]], features: list[FeatureField]) -> pl.DataFrame:
    """Rows by feature name as the frame that a pipeline takes; absent features are missing."""
    types = {"number": pl.Float64(), "category": pl.String(), "boolean": pl.Boolean()}
    listed = list(rows)
    return pl.DataFrame(
        {
            field.name: pl.Series([row.get(field.name) for row in listed], dtype=types[field.kind])
            for field in features
        }
    )


def document(**changes: Any) -> ModelSpec:
    """The toy model's document; a change replaces a whole top-level part."""
    parts: dict[str, Any] = {
        "name": "toy",
        "description": "Does music improve a listener's state?",
        "owners": ["team:music"],
        "source": {"path": "sessions.csv"},
        "features": {"numeric": ["hours", "age"], "categorical": ["genre"], "boolean": ["alone"]},
        "target": {"column": "effect", "task": "binary", "positive": "Improve"},
        "split": {"method": "stratified", "id_columns": ["session"], "validation_ratio": 0.3},
        "model": {
            "estimator": "sklearn.linear_model.LogisticRegression",
            "preprocessing": {"scale": True},
        },
        "evaluation": {"slices": ["genre"], "bootstrap_samples": 200},
    }
    return ModelSpec.model_validate(parts | changes)


def tree_document(**changes: Any) -> ModelSpec:
    """The toy model with histogram boosting, which fits in 0.1 s and takes missing values."""
    model = {
        "estimator": "sklearn.ensemble.HistGradientBoostingClassifier",
        "parameters": {"max_iter": 20},
        "preprocessing": {"encoding": "ordinal", "numeric_imputation": "none"},
    }
    return document(**({"model": model} | changes))

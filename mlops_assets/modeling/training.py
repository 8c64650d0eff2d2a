"""Fitting the pipeline that a document declares."""

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from mlops_assets.errors import TrainingError
from mlops_assets.modeling.features import TARGET, BuiltFrame, feature_fields
from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.modeling.pipeline import CATEGORIES, ESTIMATOR, make_pipeline, select_features
from mlops_assets.modeling.target import Label
from mlops_assets.modeling.training_window import TrainingWindow, trained_rows
from mlops_assets.spec import ModelSpec
from mlops_assets.spec.data import Task

_MOST_DENSE_BYTES = 2e9  # of one-hot columns for an estimator that takes no sparse matrix


@dataclass(frozen=True, slots=True)
class FittedModel:
    """A fitted pipeline and what it was fitted with.

    Attributes:
        pipeline: A `sklearn.pipeline.Pipeline` of the steps `prepare` and `estimator`.
        task: What it predicts.
        features: Its raw features in order.
        classes: Labels in the order of the probability columns; None for regression.
        positive: binary: the value of the target column that class 1 stands for, as declared.
        parameters: Parameters of estimator and preprocessing as text, for MLflow:
            `estimator__max_iter`.
        seconds: How long `fit` took.
        warnings: Warnings of scikit-learn and NumPy while fitting, each once.
    """

    pipeline: Any
    task: Task
    features: list[FeatureField]
    classes: list[Label] | None
    positive: Label | None
    parameters: dict[str, str]
    seconds: float
    warnings: list[str]


def train(spec: ModelSpec, built: BuiltFrame, window: TrainingWindow | None = None) -> FittedModel:
    """Fit the declared pipeline on the training rows of a frame, or on those of a window of them.

    Raises:
        TrainingError: the estimator does not exist, does not fit the task, refuses its parameters
            or failed on this data. It names the document's field and what is allowed.
    """
    features = feature_fields(spec)
    pipeline = make_pipeline(spec, features)
    rows = trained_rows(built.frame, window)
    _require_size(spec, rows, features, sparse=pipeline[0].sparse_threshold > 0)
    started = time.perf_counter()
    told = _fit(pipeline, select_features(rows, features), rows[TARGET], spec)
    seconds = time.perf_counter() - started
    classes = None if spec.target.task == "regression" else pipeline.classes_.tolist()
    return FittedModel(
        pipeline=pipeline,
        task=spec.target.task,
        features=features,
        classes=classes,
        positive=built.facts.positive,
        parameters=_parameters(pipeline, spec),
        seconds=seconds,
        warnings=told,
    )


def _fit(pipeline: Any, rows: pl.DataFrame, target: pl.Series, spec: ModelSpec) -> list[str]:
    """Fit, and return the warnings."""
    answers = np.array(target.to_list()) if target.dtype == pl.String else target.to_numpy()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            pipeline.fit(rows, answers)
        except Exception as error:  # any estimator, any data: whatever it raises is its answer
            raise TrainingError(
                f"model.estimator {spec.model.estimator} failed on {rows.height:,} rows of "
                f"{rows.width} features: {type(error).__name__}: {error}"
            ) from error
    return list(dict.fromkeys(f"{w.category.__name__}: {w.message}" for w in caught))


def _require_size(
    spec: ModelSpec, rows: pl.DataFrame, features: list[FeatureField], *, sparse: bool
) -> None:
    """Refuse what would fill the memory: one-hot columns in a dense matrix."""
    declared = spec.model.preprocessing
    if sparse or declared.encoding != "one_hot" or declared.rare_category_ratio > 0:
        return
    widths = {
        field.name: rows[field.name].n_unique() for field in features if field.kind == "category"
    }
    if sum(widths.values()) * rows.height * 8 > _MOST_DENSE_BYTES:
        widest = max(widths, key=lambda name: widths[name])
        raise TrainingError(
            f"model.preprocessing.encoding: found 'one_hot' for {CATEGORIES} with "
            f"{sum(widths.values()):,} values ({widest} has {widths[widest]:,}) in "
            f"{rows.height:,} rows, and {spec.model.estimator} takes no sparse matrix; allowed: "
            "ordinal, or a rare_category_ratio above 0"
        )


def _parameters(pipeline: Any, spec: ModelSpec) -> dict[str, str]:
    own = pipeline[ESTIMATOR].get_params(deep=True)
    declared = spec.model.preprocessing.model_dump()
    return {
        "estimator": spec.model.estimator,
        "seed": str(spec.model.seed),
        **{f"estimator__{name}": str(value) for name, value in sorted(own.items())},
        **{f"preprocessing__{name}": str(value) for name, value in declared.items()},
    }

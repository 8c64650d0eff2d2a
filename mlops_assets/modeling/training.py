"""Fitting the pipeline that a document declares."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from mlops_assets.modeling.features import Label
from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.spec import ModelSpec
from mlops_assets.spec.data import Task


@dataclass(frozen=True, slots=True)
class FittedModel:
    """A fitted pipeline and what it was fitted with.

    Attributes:
        pipeline: A `sklearn.pipeline.Pipeline` of the steps `prepare` and `estimator`.
        task: What it predicts.
        features: Its raw features in order.
        classes: Labels in the order of the probability columns; None for regression.
        parameters: Every parameter of every step as text, for MLflow: `estimator__max_iter`.
        seconds: How long `fit` took.
        warnings: Warnings of scikit-learn and NumPy while fitting, each once.
    """

    pipeline: Any
    task: Task
    features: list[FeatureField]
    classes: list[Label] | None
    parameters: dict[str, str]
    seconds: float
    warnings: list[str]


def train(spec: ModelSpec, frame: pl.DataFrame) -> FittedModel:
    """Fit the declared pipeline on the frame's training rows.

    Raises:
        TrainingError: the estimator does not exist, does not fit the task, refuses its parameters
            or failed on this data. It names the document's field and what is allowed.
    """
    raise NotImplementedError

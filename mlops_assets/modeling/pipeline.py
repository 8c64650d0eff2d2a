"""The scikit-learn pipeline: raw features in, predictions out.

Callers send raw values in a pandas or Polars frame, with missing ones (None or NaN) and categories
never seen; what happens to them is part of the model, so that training and serving cannot differ.
All steps are scikit-learn's own, so that skops can store them without types of ours.

Numbers are rounded to 32 bits before anything else sees them and go on as 64 bits. So scikit-learn
and ONNX, whose tensors are 32 bits wide, compare the same numbers with the same thresholds.
"""

from typing import Any

import numpy as np
import polars as pl

from mlops_assets.modeling.estimator import make_estimator, takes_sparse
from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.spec import ModelSpec, PreprocessingSpec

PREPARE, ESTIMATOR = "prepare", "estimator"
NUMBERS, BOOLEANS, CATEGORIES = "numbers", "booleans", "categories"


def make_pipeline(spec: ModelSpec, features: list[FeatureField]) -> Any:
    """The declared pipeline, not fitted: steps `prepare` and `estimator`.

    Raises:
        TrainingError: the estimator does not exist, does not fit the task, or refuses its
            parameters.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    estimator = make_estimator(spec)
    declared = spec.model.preprocessing
    prepared = [
        (NUMBERS, _number_steps(declared, scale=declared.scale), _names(features, "number")),
        (BOOLEANS, _number_steps(declared, scale=False), _names(features, "boolean")),
        (CATEGORIES, _category_steps(declared), _names(features, "category")),
    ]
    prepare = ColumnTransformer(
        [part for part in prepared if part[2]],
        sparse_threshold=0.3 if takes_sparse(estimator) else 0.0,
        verbose_feature_names_out=False,
    )
    return Pipeline([(PREPARE, prepare), (ESTIMATOR, estimator)])


def _names(features: list[FeatureField], kind: str) -> list[str]:
    return [field.name for field in features if field.kind == kind]


def _number_steps(declared: PreprocessingSpec, *, scale: bool) -> Any:
    """Numbers, and booleans as 0 and 1: rounded to 32 bits, imputed, scaled."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    steps: list[tuple[str, Any]] = [("float32", _as_array("float32"))]
    if declared.numeric_imputation == "zero":
        imputer = SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True)
        steps.append(("impute", imputer))
    elif declared.numeric_imputation != "none":
        strategy = declared.numeric_imputation
        steps.append(("impute", SimpleImputer(strategy=strategy, keep_empty_features=True)))
    if scale:
        steps.append(("scale", StandardScaler()))
    steps.append(("float64", _as_array("float64")))
    return Pipeline(steps)


def _as_array(dtype: str) -> Any:
    from sklearn.preprocessing import FunctionTransformer

    return FunctionTransformer(
        np.asarray, kw_args={"dtype": dtype}, feature_names_out="one-to-one", check_inverse=False
    )


def _category_steps(declared: PreprocessingSpec) -> Any:
    """Categories: NaN (of pandas) and None (of Polars) are one category, the empty text."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    steps: list[tuple[str, Any]] = [
        (name, SimpleImputer(missing_values=value, strategy="constant", fill_value=""))
        for name, value in (("fill_nan", np.nan), ("fill_none", None))
    ]
    if declared.encoding == "ordinal":
        encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    elif declared.rare_category_ratio > 0:
        encoder = OneHotEncoder(
            handle_unknown="infrequent_if_exist", min_frequency=declared.rare_category_ratio
        )
    else:
        encoder = OneHotEncoder(handle_unknown="ignore")
    return Pipeline([*steps, ("encode", encoder)])


def select_features(frame: pl.DataFrame, features: list[FeatureField]) -> pl.DataFrame:
    """The columns that the pipeline takes, out of a training frame."""
    return frame.select(field.name for field in features)

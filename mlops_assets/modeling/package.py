"""A fitted model as a directory: MLflow's scikit-learn layout in skops format, ONNX beside it.

The directory holds `MLmodel`, `model.skops`, `model.onnx` when it answers as scikit-learn does, and
`mlops_manifest.json`, which lists the SHA-256 of every other file. Never a pickle.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from mlops_assets.modeling.manifest import ModelManifest
from mlops_assets.modeling.training import FittedModel
from mlops_assets.spec import ModelSpec


def write_package(
    directory: Path, fitted: FittedModel, frame: pl.DataFrame, spec: ModelSpec
) -> ModelManifest:
    """Write a fitted model to a new directory: aside first, then renamed.

    Args:
        directory: Must not exist, or hold a package that is replaced.
        fitted: The model.
        frame: The training frame; its validation rows decide whether ONNX answers the same.
        spec: The document.

    Raises:
        TrainingError: the model needs a type that a predictor would refuse to construct.
    """
    raise NotImplementedError


def load_package(directory: Path, *, allowed: Sequence[str] = ()) -> Any:
    """The pipeline in a package, after its files were verified against the manifest.

    Args:
        directory: Where the package stands.
        allowed: Types beside scikit-learn's and NumPy's that may be constructed
            (`spec.model.trusted_types`).

    Raises:
        UnsafeModelError: a file is missing or changed, there is a pickle, or the model needs a type
            that is not allowed.
    """
    raise NotImplementedError

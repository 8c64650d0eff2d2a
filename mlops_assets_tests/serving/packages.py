"""Small packaged models for the tests of this folder, in the layout of `modeling/package.py`.

Written here with scikit-learn and skl2onnx alone, so that serving is tested against the manifest's
rules and not against the code that writes packages.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_assets.modeling.manifest import (
    MANIFEST_FILE,
    FeatureField,
    ModelManifest,
    OnnxAgreement,
    OnnxInput,
    file_digest,
)

NUMBERS = ["x0", "x1", "hours per day"]


def write_manifest(directory: Path, **facts: Any) -> ModelManifest:
    """Write the manifest of a directory that holds all other files."""
    files = {
        str(path.relative_to(directory)): file_digest(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != MANIFEST_FILE
    }
    manifest = ModelManifest(
        files=files,
        trusted_types=[],
        onnx=OnnxAgreement(usable=True, reason="made for a test"),
        **facts,
    )
    (directory / MANIFEST_FILE).write_text(manifest.model_dump_json())
    return manifest


def write_onnx(directory: Path, estimator: Any, n_features: int) -> None:
    """Write an estimator on one float matrix as `model.onnx` with the input `numbers`."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    classifies = hasattr(estimator, "predict_proba")
    model = convert_sklearn(
        estimator,
        initial_types=[("numbers", FloatTensorType([None, n_features]))],
        options={id(estimator): {"zipmap": False}} if classifies else None,
        target_opset={"": 18, "ai.onnx.ml": 3},
    )
    while len(model.graph.output) > 1:
        del model.graph.output[0]  # the label; the last output holds the probabilities
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "model.onnx").write_bytes(model.SerializeToString())


def training_data(seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """300 rows of three numbers, and classes 0 and 1."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(300, 3))
    return x, (x @ [1.0, -2.0, 0.5] > 0).astype(np.int64)


def write_binary_model(directory: Path, *, sign: float = 1.0, digest: str = "a" * 64) -> Path:
    """A logistic regression on three numbers; sign −1 gives the opposite answers."""
    from sklearn.linear_model import LogisticRegression

    x, y = training_data()
    write_onnx(directory, LogisticRegression().fit(x * sign, y), 3)
    write_manifest(
        directory,
        model="toy",
        task="binary",
        features=[FeatureField(name=name, kind="number") for name in NUMBERS],
        classes=[0, 1],
        model_digest=digest,
        inputs=[OnnxInput(name="numbers", element="float32", features=NUMBERS)],
        example=[{"x0": 1.0, "x1": 0.0, "hours per day": 2.0}, dict.fromkeys(NUMBERS, 0.5)],
    )
    return directory

"""Small packaged models for the tests of this folder, in the layout of `modeling/package.py`.

Written here node by node, so that serving is tested against the manifest's rules, not against the
code that writes packages, and without the 4 s that skl2onnx takes to import.
"""

from pathlib import Path
from typing import Any

import numpy as np

from mlops_assets.modeling.manifest import (
    MANIFEST_FILE,
    FeatureField,
    ModelManifest,
    OnnxAgreement,
    OnnxInput,
    file_digest,
)
from mlops_assets.modeling.signing import SIGNATURE_FILE, sign_package
from mlops_assets_tests.serving.keys import signing_key

NUMBERS = ["x0", "x1", "hours per day"]

_MIXED: dict[str, Any] = {
    "model": "toy",
    "task": "multiclass",
    "features": [
        FeatureField(name="hours", kind="number"),
        FeatureField(name="genre", kind="category"),
        FeatureField(name="plays", kind="boolean"),
    ],
    "classes": ["never", "sometimes", "often"],
    "model_digest": "c" * 64,
    "inputs": [
        OnnxInput(name="numbers", element="float32", features=["hours", "plays"]),
        OnnxInput(name="texts", element="string", features=["genre"]),
    ],
    "example": [
        {"hours": 2.5, "genre": "jazz", "plays": True},
        {"hours": None, "genre": None, "plays": None},
    ],
}
MIXED_ROW = _MIXED["example"][0]
MIXED_MANIFEST = ModelManifest(
    files={}, trusted_types=[], onnx=OnnxAgreement(usable=True, reason=""), **_MIXED
)


def write_manifest(directory: Path, **facts: Any) -> ModelManifest:
    """Write the manifest of a directory that holds all other files."""
    files = {
        str(path.relative_to(directory)): file_digest(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name not in (MANIFEST_FILE, SIGNATURE_FILE)
    }
    manifest = ModelManifest(
        files=files,
        trusted_types=[],
        onnx=OnnxAgreement(usable=True, reason="made for a test"),
        **facts,
    )
    (directory / MANIFEST_FILE).write_text(manifest.model_dump_json())
    sign_package(directory, signing_key())
    return manifest


def write_onnx(directory: Path, weights: list[float]) -> None:
    """Write a logistic regression without intercept on one float matrix as `model.onnx`."""
    from onnx import TensorProto, helper, numpy_helper

    size = len(weights)
    scores = np.array([[-weight / 2, weight / 2] for weight in weights], dtype=np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["numbers", "weights"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        ],
        "model",
        [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [None, size])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
        [numpy_helper.from_array(scores, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "model.onnx").write_bytes(model.SerializeToString())


def write_binary_model(directory: Path, *, sign: float = 1.0, digest: str = "a" * 64) -> Path:
    """A logistic regression on three numbers; sign −1 gives the opposite answers."""
    write_onnx(directory, [sign, -2.0 * sign, 0.5 * sign])
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


def write_mixed_model(directory: Path) -> Path:
    """Three classes with names from a number, a text and a boolean; takes missing values."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.array([[1, -1, 0], [0.5, 0, -0.5], [0, 1, -1]], dtype=np.float32)
    node = helper.make_node
    nodes = [
        node("Imputer", ["numbers"], ["imputed"], domain="ai.onnx.ml",
             imputed_value_floats=[0.25], replaced_value_float=float("nan")),
        node("LabelEncoder", ["texts"], ["coded"], domain="ai.onnx.ml",
             keys_strings=["rock", "jazz", ""], values_floats=[1.0, 2.0, 3.0], default_float=0.0),
        node("Concat", ["imputed", "coded"], ["all"], axis=1),
        node("Clip", ["all", "least", "most"], ["bounded"]),
        node("MatMul", ["bounded", "weights"], ["scores"]),
        node("Softmax", ["scores"], ["probabilities"], axis=1),
    ]  # fmt: skip
    bounds = {"least": np.float32(-1e30), "most": np.float32(1e30)}
    graph = helper.make_graph(
        nodes,
        "model",
        [
            helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [None, 2]),
            helper.make_tensor_value_info("texts", TensorProto.STRING, [None, 1]),
        ],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 3])],
        [
            numpy_helper.from_array(weights, "weights"),
            *(numpy_helper.from_array(value, name) for name, value in bounds.items()),
        ],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 9
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "model.onnx").write_bytes(model.SerializeToString())
    write_manifest(directory, **_MIXED)
    return directory

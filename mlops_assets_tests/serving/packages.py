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

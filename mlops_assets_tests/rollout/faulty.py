"""Models with faults, packaged as the platform packages models: what a rollout must catch."""

import time
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
from mlops_assets.modeling.signing import SIGNATURE_FILE, sign_package
from mlops_assets_tests.serving.keys import signing_key
from mlops_assets_tests.serving.packages import NUMBERS

TRUE_WEIGHTS = (1.0, -2.0, 0.5)
"""Of x0, x1 and hours per day: what really makes the outcome, in logits."""
TRUSTED = "mlops_assets_tests.rollout.faulty.FaultyModel"
_EXAMPLE: list[dict[str, Any]] = [
    {"x0": 1.0, "x1": 0.0, "hours per day": 2.0},
    dict.fromkeys(NUMBERS, 0.5),
]


class FaultyModel:
    """A logistic regression that breaks its process, or wastes memory, as it answers.

    Args:
        crashes_after: Predictions after which the process ends; 0: never.
        leaks_megabytes: Memory that each prediction keeps.
        sleeps_seconds: Time that each prediction takes on top.
    """

    def __init__(
        self, crashes_after: int = 0, leaks_megabytes: int = 0, sleeps_seconds: float = 0.0
    ) -> None:
        self.crashes_after = crashes_after
        self.leaks_megabytes = leaks_megabytes
        self.sleeps_seconds = sleeps_seconds

    def predict_proba(self, rows: Any) -> NDArray[np.float64]:
        """Shares of both classes."""
        import os

        kept = self.__dict__.setdefault("kept", [])
        self.__dict__["n"] = self.__dict__.get("n", 0) + 1
        if self.crashes_after and self.__dict__["n"] > self.crashes_after:
            os._exit(42)
        if self.leaks_megabytes:
            kept.append(np.ones(self.leaks_megabytes * 131_072))
        time.sleep(self.sleeps_seconds)
        numbers = np.asarray(rows.select(NUMBERS).to_numpy(), dtype=np.float64)
        share = 1 / (1 + np.exp(-(numbers @ np.array(TRUE_WEIGHTS))))
        return np.stack([1 - share, share], axis=1)


def write_linear(
    folder: Path,
    weights: tuple[float, float, float] = TRUE_WEIGHTS,
    *,
    digest: str,
    nan_below: float | None = None,
    busy_layers: int = 0,
) -> Path:
    """A logistic regression in ONNX.

    Args:
        folder: Where the package is written.
        weights: Of the three numbers.
        digest: Digest of the model.
        nan_below: It answers NaN where x0 lies below this.
        busy_layers: Layers that change nothing and take about half a millisecond each.
    """
    from onnx import TensorProto, helper, numpy_helper

    halves = np.array([[-w / 2, w / 2] for w in weights], dtype=np.float32)
    constants = {"weights": halves}
    nodes = [helper.make_node("MatMul", ["numbers", "weights"], ["scores"])]
    last = "scores"
    if nan_below is not None:
        constants["pick"] = np.array([[1.0], [0.0], [0.0]], dtype=np.float32)
        constants["least"] = np.array([nan_below], dtype=np.float32)
        constants["nothing"] = np.array([0.0], dtype=np.float32)
        nodes += [
            helper.make_node("MatMul", ["numbers", "pick"], ["x0"]),
            helper.make_node("Sub", ["x0", "least"], ["above"]),
            helper.make_node("Sqrt", ["above"], ["root"]),
            helper.make_node("Mul", ["root", "nothing"], ["zero"]),
            helper.make_node("Add", [last, "zero"], ["spoiled"]),
        ]
        last = "spoiled"
    if busy_layers:
        size = 900
        constants["spread"] = np.zeros((2, size), dtype=np.float32)
        constants["square"] = np.zeros((size, size), dtype=np.float32)
        constants["gather"] = np.zeros((size, 2), dtype=np.float32)
        nodes.append(helper.make_node("MatMul", [last, "spread"], ["busy0"]))
        for n in range(busy_layers):
            nodes.append(helper.make_node("MatMul", [f"busy{n}", "square"], [f"b{n}"]))
            nodes.append(helper.make_node("Tanh", [f"b{n}"], [f"busy{n + 1}"]))
        nodes.append(helper.make_node("MatMul", [f"busy{busy_layers}", "gather"], ["idle"]))
        nodes.append(helper.make_node("Add", [last, "idle"], ["slowly"]))
        last = "slowly"
    nodes.append(helper.make_node("Softmax", [last], ["probabilities"], axis=1))
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    _write_manifest(folder, digest, is_onnx=True)
    return folder


def write_faulty(folder: Path, *, digest: str, **faults: Any) -> Path:
    """A `FaultyModel`, read by skops in the predictor."""
    import skops.io

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.skops").write_bytes(skops.io.dumps(FaultyModel(**faults)))
    _write_manifest(folder, digest, is_onnx=False)
    return folder


def _write_manifest(folder: Path, digest: str, *, is_onnx: bool) -> None:
    files = {
        path.name: file_digest(path)
        for path in folder.iterdir()
        if path.name not in (MANIFEST_FILE, SIGNATURE_FILE)
    }
    inputs = [OnnxInput(name="numbers", element="float32", features=NUMBERS)] if is_onnx else []
    manifest = ModelManifest(
        model="toy",
        task="binary",
        features=[FeatureField(name=name, kind="number") for name in NUMBERS],
        classes=[0, 1],
        model_digest=digest,
        files=files,
        trusted_types=[] if is_onnx else [TRUSTED],
        onnx=OnnxAgreement(usable=is_onnx, reason="made for a test"),
        inputs=inputs,
        example=_EXAMPLE,
    )
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json())
    sign_package(folder, signing_key())

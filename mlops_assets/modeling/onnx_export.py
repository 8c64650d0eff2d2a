"""A fitted pipeline as one ONNX graph that takes raw features.

The graph has at most two inputs: `numbers` (float32, booleans as 0 and 1, missing is NaN) and
`categories` (text, missing is the empty text), described in the manifest. Its one output is
`probabilities`, or `prediction` for regression.

The steps before the estimator are written by us (`onnx_preparation.py`), the estimator itself by
skl2onnx. Whether the result may be used is decided by its answers (`agreement.py`).
"""

import copy
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.modeling.onnx_preparation import PREPARED, onnx_inputs, write_preparation
from mlops_assets.modeling.pipeline import ESTIMATOR, PREPARE

if TYPE_CHECKING:
    import onnx

_OPSETS = {"": 18, "ai.onnx.ml": 3}  # tree ensembles of skl2onnx 1.20 are written in 3


class NotConvertibleError(Exception):
    """This pipeline has no ONNX form; the message says why."""


def export_onnx(pipeline: Any, features: list[FeatureField]) -> bytes:
    """The graph of a fitted pipeline of `make_pipeline`.

    Raises:
        NotConvertibleError: skl2onnx cannot convert the estimator.
    """
    from onnx import TensorProto, checker, helper

    prepared = write_preparation(pipeline[PREPARE])
    estimator = _convert(pipeline[ESTIMATOR], prepared.width)
    answer = _name_answer(estimator)
    elements = {"float32": TensorProto.FLOAT, "string": TensorProto.STRING}
    graph = helper.make_graph(
        _needed([*prepared.nodes, *estimator.graph.node], answer.name),
        "pipeline",
        [
            helper.make_tensor_value_info(i.name, elements[i.element], [None, len(i.features)])
            for i in onnx_inputs(features)
        ],
        [answer],
        [*prepared.constants, *estimator.graph.initializer],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(name, number) for name, number in _OPSETS.items()],
        ir_version=estimator.ir_version,
    )
    checker.check_model(model)
    return bytes(model.SerializeToString())


def _convert(estimator: Any, width: int) -> "onnx.ModelProto":
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    ready = _with_float_thresholds(estimator)
    options = {id(ready): {"zipmap": False}} if hasattr(ready, "predict_proba") else None
    try:
        return convert_sklearn(
            ready,
            initial_types=[(PREPARED, FloatTensorType([None, width]))],
            options=options,
            target_opset=_OPSETS,
        )
    except Exception as error:  # skl2onnx raises anything from NameError to RuntimeError
        told = str(error).strip().splitlines() or [type(error).__name__]
        raise NotConvertibleError(
            f"skl2onnx does not convert {type(estimator).__name__}: {told[0]}"
        ) from error


def _with_float_thresholds(estimator: Any) -> Any:
    """Histogram boosting with each threshold rounded down to 32 bits; others as they are.

    skl2onnx rounds them to the nearest. A threshold is the middle of two values; where these are
    neighbours in 32 bits, it may round up to the upper one, which then falls on the wrong side.
    """
    if not hasattr(estimator, "_predictors"):
        return estimator
    ready = copy.deepcopy(estimator)
    for iteration in ready._predictors:
        for tree in iteration:
            exact = tree.nodes["num_threshold"]
            rounded = exact.astype(np.float32)
            above = rounded.astype(np.float64) > exact
            rounded[above] = np.nextafter(rounded[above], np.float32(-np.inf))
            tree.nodes["num_threshold"] = rounded
    return ready


def _name_answer(estimator: "onnx.ModelProto") -> "onnx.ValueInfoProto":
    """The output with the answer, renamed to the manifest's name for it.

    The label is left out: it is the class of the largest probability, as the caller can see.
    """
    outputs = {output.name: output for output in estimator.graph.output}
    old = "probabilities" if "probabilities" in outputs else "variable"
    if old not in outputs:
        raise NotConvertibleError(f"the graph has the outputs {', '.join(outputs)} and no answer")
    answer = outputs[old]
    if old == "variable":
        answer.name = "prediction"
        for node in estimator.graph.node:
            node.output[:] = ["prediction" if name == old else name for name in node.output]
    return answer


def _needed(nodes: Iterable["onnx.NodeProto"], answer: str) -> list["onnx.NodeProto"]:
    """The nodes that the answer depends on, in their order."""
    wanted, kept = {answer}, []
    for node in reversed(list(nodes)):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]

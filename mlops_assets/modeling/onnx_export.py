"""A fitted pipeline as one ONNX graph that takes raw features.

The graph has at most two inputs: `numbers` (float32, booleans as 0 and 1, missing is NaN) and
`categories` (text, missing is the empty text), described in the manifest. Two wide inputs cost
onnxruntime less than one for each feature: 12 µs for a row of 20 features against 33 µs. The one
output is `probabilities`, or `prediction` for regression.

The steps before the estimator are written by us (`onnx_preparation.py`), trees and forests too
(`onnx_forest.py`), other estimators by skl2onnx. Whether the result may be used is decided by its
answers (`agreement.py`).
"""

import copy
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.modeling.manifest import FeatureField
from mlops_assets.modeling.onnx_forest import is_forest, round_down, write_forest
from mlops_assets.modeling.onnx_preparation import PREPARED, onnx_inputs, write_preparation
from mlops_assets.modeling.pipeline import ESTIMATOR, PREPARE

if TYPE_CHECKING:
    import onnx

_OPSETS = {"": 18, "ai.onnx.ml": 3}  # tree ensembles of skl2onnx 1.20 are written in 3
_IR_VERSION = 8  # the one that came with opset 18


class NotConvertibleError(Exception):
    """This pipeline has no ONNX form; the message says why."""


@dataclass(frozen=True, slots=True)
class _EstimatorGraph:
    """From the tensor `prepared` to the answer."""

    nodes: list["onnx.NodeProto"]
    constants: list["onnx.TensorProto"]


def export_onnx(pipeline: Any, features: list[FeatureField]) -> bytes:
    """The graph of a fitted pipeline of `make_pipeline`.

    Raises:
        NotConvertibleError: skl2onnx cannot convert the estimator.
    """
    from onnx import TensorProto, checker, helper

    estimator = pipeline[ESTIMATOR]
    classes = getattr(estimator, "classes_", None)
    answer = "prediction" if classes is None else "probabilities"
    prepared = write_preparation(pipeline[PREPARE])
    if is_forest(estimator):
        converted = _EstimatorGraph([write_forest(estimator, PREPARED, answer)], [])
    else:
        converted = _convert(estimator, prepared.width, answer)
    elements = {"float32": TensorProto.FLOAT, "string": TensorProto.STRING}
    graph = helper.make_graph(
        _needed([*prepared.nodes, *converted.nodes], answer),
        "pipeline",
        [
            helper.make_tensor_value_info(i.name, elements[i.element], [None, len(i.features)])
            for i in onnx_inputs(features)
        ],
        [
            helper.make_tensor_value_info(
                answer, TensorProto.FLOAT, [None, 1 if classes is None else len(classes)]
            )
        ],
        [*prepared.constants, *converted.constants],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(name, number) for name, number in _OPSETS.items()],
        ir_version=_IR_VERSION,
    )
    checker.check_model(model)
    return bytes(model.SerializeToString())


def _convert(estimator: Any, width: int, answer: str) -> _EstimatorGraph:
    """The estimator by skl2onnx, its output renamed.

    The label is left out: it is the class of the largest probability, as the caller can see.
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    ready = _with_float_thresholds(estimator)
    options = {id(ready): {"zipmap": False}} if answer == "probabilities" else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of skl2onnx about its own calls
            model = convert_sklearn(
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
    theirs = "probabilities" if answer == "probabilities" else "variable"
    if theirs not in (outputs := [output.name for output in model.graph.output]):
        raise NotConvertibleError(f"skl2onnx made the outputs {', '.join(outputs)}, no {theirs}")
    for node in model.graph.node:
        node.output[:] = [answer if name == theirs else name for name in node.output]
    return _EstimatorGraph(list(model.graph.node), list(model.graph.initializer))


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
            tree.nodes["num_threshold"] = round_down(tree.nodes["num_threshold"])
    return ready


def _needed(nodes: Iterable["onnx.NodeProto"], answer: str) -> list["onnx.NodeProto"]:
    """The nodes that the answer depends on, in their order."""
    wanted, kept = {answer}, []
    for node in reversed(list(nodes)):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]

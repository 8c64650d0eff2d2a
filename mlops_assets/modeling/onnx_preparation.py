"""The steps before the estimator as nodes of an ONNX graph.

They mirror `pipeline.py` step by step: imputation, scaling, encoding. skl2onnx is not asked, since
it knows no imputation of text and no rare categories.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlops_assets.modeling.manifest import FeatureField, OnnxInput
from mlops_assets.modeling.pipeline import BOOLEANS, CATEGORIES, NUMBERS

if TYPE_CHECKING:
    import onnx

PREPARED = "prepared"


def onnx_inputs(features: Sequence[FeatureField]) -> list[OnnxInput]:
    """The inputs of the graph of a model with these features: numbers and categories."""
    numbers = [f.name for kind in ("number", "boolean") for f in features if f.kind == kind]
    categories = [f.name for f in features if f.kind == "category"]
    inputs = [
        OnnxInput(name=NUMBERS, element="float32", features=numbers),
        OnnxInput(name=CATEGORIES, element="string", features=categories),
    ]
    return [entry for entry in inputs if entry.features]


@dataclass(frozen=True, slots=True)
class Preparation:
    """Nodes and constants that make the tensor `prepared` of the inputs.

    Attributes:
        nodes: In an order in which they can run.
        constants: What they read beside each other's outputs.
        width: Columns of `prepared`.
    """

    nodes: list["onnx.NodeProto"] = field(default_factory=list)
    constants: list["onnx.TensorProto"] = field(default_factory=list)
    width: int = 0

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node with one output, and return the output's name."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add a constant, and return its name."""
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(values, name))
        return name


def write_preparation(prepare: Any) -> Preparation:
    """The graph of a fitted `prepare` step of `make_pipeline`."""
    graph = Preparation()
    parts: list[str] = []
    width = 0
    fitted = dict(prepare.named_transformers_)
    numeric = [fitted[name] for name in (NUMBERS, BOOLEANS) if name in fitted]
    if numeric:
        parts.append(_write_numbers(graph, numeric))
        width += sum(steps.n_features_in_ for steps in numeric)
    if CATEGORIES in fitted:
        encoder = fitted[CATEGORIES]["encode"]
        write = _write_ordinals if hasattr(encoder, "unknown_value") else _write_one_hot
        encoded, n_columns = write(graph, encoder)
        parts += encoded
        width += n_columns
    graph.node("Concat", parts, PREPARED, axis=1)
    return Preparation(graph.nodes, graph.constants, width)


def _write_numbers(graph: Preparation, numeric: list[Any]) -> str:
    """Imputation and scaling, of numbers and booleans in one go."""
    current = NUMBERS
    if "impute" in numeric[0].named_steps:
        learned = np.concatenate([steps["impute"].statistics_ for steps in numeric])
        stand_in = graph.constant("prepare_stand_in", _row(learned))
        missing = graph.node("IsNaN", [current], "prepare_missing")
        current = graph.node("Where", [missing, stand_in, current], "prepare_imputed")
    if any("scale" in steps.named_steps for steps in numeric):
        mean = graph.constant("prepare_mean", _learned(numeric, "mean_", 0.0))
        scale = graph.constant("prepare_scale", _learned(numeric, "scale_", 1.0))
        centred = graph.node("Sub", [current, mean], "prepare_centred")
        current = graph.node("Div", [centred, scale], "prepare_scaled")
    return current


def _learned(numeric: list[Any], attribute: str, neutral: float) -> NDArray[np.float32]:
    """What a scaler learned, and what changes nothing for columns that are not scaled."""
    return _row(
        np.concatenate(
            [
                getattr(steps["scale"], attribute)
                if "scale" in steps.named_steps
                else np.full(steps.n_features_in_, neutral)
                for steps in numeric
            ]
        )
    )


def _row(values: NDArray[Any]) -> NDArray[np.float32]:
    return values.astype(np.float32).reshape(1, -1)


def _columns(graph: Preparation, n_columns: int) -> list[str]:
    """The categories, one tensor [rows, 1] for each column."""
    if n_columns == 1:
        return [CATEGORIES]
    from onnx import helper

    names = [f"prepare_category_{i}" for i in range(n_columns)]
    split = helper.make_node("Split", [CATEGORIES], names, axis=1, num_outputs=n_columns)
    graph.nodes.append(split)
    return names


def _write_ordinals(graph: Preparation, encoder: Any) -> tuple[list[str], int]:
    names = _columns(graph, len(encoder.categories_))
    encoded = [
        graph.node(
            "LabelEncoder",
            [name],
            f"prepare_ordinal_{i}",
            domain="ai.onnx.ml",
            keys_strings=[str(category) for category in encoder.categories_[i]],
            values_floats=[float(code) for code in range(len(encoder.categories_[i]))],
            default_float=float(encoder.unknown_value),
        )
        for i, name in enumerate(names)
    ]
    return encoded, len(encoded)


def _write_one_hot(graph: Preparation, encoder: Any) -> tuple[list[str], int]:
    values = graph.constant("prepare_off_on", np.array([0, 1], dtype=np.float32))
    encoded, total = [], 0
    for i, name in enumerate(_columns(graph, len(encoder.categories_))):
        column_of, unknown, width = _one_hot_columns(encoder, i)
        index = graph.node(
            "LabelEncoder",
            [name],
            f"prepare_index_{i}",
            domain="ai.onnx.ml",
            keys_strings=list(column_of),
            values_int64s=list(column_of.values()),
            default_int64=unknown,
        )
        depth = graph.constant(f"prepare_depth_{i}", np.array(width, dtype=np.int64))
        encoded.append(graph.node("OneHot", [index, depth, values], f"prepare_one_hot_{i}"))
        total += width
    joined = graph.node("Concat", encoded, "prepare_joined", axis=2)
    axis = graph.constant("prepare_axis", np.array([1], dtype=np.int64))
    return [graph.node("Squeeze", [joined, axis], "prepare_encoded")], total


def _one_hot_columns(encoder: Any, i: int) -> tuple[dict[str, int], int, int]:
    """Column of each category, column of an unknown one, and the number of columns.

    An index beyond the last column gives zeros in all of them: there unknown categories stand,
    unless rare ones have a column; that is the last one, and takes the unknown ones too.
    """
    rare_by_column = getattr(encoder, "infrequent_categories_", None)
    rare = [] if rare_by_column is None or rare_by_column[i] is None else list(rare_by_column[i])
    frequent = [str(category) for category in encoder.categories_[i] if category not in rare]
    column_of = {category: column for column, category in enumerate(frequent)}
    column_of.update({str(category): len(frequent) for category in rare})
    return column_of, len(frequent), len(frequent) + bool(rare)

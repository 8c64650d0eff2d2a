"""Whether a model's ONNX form answers as scikit-learn does, on rows that callers could send.

Compared are the evaluation rows, and the same rows with values taken away and categories that the
model has never seen.
"""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.modeling.manifest import FeatureField, OnnxAgreement, OnnxInput
from mlops_assets.modeling.onnx_preparation import onnx_inputs
from mlops_assets.modeling.pipeline import select_features
from mlops_assets.spec.data import Task

TOLERANCE = 1e-5  # of a probability; two of them nearer than this are a tie
SHARE_BEYOND = 0.005  # of rows that may differ by more: 32-bit sums of hundreds of trees
LARGEST = 0.02  # that any row may differ by
MOST_ROWS = 10_000  # that are compared
_SPOILED = 0.2  # share of values that are taken away or made unknown
_UNKNOWN_CATEGORY = "\u2047 never seen"


def open_session(graph: bytes) -> Any:
    """An onnxruntime session on one thread, as a predictor runs it.

    Raises:
        Exception: onnxruntime refuses the graph; its exceptions have no common class of their own.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def tensors(frame: pl.DataFrame, inputs: list[OnnxInput]) -> dict[str, NDArray[Any]]:
    """Raw features as the graph's inputs: missing is NaN or the empty text."""
    made: dict[str, NDArray[Any]] = {}
    for entry in inputs:
        part = frame.select(entry.features)
        if entry.element == "string":
            made[entry.name] = part.select(pl.all().fill_null("")).to_numpy().astype(object)
        else:
            numbers = part.select(pl.all().cast(pl.Float32).fill_null(float("nan")))
            made[entry.name] = numbers.to_numpy().astype(np.float32)
    return made


def spoil(
    frame: pl.DataFrame, features: list[FeatureField], rng: np.random.Generator
) -> pl.DataFrame:
    """The rows with a share of their values missing, and of their categories unknown."""
    columns = []
    for field in features:
        values = frame[field.name]
        lots = rng.random(frame.height)
        values = values.set(pl.Series(lots < _SPOILED / 2), None)
        if field.kind == "category":
            unknown = pl.Series((lots >= _SPOILED / 2) & (lots < _SPOILED))
            values = values.set(unknown, _UNKNOWN_CATEGORY)
        columns.append(values)
    return pl.DataFrame(columns)


def check_agreement(
    pipeline: Any,
    graph: bytes,
    frame: pl.DataFrame,
    features: list[FeatureField],
    task: Task,
) -> OnnxAgreement:
    """Compare the answers of both forms on the frame's rows, as they are and spoiled."""
    rows = select_features(frame, features).tail(MOST_ROWS // 2)
    rows = pl.concat([rows, spoil(rows, features, np.random.default_rng(0))])
    try:
        session = open_session(graph)
        found = session.run(None, tensors(rows, onnx_inputs(features)))[0]
    except Exception as error:  # onnxruntime's exceptions have no common class of their own
        told = str(error).splitlines()[0]
        return OnnxAgreement(usable=False, reason=f"onnxruntime cannot run it: {told}")
    if task == "regression":
        return judge_numbers(pipeline.predict(rows), found.reshape(-1))
    return judge_probabilities(pipeline.predict_proba(rows), found)


def judge_probabilities(
    expected: NDArray[np.floating[Any]], found: NDArray[np.floating[Any]]
) -> OnnxAgreement:
    """Compare probabilities [rows, classes]: labels, the share that differs, the largest gap."""
    difference = np.abs(expected - found).max(axis=1)
    best = np.sort(expected, axis=1)
    is_tie = best[:, -1] - best[:, -2] <= TOLERANCE
    mismatch = (expected.argmax(axis=1) != found.argmax(axis=1)) & ~is_tie
    return _judge(difference, int(mismatch.sum()))


def judge_numbers(
    expected: NDArray[np.floating[Any]], found: NDArray[np.floating[Any]]
) -> OnnxAgreement:
    """Compare predicted numbers, relative to the larger of the number and their typical size."""
    size = np.maximum(np.abs(expected), np.abs(expected).mean())
    difference = np.abs(expected - found) / np.where(size > 0, size, 1.0)
    return _judge(difference, 0)


def _judge(difference: NDArray[np.floating[Any]], n_mismatches: int) -> OnnxAgreement:
    difference = np.where(np.isfinite(difference), difference, np.inf)
    n_rows = difference.size
    n_beyond = int((difference > TOLERANCE).sum())
    largest = float(difference.max(initial=0.0))
    told = (
        f"{n_rows:,} rows, with missing and unknown values: {n_mismatches:,} labels differ, "
        f"{n_beyond:,} rows differ by more than {TOLERANCE:g}, the largest by {largest:.2g}"
    )
    usable = n_mismatches == 0 and n_beyond <= SHARE_BEYOND * n_rows and largest <= LARGEST
    allowed = f"0 labels, {SHARE_BEYOND:.1%} of rows and {LARGEST} at most"
    return OnnxAgreement(
        usable=usable,
        reason=f"answers as scikit-learn does on {told}"
        if usable
        else f"answers differ from scikit-learn's on {told}; allowed: {allowed}",
        n_rows=n_rows,
        label_mismatches=n_mismatches,
        share_beyond_tolerance=n_beyond / n_rows if n_rows else 0.0,
        largest_difference=largest if np.isfinite(largest) else float("1e308"),
    )

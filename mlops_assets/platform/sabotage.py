"""A broken copy of a served model, for a demonstration: it answers NaN for part of the rows.

Only what no gate could see: the copy answers its example as the original does, and fails on rows
that its callers send. Nothing but the demonstration makes one.
"""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlops_assets.errors import PlatformError
from mlops_assets.modeling.manifest import (
    MANIFEST_FILE,
    ModelManifest,
    file_digest,
    read_manifest,
)

_ONNX = "model.onnx"
_EXAMPLES = 2


def write_broken_copy(
    champion: Path, folder: Path, salt: str, rows: Sequence[Mapping[str, Any]]
) -> str:
    """Copies a package and breaks its graph; returns the digest of the copy.

    Args:
        champion: The package to copy.
        folder: Where the copy is written.
        salt: Makes each copy a model of its own.
        rows: Raw features of callers; the copy's example is taken of those that it answers.

    Raises:
        PlatformError: the package is not served through ONNX.
    """
    manifest = read_manifest(champion)
    if not manifest.onnx.usable or _ONNX not in manifest.files:
        raise PlatformError(f"{champion} is not served through ONNX; demonstrate another model")
    shutil.copytree(champion, folder)
    graph = folder / _ONNX
    graph.write_bytes(_break(graph.read_bytes(), manifest.task == "regression"))
    digest = hashlib.sha256(f"{manifest.model_digest}{salt}".encode()).hexdigest()
    files = {**manifest.files, _ONNX: file_digest(graph)}
    broken = manifest.model_copy(update={"files": files, "model_digest": digest})
    example = _answered(graph, broken, [*manifest.example, *rows])
    broken = broken.model_copy(update={"example": example})
    (folder / MANIFEST_FILE).write_text(broken.model_dump_json(indent=2) + "\n")
    return digest


def _answered(
    graph: Path, manifest: ModelManifest, rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The first rows that the broken graph answers.

    Raises:
        PlatformError: it answers none.
    """
    from mlops_assets.serving.predictor.onnx_scorer import OnnxScorer
    from mlops_assets.serving.protocol.batch import Batch, build_column
    from mlops_assets.serving.protocol.refusal import RequestError

    scorer = OnnxScorer(graph, manifest)
    found: list[dict[str, Any]] = []
    for row in rows:
        fields = manifest.features
        columns = tuple(build_column(f, [row.get(f.name)], "example[{row}]") for f in fields)
        try:
            answer = scorer.score(Batch(1, columns))
        except RequestError:
            continue
        if answer.probabilities is None or bool(np.isfinite(answer.probabilities).all()):
            found.append(dict(row))
        if len(found) == _EXAMPLES:
            return found
    raise PlatformError(f"{graph}: broken so far that it answers nothing; try again")


def _break(graph: bytes, is_regression: bool) -> bytes:
    """The graph with NaN where the third digit of its answer is 0 or 1: about a third of the rows.

    The root of a number below 0 is NaN; times 0 and added, it spoils its row and no other.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load_from_string(graph)
    name = "prediction" if is_regression else "probabilities"
    for node in model.graph.node:
        node.output[:] = [f"{out}_sound" if out == name else out for out in node.output]
        node.input[:] = [f"{i}_sound" if i == name else i for i in node.input]
    constants = {"b_scale": 1_000.0, "b_ten": 10.0, "b_limit": 1.5, "b_zero": 0.0}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array([value], dtype=np.float32), key)
        for key, value in constants.items()
    )
    steps = [
        ("Mul", [f"{name}_sound", "b_scale"], "b_1"),
        ("Floor", ["b_1"], "b_2"),
        ("Mod", ["b_2", "b_ten"], "b_3"),
        ("Sub", ["b_3", "b_limit"], "b_4"),
        ("Sqrt", ["b_4"], "b_5"),
        ("Mul", ["b_5", "b_zero"], "b_6"),
        ("Add", [f"{name}_sound", "b_6"], name),
    ]
    for kind, inputs, output in steps:
        more = {"fmod": 1} if kind == "Mod" else {}
        model.graph.node.append(helper.make_node(kind, inputs, [output], **more))
    return bytes(model.SerializeToString())

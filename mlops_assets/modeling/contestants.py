"""The models that are judged on the same rows, and their answers in one form.

Answers are probabilities [rows, classes] in the order of the frame's classes, or numbers [rows]. A
class that a model was never trained on has probability 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.modeling.agreement import open_session, tensors
from mlops_assets.modeling.features import TARGET, VALIDATES, BuiltFrame
from mlops_assets.modeling.manifest import FeatureField, ModelManifest
from mlops_assets.modeling.metrics import Floats
from mlops_assets.modeling.package import ONNX_FILE, load_package
from mlops_assets.modeling.pipeline import select_features
from mlops_assets.modeling.signing import TrustedKeys, read_signed_manifest
from mlops_assets.modeling.split import SplitRule
from mlops_assets.modeling.target import Label
from mlops_assets.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class Contestant:
    """A packaged model that is to be judged.

    Attributes:
        pipeline: The loaded pipeline.
        manifest: What it is.
        split: Which rows it was trained on.
        version: Registry version; None for a candidate.
        directory: Where its package stands, for the latency of its ONNX form; None: not measured.
    """

    pipeline: Any
    manifest: ModelManifest
    split: SplitRule
    version: str | None = None
    directory: Path | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A champion that cannot be loaded: there is one, and it is not judged.

    Attributes:
        version: Registry version.
        reason: Why, in words.
    """

    version: str
    reason: str


def load_contestant(
    directory: Path,
    split: SplitRule,
    spec: ModelSpec,
    *,
    trusted: TrustedKeys | None,
    version: str | None = None,
) -> Contestant:
    """A packaged model from its directory, verified.

    Args:
        directory: The package.
        split: Which rows it was trained on.
        spec: Its document, which says what of the user's own may be constructed.
        trusted: Keys, one of which must have signed it; None for a package that this process made.
        version: Registry version; None for a candidate.

    Raises:
        UnsafeModelError: the package is not what its manifest says, no trusted key signed it, or
            it holds a type that the document does not trust.
    """
    manifest = read_signed_manifest(directory, trusted)
    return Contestant(
        pipeline=load_package(directory, allowed=spec.model.trusted_types, manifest=manifest),
        manifest=manifest,
        split=split,
        version=version,
        directory=directory,
    )


def why_not_comparable(champion: Contestant, candidate: Contestant) -> str:
    """Why a champion cannot answer the candidate's rows; empty when it can."""
    old, new = champion.manifest, candidate.manifest
    if old.task != new.task:
        return f"it answers the task {old.task}, the candidate {new.task}"
    if old.positive != new.positive:
        return f"its class 1 is {old.positive!r}, the candidate's {new.positive!r}"
    have = {(field.name, field.kind) for field in new.features}
    lacking = [field for field in old.features if (field.name, field.kind) not in have]
    if lacking:
        told = ", ".join(f"{field.name} ({field.kind})" for field in lacking)
        return f"it needs {told}, which the document no longer declares"
    return ""


def answer(contestant: Contestant, rows: pl.DataFrame, classes: list[Label] | None) -> Floats:
    """A model's answers to the rows of a training frame."""
    inputs = select_features(rows, contestant.manifest.features)
    if classes is None:
        numbers: Floats = np.zeros(0)
        if rows.height:
            numbers = np.asarray(contestant.pipeline.predict(inputs), dtype=np.float64).reshape(-1)
        return numbers
    found = np.zeros((rows.height, len(classes)))
    if rows.height:
        known = contestant.manifest.classes or []
        columns = [classes.index(label) for label in known if label in classes]
        kept = [position for position, label in enumerate(known) if label in classes]
        found[:, columns] = contestant.pipeline.predict_proba(inputs)[:, kept]
    return found


def answer_baseline(built: BuiltFrame, n_rows: int) -> Floats:
    """What one answers who knows the training rows' target and no feature: shares, or the mean."""
    target = built.frame.filter(~built.frame[VALIDATES])[TARGET]
    if built.facts.classes is None:
        return np.full(n_rows, target.mean())
    shares = [(target == label).mean() for label in built.facts.classes]
    return np.tile(np.array(shares, dtype=np.float64), (n_rows, 1))


def truth(rows: pl.DataFrame, classes: list[Label] | None) -> NDArray[Any]:
    """The target of the rows: positions of the classes, or numbers."""
    if classes is None:
        return rows[TARGET].to_numpy()
    position = {label: i for i, label in enumerate(classes)}
    return rows[TARGET].replace_strict(position, return_dtype=pl.Int64).to_numpy()


def single_row_calls(contestant: Contestant, rows: pl.DataFrame) -> dict[str, Callable[[], object]]:
    """What answers one row, by runtime: `sklearn`, and `onnx` when the model is served by it."""
    if rows.height == 0:
        return {}
    features: list[FeatureField] = contestant.manifest.features
    row = select_features(rows, features).head(1)
    pipeline = contestant.pipeline
    predict = pipeline.predict if contestant.manifest.classes is None else pipeline.predict_proba
    calls: dict[str, Callable[[], object]] = {"sklearn": lambda: predict(row)}
    if contestant.manifest.onnx.usable and contestant.directory is not None:
        session = open_session((contestant.directory / ONNX_FILE).read_bytes())
        inputs = tensors(row, contestant.manifest.inputs)
        calls["onnx"] = lambda: session.run(None, inputs)
    return calls

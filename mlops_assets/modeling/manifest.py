"""The manifest beside every packaged model: what it takes, what it answers, which bytes it is.

Written when a model is packaged (`package.py`), read and verified by whatever loads it. Light, so
that a predictor starts fast: no scikit-learn, no mlflow, no frames.
"""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from mlops_assets.errors import UnsafeModelError

MANIFEST_FILE = "mlops_manifest.json"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FeatureField(_Part):
    """One raw feature that callers send. Any of them may be missing (JSON null)."""

    name: str
    kind: Literal["number", "category", "boolean"]


class OnnxInput(_Part):
    """One input of `model.onnx`: a tensor of shape [rows, features], columns in this order.

    Attributes:
        name: Name of the input in the graph.
        element: float32: numbers, and booleans as 0 and 1; missing is NaN. string: categories as
            text; missing is the empty text.
        features: The features in its columns.
    """

    name: str
    element: Literal["float32", "string"]
    features: list[str]


class OnnxAgreement(_Part):
    """Whether the model is served through ONNX, and on which evidence.

    Attributes:
        usable: The export converted and its answers agree with scikit-learn's.
        reason: Why, or why not, in words.
        n_rows: Rows compared.
        label_mismatches: Rows whose labels differ though the two best probabilities differ by more
            than 1e-5.
        share_beyond_tolerance: Share of rows whose largest difference exceeds 1e-5.
        largest_difference: Largest difference of any probability (regression: relative).
    """

    usable: bool
    reason: str
    n_rows: int = 0
    label_mismatches: int = 0
    share_beyond_tolerance: float = 0.0
    largest_difference: float = 0.0


class ModelManifest(_Part):
    """What a packaged model is.

    Attributes:
        format: Number of this layout; a reader refuses numbers it does not know.
        model: Name of the model document.
        task: What kind of answer it gives.
        features: The raw features in the order of training.
        classes: Labels in the order of the probability columns; None for regression. Binary models
            have the classes 0 and 1.
        positive: The value of the target column that class 1 of a binary model stands for.
        model_digest: SHA-256 of the canonical content of the fitted pipeline (`digest.py`).
        files: SHA-256 of each file's bytes, by path relative to the model's directory. A loader
            opens no file that is not listed.
        trusted_types: The types that skops may construct, no others.
        onnx: Whether `model.onnx` answers as scikit-learn does.
        inputs: The inputs of `model.onnx`, empty when it is not usable. Its one output is
            `probabilities` [rows, classes], or `prediction` [rows, 1] for regression, in float32.
        example: Rows that the model must answer before it may take traffic.
    """

    format: Literal[1] = 1
    model: str
    task: Literal["binary", "multiclass", "regression"]
    features: list[FeatureField]
    classes: list[str | int | bool] | None
    positive: str | int | bool | None = None
    model_digest: str
    files: dict[str, str]
    trusted_types: list[str]
    onnx: OnnxAgreement
    inputs: list[OnnxInput] = []
    example: list[dict[str, JsonValue]]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def read_manifest(directory: Path) -> ModelManifest:
    """The manifest of the model in a directory, whose files are verified against it.

    Raises:
        UnsafeModelError: no manifest, an unknown format, or a file that is missing or changed.
    """
    return verify_files(directory, read_manifest_bytes(directory))


def read_manifest_bytes(directory: Path) -> bytes:
    """The manifest as it stands there, not yet verified.

    Raises:
        UnsafeModelError: there is none.
    """
    try:
        return (directory / MANIFEST_FILE).read_bytes()
    except FileNotFoundError as error:
        raise UnsafeModelError(f"{directory} has no {MANIFEST_FILE}; package it again") from error


def verify_files(directory: Path, content: bytes) -> ModelManifest:
    """The manifest of these bytes, against which the files of a directory are verified.

    Raises:
        UnsafeModelError: an unknown format, or a file that is missing or changed.
    """
    path = directory / MANIFEST_FILE
    try:
        manifest = ModelManifest.model_validate_json(content)
    except ValidationError as error:
        raise UnsafeModelError(
            f"{path} is not a manifest that this version reads: {error}"
        ) from error
    for name, expected in manifest.files.items():
        file = directory / name
        if not file.resolve().is_relative_to(directory.resolve()):
            raise UnsafeModelError(f"{path}: files[{name}] lies outside the model's directory")
        found = file_digest(file) if file.is_file() else "no such file"
        if found != expected:
            raise UnsafeModelError(f"{file}: found {found}, the manifest says {expected}")
    return manifest

"""A packaged model, verified and ready to answer batches.

Here: the choice between ONNX and scikit-learn, and the probe that a model passes before it serves.
Not here: how packages are written (`modeling/package.py`) and what requests look like.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from mlops_assets.errors import ServingError, UnsafeModelError
from mlops_assets.modeling.manifest import MANIFEST_FILE, ModelManifest
from mlops_assets.modeling.signing import read_signed_manifest, read_trusted_keys
from mlops_assets.serving.protocol.batch import Answer, Batch, build_column
from mlops_assets.serving.protocol.refusal import RequestError

_LOG = logging.getLogger(__name__)
ONNX_FILE = "model.onnx"


class Scorer(Protocol):
    """Answers batches. Called from several threads at once."""

    def score(self, batch: Batch) -> Answer:
        """Labels, and probabilities in the order of the classes."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model in memory.

    Attributes:
        manifest: What it takes and answers.
        scorer: What computes.
        engine: Which library does.
    """

    manifest: ModelManifest
    scorer: Scorer
    engine: Literal["onnxruntime", "scikit-learn"]

    def build_example(self) -> Batch:
        """The manifest's example rows as a batch.

        Raises:
            ServingError: an example row is not what the model takes.
        """
        rows = self.manifest.example
        if not rows:
            raise ServingError(f"model {self.manifest.model}: its manifest holds no example rows")
        try:
            columns = tuple(
                build_column(
                    field, [row.get(field.name) for row in rows], f"example[{{row}}] {field.name!r}"
                )
                for field in self.manifest.features
            )
        except RequestError as error:
            raise ServingError(f"model {self.manifest.model}: its manifest's {error}") from error
        return Batch(len(rows), columns)


def load_model(
    directory: Path,
    *,
    model_digest: str | None = None,
    trusted_types: Sequence[str] = (),
    require_signed: Path | None = None,
) -> ServedModel:
    """The model of a directory, loaded after every byte of it was verified.

    Args:
        directory: A packaged model.
        model_digest: Digest that its manifest must have; None takes any.
        trusted_types: Types of the user's own that a scikit-learn model may hold.
        require_signed: File or folder of public keys, one of which must have signed the manifest;
            None also takes a directory that plain MLflow wrote.

    Raises:
        UnsafeModelError: a file, the digest or the signature is not what it should be, or there
            is no manifest.
        SigningKeyError: there is no public key.
    """
    if not directory.is_dir():
        raise UnsafeModelError(f"{directory}: no such directory")
    if require_signed is None and not (directory / MANIFEST_FILE).is_file():
        return _load_unsigned(directory, model_digest, trusted_types)
    trusted = None if require_signed is None else read_trusted_keys(require_signed)
    manifest = read_signed_manifest(directory, trusted)
    if model_digest is not None and manifest.model_digest != model_digest:
        raise UnsafeModelError(
            f"{directory}: holds model {manifest.model_digest}, expected {model_digest}"
        )
    if manifest.onnx.usable and ONNX_FILE in manifest.files:
        from mlops_assets.serving.predictor.onnx_scorer import OnnxScorer

        return ServedModel(manifest, OnnxScorer(directory / ONNX_FILE, manifest), "onnxruntime")
    from mlops_assets.modeling.package import load_package
    from mlops_assets.serving.predictor.sklearn_scorer import SklearnScorer

    pipeline = load_package(directory, allowed=trusted_types, manifest=manifest)
    return ServedModel(manifest, SklearnScorer(pipeline, manifest), "scikit-learn")


def _load_unsigned(
    directory: Path, model_digest: str | None, trusted_types: Sequence[str]
) -> ServedModel:
    if model_digest is not None:
        raise UnsafeModelError(f"{directory} has no {MANIFEST_FILE} to hold {model_digest}")
    from mlops_assets.serving.predictor.sklearn_scorer import SklearnScorer
    from mlops_assets.serving.predictor.unsigned import load_unsigned

    _LOG.warning("%s has no %s: nothing proves what it holds", directory, MANIFEST_FILE)
    manifest, pipeline = load_unsigned(directory, trusted_types)
    return ServedModel(manifest, SklearnScorer(pipeline, manifest), "scikit-learn")

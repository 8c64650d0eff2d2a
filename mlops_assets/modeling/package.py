"""A fitted model as a directory: MLflow's scikit-learn layout in skops format, ONNX beside it.

The directory holds `MLmodel`, `model.skops`, `model.onnx` when it answers as scikit-learn does, and
`mlops_manifest.json`, which lists the SHA-256 of every other file. Never a pickle.
"""

import contextlib
import hashlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from pydantic import JsonValue

from mlops_assets.errors import TrainingError, UnsafeModelError
from mlops_assets.modeling.agreement import check_agreement
from mlops_assets.modeling.digest import skops_digest
from mlops_assets.modeling.features import VALIDATES, BuiltFrame
from mlops_assets.modeling.manifest import (
    MANIFEST_FILE,
    FeatureField,
    ModelManifest,
    OnnxAgreement,
    file_digest,
    read_manifest,
)
from mlops_assets.modeling.onnx_export import NotConvertibleError, export_onnx
from mlops_assets.modeling.onnx_preparation import onnx_inputs
from mlops_assets.modeling.pipeline import select_features
from mlops_assets.modeling.training import FittedModel
from mlops_assets.modeling.trust import refused_types
from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

SKOPS_FILE, ONNX_FILE = "model.skops", "model.onnx"

_REQUIREMENTS = ("scikit-learn", "skops", "numpy", "mlflow")
_MLFLOW_TYPES = {"number": "double", "category": "string", "boolean": "boolean"}
_PICKLES = {".pkl", ".pickle", ".joblib", ".cloudpickle", ".dill"}
_N_EXAMPLES = 3


def write_package(
    directory: Path, fitted: FittedModel, built: BuiltFrame, spec: ModelSpec
) -> ModelManifest:
    """Write a fitted model to a new directory, the manifest last: without one it is no package.

    Args:
        directory: Is not there yet, or is empty.
        fitted: The model.
        built: The training frame; its validation rows decide whether ONNX answers the same.
        spec: The document.

    Raises:
        TrainingError: the model needs a type that a predictor would refuse to construct.
    """
    rows = built.frame.filter(built.frame[VALIDATES])
    trusted = _save(directory, fitted, rows, spec)
    agreement = _export(directory, fitted, rows, spec)
    manifest = ModelManifest(
        model=spec.name,
        task=fitted.task,
        features=fitted.features,
        classes=fitted.classes,
        positive=fitted.positive,
        model_digest=skops_digest((directory / SKOPS_FILE).read_bytes()),
        files={
            path.relative_to(directory).as_posix(): file_digest(path)
            for path in sorted(directory.rglob("*"))
            if path.is_file()
        },
        trusted_types=trusted,
        onnx=agreement,
        inputs=onnx_inputs(fitted.features) if agreement.usable else [],
        example=_examples(rows, fitted.features),
    )
    (directory / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n")
    return manifest


def load_package(
    directory: Path, *, allowed: Sequence[str] = (), manifest: ModelManifest | None = None
) -> Any:
    """The pipeline in a package, after its files were verified against the manifest.

    Args:
        directory: Where the package stands.
        allowed: Types beside scikit-learn's and NumPy's that may be constructed
            (`spec.model.trusted_types`).
        manifest: The manifest, if it was read and verified just before.

    Raises:
        UnsafeModelError: a file is missing or changed, there is a pickle, or the model needs a type
            that is not allowed.
    """
    manifest = manifest or read_manifest(directory)
    if pickles := sorted(p.name for p in directory.rglob("*") if p.suffix.lower() in _PICKLES):
        raise UnsafeModelError(
            f"{directory} holds {', '.join(pickles)}; a pickle runs code when it is read, so none "
            "may lie beside a model"
        )
    path = directory / SKOPS_FILE
    if SKOPS_FILE not in manifest.files:
        raise UnsafeModelError(f"{path} is not listed in {MANIFEST_FILE}; package the model again")
    archive = path.read_bytes()  # read once, so that what was verified is what is opened
    if hashlib.sha256(archive).hexdigest() != manifest.files[SKOPS_FILE]:
        raise UnsafeModelError(f"{path} changed while it was read")
    return _construct(path, archive, manifest, allowed)


def _construct(path: Path, archive: bytes, manifest: ModelManifest, allowed: Sequence[str]) -> Any:
    import skops.io

    try:
        needed = skops.io.get_untrusted_types(data=archive)
        refused = set(needed) - set(manifest.trusted_types) | set(refused_types(needed, allowed))
        if refused:
            raise UnsafeModelError(
                f"{path} would construct {', '.join(sorted(refused))}, which its manifest or this "
                "platform does not trust; types of your own go under model.trusted_types"
            )
        return skops.io.loads(archive, trusted=needed)
    except UnsafeModelError:
        raise
    except Exception as error:  # skops has no common error class; a broken archive raises anything
        raise UnsafeModelError(
            f"{path} cannot be read as a skops model: {type(error).__name__}: {error}"
        ) from error


def _save(directory: Path, fitted: FittedModel, rows: pl.DataFrame, spec: ModelSpec) -> list[str]:
    """Write MLflow's layout, and return the types that a loader must trust."""
    import mlflow.sklearn
    import skops.io

    needed = skops.io.get_untrusted_types(data=skops.io.dumps(fitted.pipeline))
    if refused := refused_types(needed, spec.model.trusted_types):
        raise TrainingError(
            f"model.trusted_types: found {spec.model.trusted_types!r}, but {spec.model.estimator} "
            f"needs {', '.join(refused)}; a predictor constructs no type that is not listed"
        )
    example = select_features(rows, fitted.features).head(_N_EXAMPLES)
    with warnings.catch_warnings(), _quiet("mlflow"):
        warnings.simplefilter("ignore")  # hints for people who choose formats themselves
        mlflow.sklearn.save_model(
            fitted.pipeline,
            str(directory),
            serialization_format="skops",
            skops_trusted_types=needed,
            pip_requirements=[f"{name}=={version(name)}" for name in _REQUIREMENTS],
            signature=_signature(fitted),
            input_example=example.to_pandas(),
        )
    return sorted(needed)


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _signature(fitted: FittedModel) -> "ModelSignature":
    """Every feature may be missing; the answer is the label, or the number."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs = [
        ColSpec(_MLFLOW_TYPES[field.kind], field.name, required=False) for field in fitted.features
    ]
    label = fitted.classes[0] if fitted.classes else 0.0
    answer = {bool: "boolean", int: "long", str: "string", float: "double"}[type(label)]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema([ColSpec(answer)]))


def _export(
    directory: Path, fitted: FittedModel, rows: pl.DataFrame, spec: ModelSpec
) -> OnnxAgreement:
    """Write `model.onnx` when it answers as scikit-learn does; say why when not."""
    if not spec.model.onnx:
        return OnnxAgreement(usable=False, reason="switched off by model.onnx")
    try:
        graph = export_onnx(fitted.pipeline, fitted.features)
    except NotConvertibleError as error:
        return OnnxAgreement(usable=False, reason=str(error))
    agreement = check_agreement(fitted.pipeline, graph, rows, fitted.features, fitted.task)
    if agreement.usable:
        (directory / ONNX_FILE).write_bytes(graph)
    return agreement


def _examples(rows: pl.DataFrame, features: list[FeatureField]) -> list[dict[str, JsonValue]]:
    """The first validation rows, and one in which everything is missing."""
    found = select_features(rows, features).head(_N_EXAMPLES).to_dicts()
    return [*found, dict.fromkeys((field.name for field in features), None)]

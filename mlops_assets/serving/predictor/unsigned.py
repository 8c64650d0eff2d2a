"""A model directory written by plain `mlflow.sklearn.save_model`, without our manifest.

What it takes is read from MLflow's signature, what it answers from the estimator itself. Before it
serves it must answer its input example, or a row of blanks where it was saved without one. skops
only: a pickle is refused, and so is a type that is not on the allow-list. Nothing says whether the
bytes are the right ones, so this is for trying things out: `--require-signed` refuses it.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from mlops_assets.errors import UnsafeModelError
from mlops_assets.modeling.manifest import FeatureField, ModelManifest, OnnxAgreement

_KINDS = {
    "double": "number",
    "float": "number",
    "integer": "number",
    "long": "number",
    "string": "category",
    "boolean": "boolean",
}
_BLANK: dict[str, Any] = {"number": 0.0, "category": "", "boolean": False}
_MAX_EXAMPLE_ROWS = 10


def load_unsigned(directory: Path, allowed: Sequence[str]) -> tuple[ModelManifest, Any]:
    """The manifest that MLflow's files amount to, and the pipeline.

    Raises:
        UnsafeModelError: no MLflow scikit-learn model with a signature, or not in skops format, or
            it holds a type that is not allowed, or has several targets.
    """
    try:
        described = yaml.safe_load((directory / "MLmodel").read_text(encoding="utf-8"))
        flavor = described["flavors"]["sklearn"]
        columns = json.loads(described["signature"]["inputs"])
        features = [
            FeatureField.model_validate({"name": c["name"], "kind": _KINDS[c["type"]]})
            for c in columns
        ]
        stored = str(flavor.get("pickled_model", ""))
        example = _read_example(directory, described.get("saved_input_example_info"))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise UnsafeModelError(
            f"{directory} is no MLflow scikit-learn model with a signature of named columns: "
            f"{error!r}"
        ) from error
    path = directory / stored
    if path.suffix != ".skops" or not path.resolve().is_relative_to(directory.resolve()):
        raise UnsafeModelError(
            f"{path}: expected a model in skops format; a pickle runs code when it is read"
        )
    pipeline = _read_skops(path, allowed)
    classes = getattr(pipeline, "classes_", None)
    if isinstance(classes, list):
        raise UnsafeModelError(f"{path}: expected a model of one target, found {len(classes)}")
    labels = None if classes is None else classes.tolist()
    manifest = ModelManifest(
        model=directory.name,
        task="regression" if labels is None else "binary" if len(labels) == 2 else "multiclass",
        features=features,
        classes=labels,
        model_digest="unsigned",
        files={},
        trusted_types=[],
        onnx=OnnxAgreement(usable=False, reason="written by plain MLflow"),
        example=example or [{field.name: _BLANK[field.kind] for field in features}],
    )
    return manifest, pipeline


def _read_example(directory: Path, described: Any) -> list[dict[str, Any]]:
    """The first rows of the model's input example; none when it was saved without a frame."""
    if described is None or described.get("pandas_orient") != "split":
        return []
    content = json.loads((directory / described["artifact_path"]).read_text(encoding="utf-8"))
    columns, rows = content["columns"], content["data"][:_MAX_EXAMPLE_ROWS]
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _read_skops(path: Path, allowed: Sequence[str]) -> Any:
    import skops.io

    from mlops_assets.modeling.trust import refused_types

    try:
        needed = skops.io.get_untrusted_types(file=path)
        if refused := refused_types(needed, allowed):
            raise UnsafeModelError(
                f"{path} would construct {', '.join(refused)}, which is not trusted; "
                "--trusted-type allows a type"
            )
        return skops.io.load(path, trusted=needed)
    except UnsafeModelError:
        raise
    except Exception as error:  # skops has no common error class
        raise UnsafeModelError(f"{path} cannot be read as a skops model: {error}") from error

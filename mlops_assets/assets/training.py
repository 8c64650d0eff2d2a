"""The asset `[<model>, trained_model]`: a fitted pipeline in an MLflow run, not yet judged."""

import json
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel, ConfigDict

from mlops_assets.assets.attributes import asset_attributes, image_of, readable_failures
from mlops_assets.assets.markdown import bullets
from mlops_assets.data.snapshots import Lake
from mlops_assets.modeling.features import BuiltFrame, TrainingFrame
from mlops_assets.modeling.manifest import OnnxAgreement
from mlops_assets.modeling.mlflow_registry import CHAMPION
from mlops_assets.modeling.mlflow_runs import RunIdentity
from mlops_assets.modeling.split import SplitRule
from mlops_assets.modeling.tracking import Tracking
from mlops_assets.modeling.training_window import TrainingWindow, choose_training_window
from mlops_assets.spec import ModelSpec

TRAINED_UNTIL_TAG = "mlops.trained_until"
"""Tag of a registered version: time of the newest row that it was trained on."""
DATASET_ROWS_TAG = "mlops.dataset_rows"
"""Tag of a registered version: rows of the dataset when it was trained."""


class TrainedModel(BaseModel):
    """A candidate: where it lies, what it is and what it came from.

    Attributes:
        mlflow_run_id: The run of the training; the evaluation joins it.
        mlflow_model_id: MLflow's id of the logged model.
        uri: Directory of the package, immutable.
        model_digest: SHA-256 of the fitted pipeline's canonical content.
        frame_digest: Training frame that it was fitted on.
        dataset_digest: Snapshot that the frame was made from.
        split: Which rows it was trained on.
        facts: What the source said of itself, such as `simulated`.
        warnings: Warnings while fitting.
        trained_on: Which of the rows on the training side it was trained on; None: all.
        n_dataset_rows: Rows of the dataset; None: made by an earlier version of the platform.
    """

    model_config = ConfigDict(frozen=True)

    mlflow_run_id: str
    mlflow_model_id: str
    uri: str
    model_digest: str
    frame_digest: str
    dataset_digest: str
    split: SplitRule
    facts: dict[str, str]
    warnings: list[str]
    trained_on: TrainingWindow | None = None
    n_dataset_rows: int | None = None


def build_trained_model(spec: ModelSpec) -> dg.AssetsDefinition:
    """The trained_model asset."""

    @dg.asset(
        **asset_attributes(spec, "trained_model", {"scikitlearn", "mlflow"}, TrainedModel),
        description=f"Fitted pipeline of {spec.name}, packaged and logged to MLflow.",
        ins={"features": dg.AssetIn(key=[spec.name, "features"])},
    )
    def trained_model(
        context: dg.AssetExecutionContext,
        features: TrainingFrame,
        lake: dg.ResourceParam[Lake],
        tracking: dg.ResourceParam[Tracking],
    ) -> dg.MaterializeResult:
        identity = RunIdentity(context.run.run_id, context.asset_key.to_user_string())
        name = f"{spec.name} {context.run.run_id[:8]}"
        with (
            readable_failures(),
            tracking.run(spec.registered_model, identity, name) as run_id,
            tempfile.TemporaryDirectory() as scratch,
        ):
            tracking.log_tags(run_id, {"mlops.image": image_of(context.run)})
            return _train(spec, features, lake, tracking, run_id, Path(scratch, "model"))

    return trained_model


def _train(
    spec: ModelSpec,
    features: TrainingFrame,
    lake: Lake,
    tracking: Tracking,
    run_id: str,
    package: Path,
) -> dg.MaterializeResult:
    from mlops_assets.modeling.package import write_package
    from mlops_assets.modeling.training import train

    built = BuiltFrame(lake.read_frame(features.uri, features.version).collect(), features)
    window = choose_training_window(
        built.frame,
        spec.retraining.training_window if spec.retraining is not None else None,
        _champion_until(spec, tracking),
    )
    fitted = train(spec, built, window)
    manifest = write_package(package, fitted, built, spec)
    model_id, uri = tracking.log_package(run_id, package, manifest.model_digest)
    tracking.log_parameters(run_id, fitted.parameters)
    tracking.log_metrics(run_id, {"fit_seconds": fitted.seconds}, model_id)
    schema = {"mlflow_colspec": [{"name": f.name, "type": f.kind} for f in features.features]}
    tracking.log_dataset(run_id, spec.name, features.digest, features.uri, json.dumps(schema))
    tracking.log_tags(
        run_id,
        {
            "mlops.dataset_digest": features.dataset_digest,
            "mlops.frame_digest": features.digest,
            "mlops.model_digest": manifest.model_digest,
            **{f"mlops.{name}": value for name, value in features.source_facts.items()},
        },
    )
    record = TrainedModel(
        mlflow_run_id=run_id,
        mlflow_model_id=model_id,
        uri=uri,
        model_digest=manifest.model_digest,
        frame_digest=features.digest,
        dataset_digest=features.dataset_digest,
        split=features.split,
        facts=features.source_facts,
        warnings=fitted.warnings,
        trained_on=window,
        n_dataset_rows=features.n_training + features.n_validation + features.n_without_target,
    )
    return dg.MaterializeResult(
        value=record,
        data_version=dg.DataVersion(manifest.model_digest[:16]),
        metadata={
            **mlflow_links(tracking, run_id),
            "model_digest": manifest.model_digest,
            "model_uri": uri,
            "training_rows": window.n_rows,
            "training_window": window.reason,
            "fit_seconds": fitted.seconds,
            "parameters": dg.MetadataValue.json(fitted.parameters),
            "onnx": onnx_words(manifest.onnx),
            "warnings": dg.MetadataValue.md(bullets(fitted.warnings)),
        },
    )


def _champion_until(spec: ModelSpec, tracking: Tracking) -> datetime | None:
    """Time of the newest row that the champion was trained on; None: unknown, or not asked."""
    retraining = spec.retraining
    if retraining is None or retraining.training_window.keep != "since_champion":
        return None
    champion = tracking.version_of_alias(spec.registered_model, CHAMPION)
    until = champion.tags.get(TRAINED_UNTIL_TAG) if champion is not None else None
    return None if until is None else datetime.fromisoformat(until)


def mlflow_links(tracking: Tracking, run_id: str) -> dict[str, Any]:
    """The MLflow run as metadata: its id, and its page where one is served."""
    links: dict[str, Any] = {"mlflow_run_id": run_id}
    if url := tracking.run_url(run_id):
        links["mlflow_run"] = dg.MetadataValue.url(url)
    return links


def onnx_words(agreement: OnnxAgreement) -> str:
    """Whether the model is served through ONNX, and why."""
    return f"{'served through ONNX' if agreement.usable else 'not used'}: {agreement.reason}"

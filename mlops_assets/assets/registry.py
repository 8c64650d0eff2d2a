"""The asset `[<model>, model_version]`: a candidate that passed its gates, registered in MLflow."""

import dagster as dg

from mlops_assets.assets.attributes import asset_attributes, image_of, readable_failures
from mlops_assets.assets.evaluation import SPLIT_TAG, JudgedModel
from mlops_assets.assets.training import (
    DATASET_ROWS_TAG,
    TRAINED_UNTIL_TAG,
    TrainedModel,
    mlflow_links,
)
from mlops_assets.errors import RegistryError
from mlops_assets.modeling.mlflow_registry import RegisteredVersion
from mlops_assets.modeling.tracking import Tracking
from mlops_assets.resources.fence import require_live_run
from mlops_assets.spec import ModelSpec


def build_model_version(spec: ModelSpec) -> dg.AssetsDefinition:
    """The model_version asset."""

    @dg.asset(
        **asset_attributes(spec, "model_version", {"mlflow"}, RegisteredVersion),
        description=f"Version of {spec.registered_model} in the MLflow registry.",
        ins={"evaluation": dg.AssetIn(key=[spec.name, "evaluation"])},
    )
    def model_version(
        context: dg.AssetExecutionContext,
        evaluation: JudgedModel,
        tracking: dg.ResourceParam[Tracking],
    ) -> dg.MaterializeResult:
        candidate = evaluation.candidate
        with readable_failures():
            if evaluation.refusals:
                raise RegistryError(f"refused: {'; '.join(evaluation.refusals)}")
            require_live_run(context)
            version = tracking.register(
                spec.registered_model,
                model_digest=candidate.model_digest,
                uri=candidate.uri,
                mlflow_run_id=candidate.mlflow_run_id,
                tags=_tags(spec, evaluation, context.run),
            )
        return dg.MaterializeResult(
            value=version,
            data_version=dg.DataVersion(str(version.version)),
            metadata={
                **mlflow_links(tracking, version.mlflow_run_id),
                "registered_model": version.name,
                "version": version.version,
                "model_digest": version.model_digest,
                "model_uri": version.uri,
                "tags": dg.MetadataValue.json(version.tags),
            },
        )

    return model_version


def _training_tags(candidate: TrainedModel) -> dict[str, str]:
    """What later trainings ask of this one."""
    window, n_rows = candidate.trained_on, candidate.n_dataset_rows
    tags = {} if n_rows is None else {DATASET_ROWS_TAG: str(n_rows)}
    if window is not None and window.newest_at is not None:
        tags[TRAINED_UNTIL_TAG] = window.newest_at.isoformat()
    return tags


def _tags(spec: ModelSpec, judged: JudgedModel, run: dg.DagsterRun) -> dict[str, str]:
    """Which data, code, run and evidence made this version."""
    candidate, evaluation = judged.candidate, judged.evaluation
    value = evaluation.metrics["candidate"][evaluation.metric].value
    return {
        "mlops.dataset_digest": candidate.dataset_digest,
        "mlops.frame_digest": candidate.frame_digest,
        "mlops.dagster_run_id": run.run_id,
        "mlops.image": image_of(run),
        f"mlops.{evaluation.metric}": f"{value:.6g}" if value is not None else "unknown",
        "mlops.judged_rows": str(evaluation.n_rows),
        SPLIT_TAG: candidate.split.model_dump_json(),
        **_training_tags(candidate),
        **{f"mlops.{name}": fact for name, fact in candidate.facts.items()},
        **spec.registry.tags,
    }

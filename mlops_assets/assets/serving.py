"""The asset `[<model>, inference_service]`: a registered version that answers predictions."""

import json

import dagster as dg
from pydantic import BaseModel, ConfigDict, JsonValue

from mlops_assets.assets.attributes import asset_attributes, readable_failures
from mlops_assets.errors import ServingError
from mlops_assets.kserve.manifest import build_inference_service, manifest_digest
from mlops_assets.modeling.manifest import read_manifest
from mlops_assets.modeling.mlflow_registry import RegisteredVersion
from mlops_assets.modeling.tracking import Tracking
from mlops_assets.serving.backend import ServingBackend
from mlops_assets.spec import ModelSpec


class LiveService(BaseModel):
    """A version that was live and answered when this was written."""

    model_config = ConfigDict(frozen=True)

    service: str
    version: int
    url: str
    manifest_digest: str
    example: list[dict[str, JsonValue]]


def build_inference_service_asset(spec: ModelSpec) -> dg.AssetsDefinition:
    """The inference_service asset."""

    @dg.asset(
        **asset_attributes(spec, "inference_service", {"kubernetes"}, LiveService),
        description=f"InferenceService {spec.service}: the champion of {spec.name}, live.",
        ins={"model_version": dg.AssetIn(key=[spec.name, "model_version"])},
    )
    def inference_service(
        model_version: RegisteredVersion,
        tracking: dg.ResourceParam[Tracking],
        serving: dg.ResourceParam[ServingBackend],
    ) -> dg.MaterializeResult:
        manifest = build_inference_service(
            spec,
            version=model_version.version,
            storage_uri=model_version.uri,
            model_digest=model_version.model_digest,
            mlflow_run_id=model_version.mlflow_run_id,
        )
        with readable_failures():
            with tracking.package(model_version.uri) as directory:
                example = read_manifest(directory).example
            serving.apply(manifest)
            status = serving.wait_ready(
                spec.service, model_version.version, spec.serving.ready_timeout_seconds
            )
            answer = serving.predict(spec.service, example)
            if len(answer.get("predictions", ())) != len(example):
                raise ServingError(f"{spec.service}: the example got no answer: {answer}")
            tracking.promote(spec.registered_model, model_version.version)
        digest = manifest_digest(manifest)
        return dg.MaterializeResult(
            value=LiveService(
                service=spec.service,
                version=model_version.version,
                url=status.url,
                manifest_digest=digest,
                example=example,
            ),
            data_version=dg.DataVersion(digest[:16]),
            metadata={
                "service": spec.service,
                "version": model_version.version,
                "url": dg.MetadataValue.url(status.url),
                "traffic": dg.MetadataValue.json(dict(status.traffic)),
                "manifest": dg.MetadataValue.json(manifest),
                "example_answer": dg.MetadataValue.json(json.loads(json.dumps(answer))),
            },
        )

    return inference_service

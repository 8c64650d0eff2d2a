"""`ModelPipeline`: the Dagster Component that turns one YAML document into a model's whole life.

Here: reading the document's templates and gathering what the folders `assets` and `automation`
build. Not here: the schema (`spec`) and anything that an asset does.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel

from mlops_assets.assets.dataset import build_dataset
from mlops_assets.assets.evaluation import build_evaluation
from mlops_assets.assets.features import build_features
from mlops_assets.assets.registry import build_model_version
from mlops_assets.assets.serving import build_inference_service_asset
from mlops_assets.assets.training import build_trained_model
from mlops_assets.automation.schedules import build_job, build_schedule
from mlops_assets.resources.environment import default_resources
from mlops_assets.spec import ModelSpec


class ModelPipeline(dg.Component, dg.Model, dg.Resolvable):
    """One model: dataset, features, training, evaluation, registry version and service.

    The document's fields are those of `ModelSpec`; docs/yaml-reference.md lists them. Strings may
    hold templates such as `{{ env.DATA_URL }}`.
    """

    spec: ModelSpec

    @classmethod
    def model(cls) -> type[BaseModel]:
        """The schema that Dagster checks the document against."""
        return ModelSpec

    @classmethod
    def resolve_from_model(cls, context: dg.ResolutionContext, model: BaseModel) -> "ModelPipeline":
        """The component of a checked document, its templates filled in."""
        document = _render(context, model.model_dump(exclude_unset=True))
        return cls(spec=ModelSpec.model_validate(document))

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """What `dg list components` tells about this type."""
        return dg.ComponentTypeSpec(
            description="One model's whole life, from a source of rows to a served version.",
            tags=["ml"],
        )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Assets, checks, job and schedule of the model. Reads no data, imports no model."""
        spec = self.spec
        schedule = build_schedule(spec)
        return dg.Definitions(
            assets=[
                build_dataset(spec, _folder(context)),
                build_features(spec),
                build_trained_model(spec),
                build_evaluation(spec),
                build_model_version(spec),
                build_inference_service_asset(spec),
            ],
            jobs=[build_job(spec)],
            schedules=[schedule] if schedule is not None else [],
            resources=default_resources(),
        )


def _folder(context: dg.ComponentLoadContext) -> Path:
    """The folder of the document: relative paths of sources start there."""
    return context.path if context.path.is_dir() else context.path.parent


def _render(context: dg.ResolutionContext, value: Any) -> Any:
    """Fills in templates. A string stays a string: Dagster's own rendering makes 2 of "2"."""
    if isinstance(value, str):
        return str(context.resolve_value(value)) if "{{" in value or "{%" in value else value
    if isinstance(value, Mapping):
        return {key: _render(context, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_render(context, item) for item in value]
    return value

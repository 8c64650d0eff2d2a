"""`ModelPipeline`: the Dagster Component that turns one YAML document into a model's whole life.

Here: reading the document's templates and gathering what the folders `assets` and `automation`
build. Not here: the schema (`spec`) and anything that an asset does.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import jinja2
from pydantic import BaseModel

from mlops_assets.assets.dataset import build_dataset
from mlops_assets.assets.evaluation import build_evaluation
from mlops_assets.assets.features import build_features
from mlops_assets.assets.monitoring import build_latest_verdict, build_reports
from mlops_assets.assets.prediction_log import build_prediction_log
from mlops_assets.assets.registry import build_model_version
from mlops_assets.assets.serving import build_inference_service_asset
from mlops_assets.assets.training import build_trained_model
from mlops_assets.automation.retraining import retraining_sensor
from mlops_assets.automation.rollouts import rollout_sensor
from mlops_assets.automation.schedules import build_job, build_refresh, build_schedule
from mlops_assets.resources.environment import default_resources, job_executor
from mlops_assets.spec import ModelSpec


class ModelPipeline(dg.Component, dg.Model, dg.Resolvable):
    """One model: dataset, features, training, evaluation, registry version, service
    and its prediction log.

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
        """The model's definitions, with the resources of this environment."""
        return dg.Definitions.merge(
            build_pipeline(
                self.spec, _folder(context), job_executor(self.spec.kubernetes, os.environ)
            ),
            dg.Definitions(resources=default_resources()),
        )


def build_pipeline(
    spec: ModelSpec, folder: Path, executor: dg.ExecutorDefinition | None = None
) -> dg.Definitions:
    """Assets, checks, job and schedule of a model. Reads no data, imports no model.

    Args:
        spec: The model.
        folder: Where relative paths of its source start.
        executor: What runs the steps of its job; None takes that of the code location.
    """
    schedules = [build_schedule(spec), build_refresh(spec)]
    sensors = [retraining_sensor(), *([rollout_sensor()] if spec.rollout is not None else [])]
    return dg.Definitions(
        assets=[
            build_dataset(spec, folder),
            build_features(spec),
            build_trained_model(spec),
            build_evaluation(spec),
            build_model_version(spec),
            build_inference_service_asset(spec),
            build_prediction_log(spec),
            build_reports(spec),
            build_latest_verdict(spec),
        ],
        jobs=[build_job(spec, executor)],
        schedules=[schedule for schedule in schedules if schedule is not None],
        sensors=sensors,
    )


def _folder(context: dg.ComponentLoadContext) -> Path:
    """The folder of the document: relative paths of sources start there."""
    return context.path if context.path.is_dir() else context.path.parent


def _render(context: dg.ResolutionContext, value: Any) -> Any:
    """Fills in templates. What comes of one is a string: Dagster's own rendering makes 2 of "2"."""
    if isinstance(value, str):
        if "{{" not in value and "{%" not in value:
            return value
        return _TEMPLATES.from_string(value).render(context.scope)
    if isinstance(value, Mapping):
        return {key: _render(context, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_render(context, item) for item in value]
    return value


def _require_value(value: Any) -> Any:
    if value is None:
        raise ValueError("a template has no value: is its environment variable set?")
    return value


_TEMPLATES = jinja2.Environment(
    undefined=jinja2.StrictUndefined, finalize=_require_value, autoescape=False
)

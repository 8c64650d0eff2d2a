"""One YAML document declares a model; Dagster keeps its whole life as assets."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlops_assets.component import ModelPipeline

__all__ = ["ModelPipeline"]


def __getattr__(name: str) -> Any:
    """Imports `ModelPipeline` when it is asked for: a predictor never loads Dagster."""
    if name == "ModelPipeline":
        from mlops_assets.component import ModelPipeline

        return ModelPipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), "ModelPipeline"]

"""Model documents for the tests of the data layer: what does not matter here is filled in."""

from typing import Any

from mlops_assets.spec import ModelSpec


def model(contract: dict[str, Any] | None = None, **parts: Any) -> ModelSpec:
    """A document `visits` with a contract and whatever else is given."""
    return ModelSpec.model_validate(
        {
            "name": "visits",
            "description": "Will a visitor come back?",
            "owners": ["team:data"],
            "source": {"path": "visits.csv"},
            "features": {"numeric": ["a"]},
            "target": {"column": "y", "task": "binary"},
            "model": {"estimator": "sklearn.linear_model.LogisticRegression"},
            "contract": contract or {},
            **parts,
        }
    )

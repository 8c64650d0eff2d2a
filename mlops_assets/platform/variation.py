"""A variation of a model: the same document with one parameter of the estimator a little apart."""

import inspect

from mlops_assets.errors import PlatformError
from mlops_assets.modeling.importing import import_object
from mlops_assets.spec import ModelSpec

# Parameters of scikit-learn's estimators that change a model and not what it is good for, in the
# order in which they are tried.
_FACTORS = {"learning_rate": 0.02, "C": 0.05, "alpha": 0.05}


def vary(spec: ModelSpec, seed: int) -> ModelSpec:
    """The document with one parameter changed by some percent; each seed gives another model.

    Raises:
        PlatformError: the estimator has no parameter that we know how to vary.
    """
    estimator = import_object(spec.model.estimator)
    taken = inspect.signature(estimator).parameters
    share = 1 + (seed % 997 + 1) / 997
    for name, factor in _FACTORS.items():
        if name in taken:
            value = spec.model.parameters.get(name, taken[name].default)
            if isinstance(value, float | int) and value:
                changed = {**spec.model.parameters, name: float(value) * (1 + factor * share)}
                model = spec.model.model_copy(update={"parameters": changed})
                return spec.model_copy(update={"model": model})
    raise PlatformError(
        f"{spec.model.estimator} has no number other than 0 as {', '.join(_FACTORS)}; demonstrate "
        "another model"
    )

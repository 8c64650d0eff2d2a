"""The estimator that a document names: whether it can be used, and the configured instance.

Nothing is fitted here, so `mlops-assets check` asks the same questions as training does.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from mlops_assets.errors import TrainingError
from mlops_assets.modeling.importing import NotImportableError, import_object
from mlops_assets.spec import ModelSpec

_EXAMPLES = {
    "classifier": "sklearn.ensemble.HistGradientBoostingClassifier",
    "regressor": "sklearn.ensemble.HistGradientBoostingRegressor",
}


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field of a document that the model cannot be built with.

    Attributes:
        field: Path of the field: `model.parameters.max_iter`.
        found: What stands there.
        allowed: What may stand there.
    """

    field: str
    found: object
    allowed: str

    def __str__(self) -> str:
        return f"{self.field}: found {self.found!r}, allowed: {self.allowed}"


def make_estimator(spec: ModelSpec) -> Any:
    """The declared estimator, not fitted, with every `random_state` that is open set to the seed.

    Raises:
        TrainingError: it does not exist, does not fit the task, or refuses its parameters.
    """
    if problems := check_estimator(spec):
        raise TrainingError("\n".join(map(str, problems)))
    estimator = import_object(spec.model.estimator)(**spec.model.parameters)
    is_open = {
        name: spec.model.seed
        for name, value in estimator.get_params(deep=True).items()
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    }
    return estimator.set_params(**is_open)


def check_estimator(spec: ModelSpec) -> list[FieldProblem]:
    """All that is wrong with `model`, found by importing and constructing the estimator."""
    field, path = "model.estimator", spec.model.estimator
    try:
        made = import_object(path)
    except NotImportableError as error:
        return [FieldProblem(field, path, f"the import path of a class, but {error}")]
    if not isinstance(made, type) or not all(
        hasattr(made, method) for method in ("fit", "predict", "get_params")
    ):
        return [FieldProblem(field, path, "a class with fit, predict and get_params")]
    if problems := _unknown_parameters(made, spec.model.parameters):
        return problems
    try:
        estimator = made(**spec.model.parameters)
        _validate_parameters(estimator)
    except Exception as error:  # a constructor of anybody's class may raise anything
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        return [FieldProblem("model.parameters", dict(spec.model.parameters), first_line)]
    return _task_problems(estimator, spec)


def _unknown_parameters(made: type, given: Mapping[str, object]) -> list[FieldProblem]:
    signature = inspect.signature(made).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.values()):
        return []
    problems = []
    for name in given:
        if name not in signature:
            near = get_close_matches(name, signature, n=1)
            hint = f"is it {near[0]}? " if near else ""
            allowed = f"{hint}{made.__name__} takes {', '.join(signature)}"
            problems.append(FieldProblem(f"model.parameters.{name}", given[name], allowed))
    return problems


def _validate_parameters(estimator: Any) -> None:
    """Let scikit-learn check the values now, as `fit` would later, where it knows how to.

    Estimators of others inherit the check, and have nothing to check against.
    """
    if hasattr(estimator, "_parameter_constraints"):
        estimator._validate_params()


def _task_problems(estimator: Any, spec: ModelSpec) -> list[FieldProblem]:
    from sklearn.base import is_classifier, is_regressor

    field, path, task = "model.estimator", spec.model.estimator, spec.target.task
    kind = "regressor" if task == "regression" else "classifier"
    if not (is_regressor if kind == "regressor" else is_classifier)(estimator):
        allowed = f"a {kind} for task {task}, such as {_EXAMPLES[kind]}"
        return [FieldProblem(field, path, allowed)]
    if kind == "classifier" and not hasattr(estimator, "predict_proba"):
        allowed = (
            f"a classifier that gives probabilities (predict_proba), such as {_EXAMPLES[kind]}"
        )
        return [FieldProblem(field, path, allowed)]
    if spec.model.preprocessing.numeric_imputation == "none" and not _takes_missing(estimator):
        return [
            FieldProblem(
                "model.preprocessing.numeric_imputation",
                "none",
                f"median, mean or zero, since {path} takes no missing values",
            )
        ]
    return []


def _takes_missing(estimator: Any) -> bool:
    from sklearn.utils import get_tags

    return bool(get_tags(estimator).input_tags.allow_nan)


def takes_sparse(estimator: Any) -> bool:
    """Whether an estimator takes sparse matrices."""
    from sklearn.utils import get_tags

    return bool(get_tags(estimator).input_tags.sparse)

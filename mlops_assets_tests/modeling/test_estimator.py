from typing import Any

import pytest

from mlops_assets.errors import TrainingError
from mlops_assets.modeling.estimator import check_estimator, make_estimator, takes_sparse
from mlops_assets.spec import ModelSpec
from mlops_assets_tests.modeling.toy import document

FOREST = "sklearn.ensemble.RandomForestClassifier"


def with_model(estimator: str, task: str = "binary", **model: Any) -> ModelSpec:
    target = {"column": "effect" if task == "binary" else "score", "task": task}
    return document(model={"estimator": estimator, **model}, target=target)


@pytest.mark.parametrize(
    ("spec", "field", "told"),
    [
        pytest.param(
            with_model("sklearn.ensemble.NoForest"),
            "model.estimator",
            "module sklearn.ensemble has no NoForest",
            id="does_not_exist",
        ),
        pytest.param(
            with_model("math.sqrt"),
            "model.estimator",
            "a class with fit, predict and get_params",
            id="is_no_estimator",
        ),
        pytest.param(
            with_model(FOREST, task="regression"),
            "model.estimator",
            "a regressor for task regression, such as sklearn",
            id="classifier_for_numbers",
        ),
        pytest.param(
            with_model("sklearn.linear_model.Ridge"),
            "model.estimator",
            "a classifier for task binary",
            id="regressor_for_classes",
        ),
        pytest.param(
            with_model("sklearn.svm.LinearSVC"),
            "model.estimator",
            "gives probabilities",
            id="no_probabilities",
        ),
        pytest.param(
            with_model(FOREST, parameters={"n_estimator": 5}),
            "model.parameters.n_estimator",
            "is it n_estimators?",
            id="unknown_parameter",
        ),
        pytest.param(
            with_model(FOREST, parameters={"n_estimators": "many"}),
            "model.parameters",
            "'n_estimators' parameter of RandomForestClassifier must be an int",
            id="bad_value",
        ),
        pytest.param(
            with_model("sklearn.ensemble.VotingClassifier"),
            "model.parameters",
            "missing 1 required positional argument: 'estimators'",
            id="missing_parameter",
        ),
        pytest.param(
            with_model(
                "sklearn.linear_model.LogisticRegression",
                preprocessing={"numeric_imputation": "none"},
            ),
            "model.preprocessing.numeric_imputation",
            "median, mean or zero",
            id="takes_no_missing_values",
        ),
    ],
)
def test_what_cannot_be_fitted_is_named_with_what_is_allowed(
    spec: ModelSpec, field: str, told: str
) -> None:
    problems = check_estimator(spec)
    assert [problem.field for problem in problems] == [field]
    assert told in problems[0].allowed
    with pytest.raises(TrainingError, match=field):
        make_estimator(spec)


def test_every_open_random_state_is_seeded() -> None:
    spec = with_model("sklearn.ensemble.BaggingClassifier", seed=7)
    assert make_estimator(spec).random_state == 7


def test_a_declared_random_state_stays() -> None:
    assert make_estimator(with_model(FOREST, parameters={"random_state": 3})).random_state == 3


def test_estimators_tell_whether_they_take_sparse_matrices() -> None:
    sparse = [
        takes_sparse(make_estimator(with_model(path)))
        for path in (FOREST, "sklearn.ensemble.HistGradientBoostingClassifier")
    ]
    assert sparse == [True, False]

import numpy as np
import pytest

from mlops_assets.errors import TrainingError
from mlops_assets.modeling import training
from mlops_assets.modeling.features import VALIDATES, BuiltFrame, build_frame
from mlops_assets.modeling.training import train
from mlops_assets_tests.modeling.conftest import PackagedModel
from mlops_assets_tests.modeling.toy import document, rows


def build() -> BuiltFrame:
    return build_frame(rows().lazy(), document())


def test_only_training_rows_are_fitted() -> None:
    built = build()
    spoiled = built.frame.with_columns(hours=built.frame["hours"].set(built.frame[VALIDATES], 1e6))
    fitted = [train(document(), BuiltFrame(f, built.facts)) for f in (built.frame, spoiled)]
    coefficients = [model.pipeline["estimator"].coef_ for model in fitted]
    np.testing.assert_array_equal(*coefficients)


def test_classes_and_positive_value_are_kept(
    boosted: PackagedModel, multiclass: PackagedModel, regression: PackagedModel
) -> None:
    found = [(m.fitted.classes, m.fitted.positive) for m in (boosted, multiclass, regression)]
    assert found == [([0, 1], "Improve"), (["Improve", "No effect", "Worsen"], None), (None, None)]


def test_parameters_are_text(boosted: PackagedModel) -> None:
    parameters = boosted.fitted.parameters
    assert parameters["estimator__max_iter"] == "20"
    assert parameters["preprocessing__encoding"] == "ordinal"
    assert parameters["seed"] == "0"


def test_warnings_while_fitting_are_told_once() -> None:
    model = {
        "estimator": "sklearn.linear_model.LogisticRegression",
        "parameters": {"max_iter": 1},
        "preprocessing": {"scale": True},
    }
    told = train(document(model=model), build()).warnings
    assert len(told) == 1
    assert told[0].startswith("ConvergenceWarning: lbfgs failed to converge")


def test_an_estimator_that_fails_is_named_with_its_data() -> None:
    model = {"estimator": "sklearn.naive_bayes.MultinomialNB", "preprocessing": {"scale": True}}
    spec = document(model=model)
    n_training = build().facts.n_training
    told = rf"MultinomialNB failed on {n_training} rows of 4 features: ValueError: Negative"
    with pytest.raises(TrainingError, match=told):
        train(spec, build())


def test_one_hot_columns_that_would_fill_the_memory_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training, "_MOST_DENSE_BYTES", 1_000)
    dense = document(model={"estimator": "sklearn.ensemble.HistGradientBoostingClassifier"})
    with pytest.raises(TrainingError, match="takes no sparse matrix; allowed: ordinal"):
        train(dense, build())
    train(document(), build())  # a logistic regression takes a sparse one

import pytest

from mlops_assets.modeling.trust import refused_types


@pytest.mark.parametrize(
    "name",
    [
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.tree._tree.Tree",
        "numpy.asarray",
        "numpy.dtype",
    ],
)
def test_fitted_state_of_scikit_learn_and_numpy_is_allowed(name: str) -> None:
    assert refused_types([name]) == []


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "builtins.eval",
        "numpy.load",
        "numpy.asarray_chkfinite",
        "sklearn.datasets._openml.fetch_openml",
        "sklearn.treacherous",
        "mlops_assets_tests.modeling.own_estimator.OwnClassifier",
    ],
)
def test_everything_else_is_refused(name: str) -> None:
    assert refused_types([name]) == [name]


def test_a_documents_own_types_are_allowed() -> None:
    assert refused_types(["team.Model", "team.Models"], ["team.Model"]) == ["team.Models"]

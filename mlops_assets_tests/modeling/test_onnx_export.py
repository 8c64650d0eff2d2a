from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops_assets.modeling.agreement import check_agreement, open_session, spoil, tensors
from mlops_assets.modeling.features import BuiltFrame, build_frame
from mlops_assets.modeling.onnx_export import NotConvertibleError, export_onnx
from mlops_assets.modeling.onnx_forest import round_down
from mlops_assets.modeling.onnx_preparation import onnx_inputs
from mlops_assets.modeling.pipeline import select_features
from mlops_assets.modeling.training import FittedModel, train
from mlops_assets.spec import ModelSpec
from mlops_assets_tests.modeling.toy import document, rows

ENSEMBLE, LINEAR, TREE = "sklearn.ensemble.", "sklearn.linear_model.", "sklearn.tree."
ORDINAL = {"encoding": "ordinal"}
RAW = {"encoding": "ordinal", "numeric_imputation": "none"}
ONE_HOT = {"scale": True}
RARE = {"scale": True, "rare_category_ratio": 0.2, "numeric_imputation": "mean"}
SMALL = {"n_estimators": 10}


def fit(
    estimator: str, task: str, preprocessing: dict[str, Any], **parameters: Any
) -> tuple[ModelSpec, BuiltFrame, FittedModel]:
    column = "score" if task == "regression" else "effect"
    positive = {"positive": "Improve"} if task == "binary" else {}
    spec = document(
        model={
            "estimator": estimator,
            "parameters": parameters,
            "preprocessing": preprocessing,
        },
        target={"column": column, "task": task, **positive},
    )
    built = build_frame(rows().lazy(), spec)
    return spec, built, train(spec, built)


@pytest.mark.parametrize(
    ("estimator", "task", "preprocessing", "parameters"),
    [
        (ENSEMBLE + "HistGradientBoostingClassifier", "binary", RAW, {"max_iter": 20}),
        (ENSEMBLE + "HistGradientBoostingClassifier", "multiclass", ONE_HOT, {"max_iter": 5}),
        (ENSEMBLE + "HistGradientBoostingRegressor", "regression", RAW, {"max_iter": 20}),
        (ENSEMBLE + "RandomForestClassifier", "binary", RARE, SMALL),
        (ENSEMBLE + "RandomForestClassifier", "multiclass", RAW, SMALL),
        (ENSEMBLE + "RandomForestRegressor", "regression", RAW, SMALL),
        (ENSEMBLE + "ExtraTreesClassifier", "binary", ORDINAL, SMALL),
        (ENSEMBLE + "GradientBoostingClassifier", "binary", ORDINAL, SMALL),
        (ENSEMBLE + "GradientBoostingRegressor", "regression", ONE_HOT, SMALL),
        (TREE + "DecisionTreeClassifier", "binary", RAW, {}),
        (TREE + "DecisionTreeRegressor", "regression", RAW, {}),
        (LINEAR + "LogisticRegression", "binary", ONE_HOT, {}),
        (LINEAR + "LogisticRegression", "multiclass", RARE, {}),
        (LINEAR + "LinearRegression", "regression", ONE_HOT, {}),
        (LINEAR + "Ridge", "regression", RARE, {}),
        ("sklearn.naive_bayes.GaussianNB", "binary", ONE_HOT, {}),
    ],
)  # fmt: skip
def test_usual_estimators_answer_the_same_through_onnx(
    estimator: str, task: Any, preprocessing: dict[str, Any], parameters: dict[str, Any]
) -> None:
    _, built, fitted = fit(estimator, task, preprocessing, **parameters)
    graph = export_onnx(fitted.pipeline, fitted.features)
    found = check_agreement(fitted.pipeline, graph, built.frame, fitted.features, task)
    assert found.usable, found.reason
    assert found.n_rows == 1_200
    assert found.label_mismatches == 0


def test_neighbouring_32_bit_numbers_fall_on_their_side_of_a_threshold() -> None:
    """The middle of two neighbours rounds to one of them; to the upper one before this was kept."""
    steps = np.full(9, np.float32(np.inf))
    numbers = np.cumsum([0, *np.nextafter(np.float32(1), steps, dtype=np.float32) - 1]) + 1
    hours = np.tile(numbers.astype(np.float32).astype(float), 60)
    upper = np.repeat(False, hours.size) | (np.searchsorted(numbers, hours) % 2 == 1)
    dataset = rows().with_columns(
        hours=pl.Series(hours), effect=pl.Series(np.where(upper, "Improve", "Worsen"))
    )
    spec = document(
        features={"numeric": ["hours"]},
        evaluation={},
        model={
            "estimator": ENSEMBLE + "HistGradientBoostingClassifier",
            "parameters": {"max_iter": 20, "min_samples_leaf": 5},
        },
    )
    built = build_frame(dataset.lazy(), spec)
    fitted = train(spec, built)
    answers = open_session(export_onnx(fitted.pipeline, fitted.features)).run(
        None, tensors(built.frame, onnx_inputs(fitted.features))
    )[0]
    assert (answers.argmax(axis=1) == built.frame["__target"].to_numpy()).all()


def test_thresholds_are_rounded_down() -> None:
    exact = np.array([1 + 2**-24, 1 + 3 * 2**-25, 0.1, -0.1, 2.0, 0.0])
    rounded = round_down(exact)
    assert (rounded <= exact).all()
    assert (np.nextafter(rounded, np.float32(np.inf)) > exact).all()


def test_an_estimator_without_a_converter_is_named() -> None:
    _, _, fitted = fit("sklearn.neighbors.NearestCentroid", "binary", ONE_HOT)
    with pytest.raises(NotConvertibleError, match="does not convert NearestCentroid"):
        export_onnx(fitted.pipeline, fitted.features)


def test_the_graph_takes_two_wide_inputs_and_gives_one_answer() -> None:
    _, built, fitted = fit(LINEAR + "LogisticRegression", "binary", ONE_HOT)
    session = open_session(export_onnx(fitted.pipeline, fitted.features))
    assert [entry.name for entry in session.get_inputs()] == ["numbers", "categories"]
    assert [entry.name for entry in session.get_outputs()] == ["probabilities"]
    one_row = tensors(built.frame.head(1), onnx_inputs(fitted.features))
    assert session.run(None, one_row)[0].shape == (1, 2)


@pytest.mark.parametrize(
    ("features", "names"),
    [
        pytest.param({"numeric": ["hours", "age"]}, ["numbers"], id="numbers_only"),
        pytest.param({"boolean": ["alone"]}, ["numbers"], id="booleans_only"),
        pytest.param({"categorical": ["genre"]}, ["categories"], id="one_category"),
        pytest.param({"categorical": ["genre", "listener"]}, ["categories"], id="two_categories"),
    ],
)
@pytest.mark.parametrize("preprocessing", [ONE_HOT, ORDINAL], ids=["one_hot", "ordinal"])
def test_every_mix_of_features_has_a_graph(
    features: dict[str, Any], names: list[str], preprocessing: dict[str, Any]
) -> None:
    spec = document(
        features=features,
        evaluation={},
        model={"estimator": LINEAR + "LogisticRegression", "preprocessing": preprocessing},
    )
    built = build_frame(rows(200).lazy(), spec)
    fitted = train(spec, built)
    graph = export_onnx(fitted.pipeline, fitted.features)
    assert [entry.name for entry in onnx_inputs(fitted.features)] == names
    assert check_agreement(fitted.pipeline, graph, built.frame, fitted.features, "binary").usable


def test_rows_are_spoiled_with_missing_and_unknown_values() -> None:
    _, built, fitted = fit(LINEAR + "LogisticRegression", "binary", ONE_HOT)
    inputs = select_features(built.frame, fitted.features)
    spoiled = spoil(inputs, fitted.features, np.random.default_rng(0))
    assert spoiled.schema == inputs.schema
    assert spoiled["genre"].str.contains("never seen").sum() > 20
    for name in spoiled.columns:
        assert spoiled[name].null_count() > inputs[name].null_count()

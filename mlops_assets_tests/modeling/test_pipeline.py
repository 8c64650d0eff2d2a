from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops_assets.modeling.features import build_frame
from mlops_assets.modeling.pipeline import PREPARE, select_features
from mlops_assets.modeling.training import FittedModel, train
from mlops_assets_tests.modeling.conftest import PackagedModel
from mlops_assets_tests.modeling.toy import document, input_frame, rows


def fit(**preprocessing: Any) -> FittedModel:
    model = {
        "estimator": "sklearn.ensemble.RandomForestClassifier",
        "parameters": {"n_estimators": 3},
        "preprocessing": preprocessing,
    }
    spec = document(model=model)
    return train(spec, build_frame(rows().lazy(), spec))


def prepare(fitted: FittedModel, row: dict[str, object]) -> list[float]:
    prepared = fitted.pipeline[PREPARE].transform(input_frame([row], fitted.features))
    dense = prepared.toarray() if hasattr(prepared, "toarray") else prepared
    return [float(number) for number in dense[0]]


def test_pandas_and_polars_frames_get_the_same_answers(boosted: PackagedModel) -> None:
    frame = select_features(boosted.built.frame, boosted.fitted.features)
    expected = boosted.fitted.pipeline.predict_proba(frame)
    with_none = frame.to_pandas().astype({"genre": object, "alone": object})
    with_nan = with_none.where(with_none.notna(), np.nan)
    with_none = with_none.where(with_none.notna(), None)
    for given in (with_none, with_nan, with_nan[with_nan.columns[::-1]]):
        np.testing.assert_array_equal(boosted.fitted.pipeline.predict_proba(given), expected)


def test_everything_may_be_missing_or_unknown(boosted: PackagedModel) -> None:
    asked = input_frame([{}, {"genre": "never heard"}], boosted.fitted.features)
    assert asked.schema == {
        "hours": pl.Float64, "age": pl.Float64, "genre": pl.String, "alone": pl.Boolean,
    }  # fmt: skip
    assert np.isfinite(boosted.fitted.pipeline.predict_proba(asked)).all()


@pytest.mark.parametrize(
    ("imputation", "hours", "alone"),
    [
        ("median", rows()["hours"].cast(pl.Float32).median(), 1.0),
        ("zero", 0.0, 0.0),
        ("none", None, None),
    ],
)
def test_missing_numbers_get_their_stand_in(
    imputation: str, hours: float | None, alone: float | None
) -> None:
    fitted = fit(encoding="ordinal", numeric_imputation=imputation)
    found = prepare(fitted, {"genre": "rock"})
    if hours is None:
        assert np.isnan(found[:3]).all()
    else:
        assert found[0] == pytest.approx(hours, rel=0.05)  # the median of the training rows
        assert found[2] == alone


def test_numbers_are_seen_in_32_bits() -> None:
    row: dict[str, object] = {"hours": 0.1, "age": 16_777_217.0, "genre": "rock", "alone": True}
    found = prepare(fit(encoding="ordinal"), row)
    assert found[:3] == [float(np.float32(0.1)), 16_777_216.0, 1.0]


def test_scaled_numbers_have_mean_0_and_deviation_1() -> None:
    fitted = fit(encoding="ordinal", scale=True)
    frame = build_frame(rows().lazy(), document()).frame
    training = select_features(frame.filter(~frame["__validates"]), fitted.features)
    prepared = fitted.pipeline[PREPARE].transform(training)[:, :2]
    np.testing.assert_allclose(prepared.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(prepared.std(axis=0), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("genre", "encoded"),
    [
        pytest.param(None, [1, 0, 0, 0, 0], id="missing_is_a_category"),
        pytest.param("folk", [0, 1, 0, 0, 0], id="known"),
        pytest.param("never heard", [0, 0, 0, 0, 0], id="unknown_is_none"),
    ],
)
def test_categories_are_one_hot(genre: str | None, encoded: list[int]) -> None:
    assert prepare(fit(), {"genre": genre})[3:] == encoded


@pytest.mark.parametrize(
    ("genre", "encoded"),
    [("rock", [0, 1, 0]), ("folk", [0, 0, 1]), ("never heard", [0, 0, 1])],
)
def test_rare_and_unknown_categories_share_a_column(genre: str, encoded: list[int]) -> None:
    assert prepare(fit(rare_category_ratio=0.2), {"genre": genre})[3:] == encoded


@pytest.mark.parametrize(("genre", "code"), [(None, 0), ("folk", 1), ("never heard", -1)])
def test_categories_are_ordinal(genre: str | None, code: int) -> None:
    assert prepare(fit(encoding="ordinal"), {"genre": genre})[3] == code

"""What scikit-learn says, and what is no answer."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops_assets.serving.predictor.sklearn_scorer import SklearnScorer
from mlops_assets.serving.protocol.batch import Batch
from mlops_assets.serving.protocol.refusal import RequestError
from mlops_assets_tests.serving.packages import MIXED_MANIFEST


class Logarithms:
    """A pipeline of the user's own, with a number only for hours above 0."""

    def predict(self, frame: pl.DataFrame) -> Any:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log(frame["hours"].to_numpy())

    def predict_proba(self, frame: pl.DataFrame) -> Any:
        return np.column_stack([self.predict(frame)] * 3)


@pytest.mark.parametrize("classes", [MIXED_MANIFEST.classes, None], ids=["classes", "regression"])
@pytest.mark.parametrize(
    ("hours", "status", "words"),
    [
        pytest.param(-1.0, 500, "the model's answer is no number", id="model_is_broken"),
        pytest.param(0.0, 500, "the model's answer is no number", id="infinite"),
        pytest.param(np.nan, 400, "expected no missing value", id="a_value_is_missing"),
    ],
)
def test_no_number_is_the_models_fault_unless_a_value_is_missing(
    classes: list[str | int | bool] | None, hours: float, status: int, words: str
) -> None:
    manifest = MIXED_MANIFEST.model_copy(update={"classes": classes})
    scorer = SklearnScorer(Logarithms(), manifest)
    genre = np.array(["rock", "rock"], dtype=object)
    batch = Batch(2, (np.array([1.0, hours]), genre, np.array([1.0, 0.0])))
    with pytest.raises(RequestError, match=f"row 1: {words}") as refused:
        scorer.score(batch)
    assert refused.value.status == status

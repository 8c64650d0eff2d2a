import io
import sys

import numpy as np
import pytest

from mlops_assets.modeling.features import VALIDATES, BuiltFrame
from mlops_assets.modeling.importance import estimate_importance
from mlops_assets.modeling.plots import draw_plots
from mlops_assets_tests.modeling.conftest import PackagedModel

OF_CLASSES = {
    "roc.png", "precision_recall.png", "calibration.png", "confusion.png", "importance.png",
}  # fmt: skip
OF_NUMBERS = {"residuals.png", "calibration.png", "importance.png"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("boosted", OF_CLASSES), ("multiclass", OF_CLASSES), ("regression", OF_NUMBERS)],
)
def test_every_task_has_its_pictures(
    name: str, expected: set[str], request: pytest.FixtureRequest
) -> None:
    from matplotlib.image import imread

    model: PackagedModel = request.getfixturevalue(name)
    pictures = draw_plots(model.spec, model.built, model.as_contestant())
    assert set(pictures) == expected
    for png in pictures.values():
        pixels = imread(io.BytesIO(png), format="png")
        assert pixels.shape[:2] == (528, 704)
        assert np.ptp(pixels) > 0.5  # something is drawn


def test_pyplot_is_left_alone(boosted: PackagedModel) -> None:
    before = "matplotlib.pyplot" in sys.modules  # other tests may have imported it
    draw_plots(boosted.spec, boosted.built, boosted.as_contestant())
    assert ("matplotlib.pyplot" in sys.modules) is before


def test_without_validation_rows_there_is_nothing_to_draw(boosted: PackagedModel) -> None:
    frame = boosted.built.frame.filter(~boosted.built.frame[VALIDATES])
    empty = BuiltFrame(frame, boosted.built.facts)
    assert draw_plots(boosted.spec, empty, boosted.as_contestant()) == {}


def test_features_that_matter_are_important(boosted: PackagedModel) -> None:
    found = estimate_importance(boosted.spec, boosted.built, boosted.as_contestant())
    by_name = {entry.name: entry.loss for entry in found}
    assert found[0].name == "hours"
    assert by_name["hours"] > 0.05
    assert abs(by_name["age"]) < 0.05  # nothing depends on it

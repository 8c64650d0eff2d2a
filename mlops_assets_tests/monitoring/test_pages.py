"""The page and the trends that people look at, and windows of what is not logged."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops_assets.monitoring.at_evaluation import SAMPLE_FILE, Judged, build_reference_files
from mlops_assets.monitoring.drift_reference import DriftReference
from mlops_assets.monitoring.evidently_page import MOST_ROWS, build_page, read_sample
from mlops_assets.monitoring.pictures import draw_drift, draw_performance
from mlops_assets.monitoring.watching import watch_window
from mlops_assets_tests.modeling.conftest import PackagedModel, package
from mlops_assets_tests.modeling.toy import LATER, tree_document
from mlops_assets_tests.monitoring.logged import FixedVersions, ServedToy, references_of

DAY, NEXT = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, 1, tzinfo=UTC)
KEY = "2026-03-02"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PackagedModel:
    log = {"leave_out": ["age"], "hash": ["genre"]}
    spec = tree_document(serving={"prediction_log": log}, monitoring={"slices": ["alone", "genre"]})
    return package(spec, tmp_path_factory.mktemp("toy") / "model", n_rows=900)


@pytest.fixture
def served(model: PackagedModel, tmp_path: Path) -> ServedToy:
    return ServedToy(model, tmp_path, FixedVersions({"1": references_of(model)}))


@pytest.mark.filterwarnings("ignore")  # of what Evidently imports
def test_the_page_shows_our_verdict_and_marks_columns_as_we_judged_them(
    model: PackagedModel, served: ServedToy
) -> None:
    served.predict(served.sessions(200, seed=2, hours=6.0), DAY)
    watched = watch_window(served.watch, model.spec, KEY, NEXT)
    files = build_reference_files(model.spec, Judged(model.built, model.as_contestant(), LATER))
    sample = read_sample(files[SAMPLE_FILE])
    assert 0 < sample.height <= MOST_ROWS
    fields = served.versions.references("1").fields
    page = build_page(watched.record, sample, watched.logged.features(fields)).decode()
    assert watched.record.verdict.verdict in page[: page.index("</strong>")]
    assert "share of rows that moved" in page
    assert "hours" in page
    recent = served.store.recent("toy").windows
    for picture in (draw_drift("toy", recent), draw_performance("toy", "roc_auc", recent)):
        assert picture.startswith(b"\x89PNG")


def test_features_that_the_log_leaves_out_break_no_window(
    model: PackagedModel, served: ServedToy
) -> None:
    hidden = {"feature__age": None, "feature__genre": None}
    served.predict(served.sessions(300, seed=2), DAY, changed=hidden)
    found = watch_window(served.watch, model.spec, KEY, NEXT).record
    assert found.verdict.verdict != "broken_data", found.verdict.reason
    assert found.drift is not None
    assert {column.column for column in found.drift.columns} == {"hours", "alone"}
    assert {part.column for part in found.drift.slices} == {"alone"}


def test_rows_of_few_logged_features_are_not_taken_for_one_and_the_same(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """All that is logged is one yes or no, so half of the rows are alike, as in training."""
    log = {"leave_out": ["hours", "age"], "hash": ["genre"]}
    spec = tree_document(serving={"prediction_log": log})
    model = package(spec, tmp_path_factory.mktemp("toy") / "model", n_rows=900)
    served = ServedToy(model, tmp_path, FixedVersions({"1": references_of(model)}))
    hidden = {f"feature__{name}": None for name in ("hours", "age", "genre")}
    served.predict(served.sessions(300, seed=2), DAY, changed=hidden)
    found = watch_window(served.watch, spec, KEY, NEXT).record
    assert found.quality is not None
    assert found.quality.state == "sound", found.quality.reason


def test_a_reference_of_some_features_is_stored_and_read_back(model: PackagedModel) -> None:
    drift = references_of(model).drift
    some = drift.only(["hours", "alone"])
    assert list(some.features.columns) == ["hours", "alone"]
    assert some.features.sample.codes.shape[1] == 2
    back = DriftReference.from_storage(some.to_storage())
    assert back.features.layout.digest == some.features.layout.digest
    assert drift.only([field.name for field in model.manifest.features]) is drift

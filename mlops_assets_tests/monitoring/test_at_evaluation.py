"""What an evaluation leaves for later windows, made of really packaged models."""

import math
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops_assets.modeling.importance import FeatureImportance
from mlops_assets.modeling.metrics import Floats
from mlops_assets.modeling.split import TIME
from mlops_assets.monitoring.answers import Subject
from mlops_assets.monitoring.at_evaluation import (
    DRIFT_FILE,
    PERFORMANCE_FILE,
    QUALITY_FILE,
    Judged,
    build_reference_files,
    refer_performance,
    refer_quality,
    subject_of,
)
from mlops_assets.monitoring.drift_reference import DriftReference
from mlops_assets.monitoring.performance_reference import PerformanceReference
from mlops_assets.monitoring.quality_counts import QualityProfile
from mlops_assets_tests.modeling.conftest import PackagedModel, package
from mlops_assets_tests.modeling.toy import LATER, START, document, tree_document

CONTRACT = {
    "columns": {
        "hours": {"type": "number", "minimum": 0},
        "genre": {"type": "string", "nullable": True, "categories": ["rock", "jazz", "pop"]},
        "age": {"type": "integer"},
    }
}
DOCUMENTS: dict[str, Any] = {
    "binary": tree_document(contract=CONTRACT),
    "multiclass": document(target={"column": "effect", "task": "multiclass"}),
    "regression": document(
        target={"column": "score", "task": "regression"},
        time_column="at",
        split={"method": "time", "validation_ratio": 0.3},
        model={"estimator": "sklearn.linear_model.Ridge"},
    ),
}


@pytest.fixture(scope="module", params=DOCUMENTS)
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> PackagedModel:
    folder: Path = tmp_path_factory.mktemp(request.param)
    return package(DOCUMENTS[request.param], folder / "model")


def at_evaluation(model: PackagedModel, decided_at: datetime = LATER) -> Judged:
    importances = [FeatureImportance("hours", 0.2, 0.0), FeatureImportance("age", -0.01, 0.0)]
    return Judged(model.built, model.as_contestant(), decided_at, None, importances)


def test_all_files_are_read_back(model: PackagedModel) -> None:
    files = build_reference_files(model.spec, at_evaluation(model))
    drift = DriftReference.from_storage(files[DRIFT_FILE].decode())
    assert drift.features.n_rows == model.built.facts.n_training
    assert drift.answers is not None
    assert drift.answers.n_rows == model.built.facts.n_validation
    assert drift.importance["hours"] == 0.2
    performance = PerformanceReference.from_storage(files[PERFORMANCE_FILE].decode())
    quality = QualityProfile.model_validate_json(files[QUALITY_FILE])
    assert performance.n_rows == model.built.facts.n_validation
    assert quality.n_rows == model.built.frame.height
    assert all(len(content) < 500_000 for content in files.values())


class Unanswering:
    """A fitted pipeline whose first answer is no number."""

    def __init__(self, pipeline: Any, number: float) -> None:
        self.pipeline, self.number = pipeline, number

    def predict(self, rows: pl.DataFrame) -> Floats:
        return self._spoilt(np.asarray(self.pipeline.predict(rows), dtype=np.float64))

    def predict_proba(self, rows: pl.DataFrame) -> Floats:
        return self._spoilt(self.pipeline.predict_proba(rows))

    def _spoilt(self, answers: Floats) -> Floats:
        answers[:1] = self.number
        return answers


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_of_a_model_that_answers_no_number_nothing_is_left(
    model: PackagedModel, number: float
) -> None:
    """The evaluation ended with a ValidationError, in place of the gates' refusal."""
    judged = at_evaluation(model)
    pipeline = Unanswering(judged.candidate.pipeline, number)
    broken = replace(judged, candidate=replace(judged.candidate, pipeline=pipeline))
    assert build_reference_files(model.spec, broken) == {}


def test_the_estimate_is_of_the_monitored_metric(model: PackagedModel) -> None:
    found = refer_performance(model.spec, at_evaluation(model))
    metric = model.spec.monitored_metric
    assert found.reason == ""
    before, now = found.realised[metric].value, found.estimated[metric].value
    assert before is not None
    assert now == pytest.approx(before, rel=0.15)
    assert {column.column for column in found.losses.columns} == {"hours", "age", "genre", "alone"}


def test_what_the_log_leaves_out_is_no_part_of_estimate_losses_and_quality(
    model: PackagedModel,
) -> None:
    log = model.spec.serving.prediction_log.model_copy(
        update={"leave_out": ["age"], "hash": ["genre"]}
    )
    serving = model.spec.serving.model_copy(update={"prediction_log": log})
    spec = model.spec.model_copy(update={"serving": serving})
    found = refer_performance(spec, at_evaluation(model))
    assert {column.column for column in found.losses.columns} == {"hours", "alone"}
    if found.loss_model is not None:
        assert [column.name for column in found.loss_model.columns] == ["hours", "alone"]
    quality = refer_quality(spec, model.built, model.manifest)
    assert (list(quality.lowest), list(quality.unseen_ratio)) == (["hours"], [])


def test_rows_dated_after_the_decision_are_left_out(model: PackagedModel) -> None:
    if TIME not in model.built.frame.columns:
        assert model.spec.time_column is None
        return
    found = refer_performance(model.spec, at_evaluation(model, START))
    assert (found.n_rows, bool(found.reason)) == (0, True)


def test_what_a_model_answers_is_told_by_its_manifest(model: PackagedModel) -> None:
    expected = {
        "binary": Subject("binary", (0, 1), "Improve"),
        "multiclass": Subject("multiclass", ("Improve", "No effect", "Worsen")),
        "regression": Subject("regression"),
    }
    assert subject_of(model.manifest) == expected[model.manifest.task]


def test_the_profile_knows_the_contract_and_the_ranges(model: PackagedModel) -> None:
    found = refer_quality(model.spec, model.built, model.manifest)
    frame = model.built.frame
    lowest, highest = frame["age"].min(), frame["age"].max()
    assert (found.lowest["age"], found.highest["age"]) == (lowest, highest)
    if model.spec.contract.columns:
        broken = frame.select(
            pl.col("age").is_null() | (pl.col("genre") == "folk").fill_null(False)
        ).to_series()
        assert found.violation_ratio == pytest.approx(broken.mean())
    else:
        assert found.violation_ratio == 0

"""What the evaluation of a candidate leaves for later windows: files with its MLflow run.

Here: `build_reference_files`, from the training frame and the candidate to the files' bytes.
Not here: their content (`performance_reference.py`, `quality_counts.py`, `drift_reference.py`).

The performance reference rests on the rows that validate the candidate and are dated before the
decision; the drift reference on the rows that it was trained on, and for its answers on the former;
the quality profile on all rows of the frame. Performance and quality rest on the features that the
log keeps, as windows do. Classes are in the order of the manifest, as the predictor answers and the
log keeps them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from mlops_assets.modeling.contestants import Contestant, answer, truth
from mlops_assets.modeling.features import TARGET, BuiltFrame
from mlops_assets.modeling.importance import FeatureImportance
from mlops_assets.modeling.manifest import FeatureField, ModelManifest
from mlops_assets.modeling.pipeline import select_features
from mlops_assets.modeling.split import TIME, judgeable
from mlops_assets.modeling.training_window import TrainingWindow, trained_rows
from mlops_assets.monitoring.answers import Subject, answers_of
from mlops_assets.monitoring.drift_reference import DriftReference, build_drift_reference
from mlops_assets.monitoring.evidently_page import write_sample
from mlops_assets.monitoring.performance_reference import (
    EvaluatedRows,
    PerformanceReference,
    build_performance_reference,
)
from mlops_assets.monitoring.quality_counts import QualityProfile, profile_quality
from mlops_assets.spec import ModelSpec

PERFORMANCE_FILE, QUALITY_FILE = "performance_reference.json", "quality_profile.json"
DRIFT_FILE = "drift_reference.json"
SAMPLE_FILE = "drift_sample.parquet"
"""Some of the rows that the version was trained on, for pages that people look at."""
_MOST_PROFILED = 100_000


@dataclass(frozen=True, slots=True)
class Judged:
    """A candidate at its evaluation.

    Attributes:
        built: The training frame.
        candidate: The model.
        decided_at: Only rows dated before this judge.
        trained_on: Which rows it was trained on; None: all on that side.
        importances: What shuffling each feature costs; empty: unknown.
    """

    built: BuiltFrame
    candidate: Contestant
    decided_at: datetime
    trained_on: TrainingWindow | None = None
    importances: Sequence[FeatureImportance] = ()


def build_reference_files(spec: ModelSpec, judged: Judged) -> Mapping[str, bytes]:
    """The files, by name. None of a candidate that answers no number: the gates refuse it."""
    if not _answers_numbers(judged):
        return {}
    performance = refer_performance(spec, judged)
    quality = refer_quality(spec, judged.built, judged.candidate.manifest)
    drift = refer_drift(spec, judged)
    return {
        PERFORMANCE_FILE: performance.to_storage().encode(),
        QUALITY_FILE: quality.model_dump_json().encode(),
        DRIFT_FILE: drift.to_storage().encode(),
        SAMPLE_FILE: write_sample(
            select_features(
                trained_rows(judged.built.frame, judged.trained_on),
                judged.candidate.manifest.features,
            )
        ),
    }


def subject_of(manifest: ModelManifest) -> Subject:
    """What a packaged model answers."""
    return Subject(manifest.task, tuple(manifest.classes or ()), manifest.positive)


def logged_fields(spec: ModelSpec, fields: Sequence[FeatureField]) -> list[FeatureField]:
    """The features that the log keeps under their own names, which windows are judged on."""
    log = spec.serving.prediction_log
    return [field for field in fields if field.name not in (*log.leave_out, *log.hash)]


def _judging_rows(judged: Judged) -> pl.DataFrame:
    """Rows that validate the candidate and are dated before the decision."""
    built, candidate = judged.built, judged.candidate
    mask = judgeable(candidate.split, None, built.frame, judged.decided_at).mask
    rows = built.frame.filter(mask)
    classes = candidate.manifest.classes
    return rows if classes is None else rows.filter(pl.col(TARGET).is_in(classes))


def _answers_numbers(judged: Judged) -> bool:
    answers = answer(judged.candidate, _judging_rows(judged), judged.candidate.manifest.classes)
    return bool(np.isfinite(answers).all())


def refer_performance(spec: ModelSpec, judged: Judged) -> PerformanceReference:
    """How the candidate does on rows that it was not trained on."""
    manifest, rows = judged.candidate.manifest, _judging_rows(judged)
    answers = answers_of(
        subject_of(manifest),
        answer(judged.candidate, rows, manifest.classes),
        truth(rows, manifest.classes),
    )
    evaluated = EvaluatedRows(
        answers=answers,
        features=select_features(rows, manifest.features),
        fields=logged_fields(spec, manifest.features),
        times=rows[TIME] if TIME in rows.columns else None,
    )
    return build_performance_reference(evaluated, seed=spec.model.seed)


def refer_drift(spec: ModelSpec, judged: Judged) -> DriftReference:
    """Counts of the rows that the candidate was trained on, and of its answers to others."""
    manifest, rows = judged.candidate.manifest, _judging_rows(judged)
    has_time = TIME in judged.built.frame.columns
    columns = [*(field.name for field in manifest.features), *([TIME] if has_time else [])]
    return build_drift_reference(
        trained_rows(judged.built.frame, judged.trained_on).select(columns),
        manifest.features,
        subject_of(manifest),
        (answer(judged.candidate, rows, manifest.classes), rows[TIME] if has_time else None),
        importance={found.name: found.loss for found in judged.importances},
        slices=spec.monitoring.slices,
        block="day" if spec.monitoring.window.every == "day" else "hour",
    )


def refer_quality(spec: ModelSpec, built: BuiltFrame, manifest: ModelManifest) -> QualityProfile:
    """What the features look like, on at most 100,000 rows from all over the frame."""
    features = select_features(built.frame, logged_fields(spec, manifest.features))
    if features.height > _MOST_PROFILED:
        at = np.linspace(0, features.height - 1, _MOST_PROFILED).astype(np.int64)
        features = features[at]
    return profile_quality(features, spec.contract.columns)

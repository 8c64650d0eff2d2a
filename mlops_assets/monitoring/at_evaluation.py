"""What the evaluation of a candidate leaves for later windows: two JSON files with its MLflow run.

Here: `build_reference_files`, from the training frame and the candidate to the files' bytes.
Not here: their content (`performance_reference.py`, `quality.py`).

The performance reference rests on the rows that validate the candidate and are dated before the
decision; the quality profile on all rows of the frame. Classes are in the order of the manifest, as
the predictor answers and the log keeps them.
"""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import polars as pl

from mlops_assets.modeling.contestants import Contestant, answer, truth
from mlops_assets.modeling.features import TARGET, BuiltFrame
from mlops_assets.modeling.manifest import ModelManifest
from mlops_assets.modeling.pipeline import select_features
from mlops_assets.modeling.split import TIME, judgeable
from mlops_assets.monitoring.answers import Subject, answers_of
from mlops_assets.monitoring.performance_reference import (
    EvaluatedRows,
    PerformanceReference,
    build_performance_reference,
)
from mlops_assets.monitoring.quality import QualityProfile, profile_quality
from mlops_assets.spec import ModelSpec

PERFORMANCE_FILE, QUALITY_FILE = "performance_reference.json", "quality_profile.json"
_MOST_PROFILED = 100_000


def build_reference_files(
    spec: ModelSpec, built: BuiltFrame, candidate: Contestant, decided_at: datetime
) -> Mapping[str, bytes]:
    """The files, by name."""
    performance = refer_performance(spec, built, candidate, decided_at)
    quality = refer_quality(spec, built, candidate.manifest)
    return {
        PERFORMANCE_FILE: performance.to_storage().encode(),
        QUALITY_FILE: quality.model_dump_json().encode(),
    }


def subject_of(manifest: ModelManifest) -> Subject:
    """What a packaged model answers."""
    return Subject(manifest.task, tuple(manifest.classes or ()), manifest.positive)


def refer_performance(
    spec: ModelSpec, built: BuiltFrame, candidate: Contestant, decided_at: datetime
) -> PerformanceReference:
    """How the candidate does on rows that it was not trained on."""
    manifest = candidate.manifest
    judged = judgeable(candidate.split, None, built.frame, decided_at)
    rows = built.frame.filter(judged.mask)
    if manifest.classes is not None:
        rows = rows.filter(pl.col(TARGET).is_in(manifest.classes))
    answers = answers_of(
        subject_of(manifest),
        answer(candidate, rows, manifest.classes),
        truth(rows, manifest.classes),
    )
    evaluated = EvaluatedRows(
        answers=answers,
        features=select_features(rows, manifest.features),
        fields=manifest.features,
        times=rows[TIME] if TIME in rows.columns else None,
    )
    return build_performance_reference(evaluated, seed=spec.model.seed)


def refer_quality(spec: ModelSpec, built: BuiltFrame, manifest: ModelManifest) -> QualityProfile:
    """What the features look like, on at most 100,000 rows from all over the frame."""
    features = select_features(built.frame, manifest.features)
    if features.height > _MOST_PROFILED:
        at = np.linspace(0, features.height - 1, _MOST_PROFILED).astype(np.int64)
        features = features[at]
    return profile_quality(features, spec.contract.columns)

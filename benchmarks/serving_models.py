"""The models that the serving benchmark serves, packaged as the platform does it.

A random forest of 100 trees on 30 numbers, and the two shipped pipelines, trained on their own
documents. Each comes with rows as callers send them.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl

from mlops_assets.modeling.agreement import spoil
from mlops_assets.modeling.features import BuiltFrame, build_frame
from mlops_assets.modeling.manifest import ModelManifest
from mlops_assets.modeling.package import load_package, write_package
from mlops_assets.modeling.training import train
from mlops_assets.serving.predictor.sklearn_scorer import SklearnScorer
from mlops_assets.serving.protocol.batch import Batch, build_column
from mlops_assets.spec import ModelSpec
from mlops_assets.spec.reading import read_document

N_FEATURES = 30
N_COMPARED = 10_000
_TIE = 1e-5
_DEFS = Path(__file__).parents[1] / "mlops_assets" / "defs"


@dataclass(frozen=True)
class Packaged:
    """A model on the disk."""

    spec: ModelSpec
    directory: Path
    manifest: ModelManifest
    frame: pl.DataFrame  # its features, as rows that callers send

    def write_body(self, n_rows: int) -> Path:
        """A V1 request of so many rows."""
        path = self.directory.parent / f"{self.directory.name}-{n_rows}.json"
        path.write_text(json.dumps({"instances": self.frame.head(n_rows).rows()}))
        return path


def forest_spec(*, onnx: bool = True) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "m",
            "description": "Made to be measured.",
            "owners": ["team:benchmarks"],
            "source": {"path": "rows.parquet"},
            "features": {"numeric": [f"x{n}" for n in range(N_FEATURES)]},
            "target": {"column": "y", "task": "binary"},
            "model": {
                "estimator": "sklearn.ensemble.RandomForestClassifier",
                "parameters": {"n_estimators": 100},
                "onnx": onnx,
            },
        }
    )


def package_forest(folder: Path, *, onnx: bool = True) -> Packaged:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4_000, N_FEATURES)).round(6)
    y = (x[:, :5].sum(axis=1) + rng.normal(size=len(x)) > 0).astype(int)
    frame = pl.DataFrame({f"x{n}": x[:, n] for n in range(N_FEATURES)}).with_columns(y=y)
    return _package(folder / "forest", forest_spec(onnx=onnx), frame)


def package_flights(folder: Path) -> Packaged:
    from mlops_assets.defs.flight_delay.source import load_flights

    spec = read_document(_DEFS / "flight_delay" / "defs.yaml")
    frame = load_flights(until="2013-02-01").frame.collect()
    return _package(folder / "flight_delay", spec, frame)


def package_music(folder: Path) -> Packaged:
    from mlops_assets.defs.music_therapy.source import load_sessions

    spec = read_document(_DEFS / "music_therapy" / "defs.yaml")
    frame = load_sessions(simulated_rows=4_000, seed=0).frame.collect()
    return _package(folder / "music_therapy", spec, frame)


PACKAGERS = {
    "forest": package_forest,
    "flight_delay": package_flights,
    "music_therapy": package_music,
}


def _package(directory: Path, spec: ModelSpec, frame: pl.DataFrame) -> Packaged:
    built: BuiltFrame = build_frame(frame.lazy(), spec)
    manifest = write_package(directory, train(spec, built), built, spec)
    assert manifest.onnx.usable == spec.model.onnx, manifest.onnx.reason
    features = built.frame.select([field.name for field in manifest.features])
    return Packaged(spec, directory, manifest, features)


def compare_answers(model: Packaged, port: int) -> dict[str, float]:
    """How far a running server is from scikit-learn on rows with missing and unseen values.

    The rows are drawn from the training frame, so numbers tie with the splits of trees.
    """
    rng = np.random.default_rng(2)
    drawn = model.frame[rng.integers(0, model.frame.height, N_COMPARED)]
    fields = model.manifest.features
    rows = pl.concat([drawn[: N_COMPARED // 2], spoil(drawn[N_COMPARED // 2 :], fields, rng)])
    columns = [build_column(field, rows[field.name].to_list(), field.name) for field in fields]
    expected = SklearnScorer(load_package(model.directory), model.manifest).score(
        Batch(N_COMPARED, tuple(columns))
    )
    labels: list[Any] = []
    shares: list[list[float]] = []
    for start in range(0, N_COMPARED, 500):
        instances = rows[start : start + 500].rows()
        url = f"http://127.0.0.1:{port}/v1/models/m:predict"
        answer = httpx.post(url, json={"instances": instances}, trust_env=False, timeout=60).json()
        labels.extend(answer["predictions"])
        shares.extend(answer["probabilities"])
    assert expected.probabilities is not None
    difference = np.abs(np.array(shares) - expected.probabilities).max(axis=1)
    best = np.sort(expected.probabilities, axis=1)
    clear = best[:, -1] - best[:, -2] > _TIE
    differ = np.array(labels) != np.array(expected.labels)
    return {
        "n_labels_differ": float((differ & clear).sum()),
        "share_beyond": float((difference > _TIE).mean()),
        "largest": float(difference.max()),
    }

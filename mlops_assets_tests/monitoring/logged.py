"""A served toy model and its prediction log: real tables, real references, answers of the model."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from mlops_assets.data.documents import ModelDocuments
from mlops_assets.errors import MonitoringError
from mlops_assets.modeling.contestants import answer
from mlops_assets.modeling.features import build_frame
from mlops_assets.monitoring.at_evaluation import Judged, build_reference_files
from mlops_assets.monitoring.references import References, read_references
from mlops_assets.monitoring.store import MonitoringStore
from mlops_assets.monitoring.watching import Watch
from mlops_assets.serving.prediction_log import frames
from mlops_assets.serving.prediction_log.records import label_text
from mlops_assets.serving.prediction_log.store import PredictionStore
from mlops_assets_tests.modeling.conftest import PackagedModel
from mlops_assets_tests.modeling.toy import LATER, rows


def references_of(model: PackagedModel, version: str = "1") -> References:
    """What the model's evaluation leaves, written and read back."""
    files = build_reference_files(model.spec, Judged(model.built, model.as_contestant(), LATER))
    return read_references(version, model.manifest, lambda name: files[name], "run-1")


@dataclass
class FixedVersions:
    """`Versions` of models at hand."""

    known: dict[str, References]
    champion_version: str | None = "1"

    def champion(self) -> str | None:
        return self.champion_version

    def references(self, version: str) -> References:
        if version not in self.known:
            raise MonitoringError(f"version {version} is gone")
        return self.known[version]


@dataclass
class ServedToy:
    """A toy model whose predictions are logged.

    Attributes:
        model: The model.
        folder: Everything is kept here.
        versions: What windows are compared with.
    """

    model: PackagedModel
    folder: Path
    versions: FixedVersions
    n_batches: int = field(default=0)

    @property
    def log(self) -> PredictionStore:
        return PredictionStore(str(self.folder / "lake"))

    @property
    def store(self) -> MonitoringStore:
        return MonitoringStore(ModelDocuments(str(self.folder / "monitoring")))

    @property
    def watch(self) -> Watch:
        return Watch(self.log, self.versions, self.store)

    def sessions(self, n_rows: int, seed: int, hours: float = 0.0) -> pl.DataFrame:
        """Rows with a target as the model learned them, the listening time moved."""
        return rows(n_rows, seed).with_columns(pl.col("hours") + hours)

    def predict(
        self,
        sessions: pl.DataFrame,
        start: datetime,
        *,
        every: timedelta = timedelta(minutes=1),
        version: str = "1",
        ids: Sequence[str] = (),
        changed: dict[str, Any] | None = None,
    ) -> list[str]:
        """Log the model's answers, one after the other; returns the ids."""
        model, spec = self.model, self.model.spec
        frame = build_frame(sessions.lazy(), spec).frame
        shares = answer(model.as_contestant(), frame, model.manifest.classes)
        names = ids or [f"{start:%m%d%H%M}-{self.n_batches}-{i}" for i in range(frame.height)]
        features = [(f.name, f.kind) for f in model.manifest.features]
        logged = []
        for i, row in enumerate(frame.iter_rows(named=True)):
            at = start + i * every
            inputs = {f"feature__{name}": row[name] for name, _ in features}
            told = {
                "prediction_id": names[i],
                "row": 0,
                "event_us": round(at.timestamp() * 1e6),
                "revision": f"v{version}",
                "model_version": version,
                "protocol": "v1",
                "latency_ms": 1.0,
                "prediction": label_text(int(shares[i, 1] >= 0.5)),
                "probability": float(shares[i, 1]),
                "probabilities": shares[i].tolist(),
                "shadow": False,
                "unit": "",
            }
            logged.append(told | inputs | (changed or {}))
        self.n_batches += 1
        self.log.append_predictions(
            spec.service,
            frames.build_frame(logged, features),
            features,
            source=f"s{self.n_batches}",
            offset=1,
        )
        return list(names)

    def tell(self, ids: Sequence[str], truths: Sequence[str], received_at: datetime) -> None:
        """Truth arrives."""
        told = [
            {
                "prediction_id": name,
                "row": 0,
                "value": truth,
                "time": received_at,
                "received_at": received_at,
                "day": received_at.date(),
            }
            for name, truth in zip(ids, truths, strict=True)
        ]
        self.n_batches += 1
        self.log.append_truth(self.model.spec.service, told, source=f"t{self.n_batches}", offset=1)

"""What the predictor writes of each answer before it sends it."""

import time

from mlops_assets.modeling.manifest import ModelManifest
from mlops_assets.serving.prediction_log.records import Preamble, PredictionRecord, encode
from mlops_assets.serving.prediction_log.segments import SegmentWriter
from mlops_assets.serving.predictor.settings import PredictorSettings
from mlops_assets.serving.protocol.batch import Answer


class PredictionLog:
    """The log of one worker process."""

    def __init__(self, settings: PredictorSettings, manifest: ModelManifest) -> None:
        if settings.log_dir is None:
            raise AssertionError("made only when there is a folder")
        version = settings.model_version
        preamble = Preamble(
            service=settings.model_name,
            revision=settings.revision or (f"v{version}" if version else "unknown"),
            model_version=version,
            features=[(field.name, field.kind) for field in manifest.features],
            classes=manifest.classes,
        )
        self._writer = SegmentWriter(settings.log_dir, encode(preamble))

    def write(
        self,
        answer: Answer,
        *,
        prediction_id: str,
        protocol: str,
        body: bytes,
        json_length: int | None,
        started: float,
        shadow: bool,
    ) -> bool:
        """Write one answer; `started` is of `time.perf_counter`. False: there is no room."""
        probabilities = answer.probabilities
        latency_ns = int((time.perf_counter() - started) * 1e9)
        record = PredictionRecord(
            prediction_id,
            time.time_ns() - latency_ns,
            protocol,
            latency_ns,
            body,
            json_length,
            answer.labels,
            None if probabilities is None else probabilities.astype("<f8").tobytes(),
            shadow,
        )
        return self._writer.append(encode(record))

    def close(self) -> None:
        """Have the disk hold all of it."""
        self._writer.close()

"""What the predictor writes of each answer before it sends it."""

import msgspec

from mlops_assets.errors import ServingError
from mlops_assets.modeling.manifest import ModelManifest
from mlops_assets.serving.prediction_log.records import Preamble, PredictionRecord, encode
from mlops_assets.serving.prediction_log.redaction import Redaction, read_key
from mlops_assets.serving.prediction_log.segments import SegmentWriter
from mlops_assets.serving.predictor.settings import PredictorSettings
from mlops_assets.serving.protocol.batch import Batch


class PredictionLog:
    """The log of one worker process.

    Raises:
        ServingError: the model's policy names a column that it does not have, or lacks its key; or
            the folder cannot be written.
    """

    def __init__(self, settings: PredictorSettings, manifest: ModelManifest) -> None:
        if settings.log_dir is None:
            raise AssertionError("made only when there is a folder")
        version = settings.model_version
        self._redaction = _read_redaction(settings, manifest)
        features: list[tuple[str, str]] = [(field.name, field.kind) for field in manifest.features]
        if self._redaction is not None:
            features = self._redaction.features
        preamble = Preamble(
            service=settings.model_name,
            revision=settings.revision or (f"v{version}" if version else "unknown"),
            model_version=version,
            features=features,
            classes=manifest.classes,
            redacted=self._redaction is not None,
        )
        try:
            self._writer = SegmentWriter(settings.log_dir, encode(preamble))
        except OSError as error:
            raise ServingError(f"--log-dir: predictions cannot be logged: {error}") from error
        self.append = self._writer.append

    def encode(self, record: PredictionRecord, batch: Batch) -> bytes:
        """One answer to a batch, as it is appended."""
        if self._redaction is not None:
            body = self._redaction.encode(batch)
            record = msgspec.structs.replace(record, body=body, json_length=None)
        return encode(record)

    def close(self) -> None:
        """Have the disk hold all of it."""
        self._writer.close()


def _read_redaction(settings: PredictorSettings, manifest: ModelManifest) -> Redaction | None:
    if not settings.log_leave_out and not settings.log_hash:
        return None
    return Redaction(
        manifest.features,
        leave_out=settings.log_leave_out,
        hashed=settings.log_hash,
        key=read_key(settings.log_key) if settings.log_key and settings.log_hash else None,
    )

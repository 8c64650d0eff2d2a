"""Answers through scikit-learn, for models whose ONNX form is missing or answers differently."""

from typing import Any

from numpy.typing import NDArray

from mlops_assets.modeling.manifest import ModelManifest
from mlops_assets.serving.protocol.batch import Answer, Batch, require_answers
from mlops_assets.serving.protocol.refusal import RequestError


class SklearnScorer:
    """A fitted pipeline, read from skops after its digest was verified."""

    def __init__(self, pipeline: Any, manifest: ModelManifest) -> None:
        self._pipeline = pipeline
        self._classes = manifest.classes
        self._features = manifest.features

    def score(self, batch: Batch) -> Answer:
        """Labels, and probabilities in the order of the classes."""
        import polars as pl

        types = {"number": pl.Float64(), "category": pl.String(), "boolean": pl.Float64()}
        frame = pl.DataFrame(
            {
                field.name: _series(column, types[field.kind])
                for field, column in zip(self._features, batch.columns, strict=True)
            }
        )
        booleans = [field.name for field in self._features if field.kind == "boolean"]
        frame = frame.with_columns(pl.col(booleans).cast(pl.Boolean()))
        try:
            if self._classes is None:
                found = self._pipeline.predict(frame)
            else:
                found = self._pipeline.predict_proba(frame)
        except ValueError as error:  # how scikit-learn refuses values, such as missing ones
            raise RequestError(400, f"the model refuses these values: {error}") from error
        require_answers(found, batch)
        if self._classes is None:
            return Answer(found.ravel().tolist(), None)
        best = found.argmax(axis=1)
        return Answer([self._classes[position] for position in best.tolist()], found)


def _series(column: NDArray[Any], dtype: Any) -> Any:
    import polars as pl

    if column.dtype == object:
        return pl.Series(column.tolist(), dtype=dtype)
    return pl.Series(column, dtype=dtype, nan_to_null=True)

"""The tables of the log, by name, and their columns. Features stand beside those of predictions."""

from typing import Any

import polars as pl

PREDICTIONS, TRUTH, FAILURES = "prediction_log", "ground_truth", "failed_requests"
HALVES = "inference_event"

PREDICTION_TYPES: dict[str, Any] = {
    "prediction_id": pl.String(),
    "row": pl.Int32(),
    "event_time": pl.Datetime("us", "UTC"),
    "day": pl.Date(),
    "revision": pl.String(),
    "model_version": pl.String(),
    "protocol": pl.String(),
    "latency_ms": pl.Float64(),
    "prediction": pl.String(),
    "probability": pl.Float64(),
    "probabilities": pl.List(pl.Float64()),
    "shadow": pl.Boolean(),
    "unit": pl.String(),
}
FAILURE_TYPES: dict[str, Any] = {
    "prediction_id": pl.String(),
    "event_time": pl.Datetime("us", "UTC"),
    "day": pl.Date(),
    "revision": pl.String(),
    "status": pl.Int32(),
    "latency_ms": pl.Float64(),
    "unit": pl.String(),
    "shadow": pl.Boolean(),
}
HALF_TYPES: dict[str, Any] = {
    "event_id": pl.String(),
    "kind": pl.String(),
    "event_time": pl.Datetime("us", "UTC"),
    "received_at": pl.Datetime("us", "UTC"),
    "day": pl.Date(),
    "namespace": pl.String(),
    "component": pl.String(),
    "revision": pl.String(),
    "model_version": pl.String(),
    "content_type": pl.String(),
    "body": pl.Binary(),
}
TRUTH_TYPES: dict[str, Any] = {
    "prediction_id": pl.String(),
    "row": pl.Int32(),
    "value": pl.String(),
    "time": pl.Datetime("us", "UTC"),
    "received_at": pl.Datetime("us", "UTC"),
    "day": pl.Date(),
}
FEATURE_TYPES: dict[str, Any] = {
    "number": pl.Float64(),
    "category": pl.String(),
    "boolean": pl.Boolean(),
}
STORED_KINDS = {"double": "number", "string": "category", "boolean": "boolean"}

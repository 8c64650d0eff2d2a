"""Events as predictors and KServe's agent send them, for the tests of this folder."""

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np

from mlops_assets.serving.prediction_log.records import Preamble, PredictionRecord, encode
from mlops_assets.serving.prediction_log.wire import encode_batch

PREAMBLE = Preamble("toy", "v1", "1", [("hours", "number"), ("genre", "category")], [0, 1])
BATCH = {"content-type": "application/cloudevents-batch+json"}
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def record(name: str, rows: str = '[[1.5,"jazz"]]', at: datetime = NOON) -> bytes:
    """A prediction as a predictor logs it."""
    n_rows = len(json.loads(rows))
    shares = np.array([[0.25, 0.75]] * n_rows).tobytes()
    body = b'{"instances":' + rows.encode() + b"}"
    at_ns = int(at.timestamp() * 1e9)
    return encode(PredictionRecord(name, at_ns, "v1", 2_000_000, body, None, [1] * n_rows, shares))


def batch(*names: str, preamble: Preamble = PREAMBLE) -> bytes:
    """A request's body with a prediction for each name."""
    return encode_batch(preamble, [record(name) for name in names], "default")


def agent_headers(kind: str, name: str, **more: str) -> dict[str, str]:
    """The headers with which KServe's agent posts a request or a response."""
    given = {
        "specversion": "1.0",
        "id": name,
        "type": f"org.kubeflow.serving.inference.{kind}",
        "source": "http://localhost:9081/",
        "time": "2026-03-04T12:00:00.123456789Z",
        "inferenceservicename": "stock",
        "namespace": "default",
        "component": "predictor",
        "endpoint": "",
    }
    attributes = {f"ce-{key}": value for key, value in {**given, **more}.items()}
    return {"content-type": "application/json", **attributes}


def as_json(content: Any) -> bytes:
    """The body of such a request."""
    return json.dumps(content).encode()

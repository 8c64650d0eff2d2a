"""The OpenAPI document of one model's predictor: what it takes and all that it answers.

Tests fuzz a running predictor by this document, so what it promises is held: each status is listed,
each body has its schema, what fits is answered and what does not fit is refused.
"""

from typing import Any

from mlops_assets.modeling.manifest import FeatureField, ModelManifest
from mlops_assets.serving.protocol.batch import LARGEST
from mlops_assets.serving.protocol.http import MAX_ID_LENGTH
from mlops_assets.serving.protocol.tensors import DTYPES
from mlops_assets.serving.protocol.v2 import LABELS, PROBABILITIES, datatype_of

Schema = dict[str, Any]

_VALUES: dict[str, Schema] = {
    "number": {"type": ["number", "null"], "minimum": -LARGEST, "maximum": LARGEST},
    "category": {"type": ["string", "integer", "boolean", "null"]},
    "boolean": {"enum": [True, False, 0, 1, None]},
}
_LABELS: dict[str, Schema] = {
    "BOOL": {"type": "boolean"},
    "INT64": {"type": "integer"},
    "BYTES": {"type": ["string", "integer", "boolean"]},
    "FP64": {"type": "number"},
}
_ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
    "additionalProperties": False,
}
_REFUSALS = {
    "400": "The request is wrong; `error` names the field, the expected and the found.",
    "408": "The body did not come in time.",
    "413": "The body is too long or holds too many rows.",
    "415": "The body is not declared to be JSON.",
    "503": "Too many slow batches wait; try again after `Retry-After` seconds.",
}


def build_openapi(
    model_name: str, model_version: str | None, manifest: ModelManifest, max_rows: int
) -> dict[str, Any]:
    """The document, with the model's features and classes in its schemas."""
    v1, v2 = f"/v1/models/{model_name}", f"/v2/models/{model_name}"
    names = {"models": {"type": "array", "items": {"type": "string"}}}
    ready = {"name": {"const": model_name}, "ready": {"type": "boolean"}}
    paths = {
        "/": _page("Whether the process lives.", {"status": {"const": "alive"}}),
        "/v1/models": _page("Names of the models.", names),
        v1: _page("Whether the model is ready.", ready, drains=True),
        "/v2": _page("What the server is.", _SERVER),
        "/v2/health/live": _page("Whether the process lives.", {"live": {"const": True}}),
        "/v2/health/ready": _page(
            "Whether every model is ready.", {"ready": {"type": "boolean"}}, drains=True
        ),
        "/v2/models": _page("Names of the models.", names),
        v2: _page("What the model takes and answers.", _metadata(model_name)),
        f"{v2}/ready": _page("Whether the model is ready.", ready, drains=True),
        "/metrics": {"get": {"summary": "Prometheus.", "responses": {"200": _TEXT}}},
        "/openapi.json": _page("This document.", {"openapi": {"const": "3.1.0"}}),
        f"{v1}:predict": {"post": _predict_v1(model_name, manifest, max_rows)},
        f"{v2}/infer": {"post": _predict_v2(model_name, manifest)},
    }
    if model_version is not None:
        for page in ("", "/ready", "/infer"):
            paths[f"{v2}/versions/{model_version}{page}"] = paths[f"{v2}{page}"]
    info = {"title": f"Predictor of {model_name}", "version": model_version or "unknown"}
    return {"openapi": "3.1.0", "info": info, "paths": paths}


_TEXT = {"description": "Counters.", "content": {"text/plain": {"schema": {"type": "string"}}}}
_SERVER: dict[str, Schema] = {
    "name": {"type": "string"},
    "version": {"type": "string"},
    "extensions": {"type": "array", "items": {"type": "string"}},
}


def _object(properties: dict[str, Schema], *optional: str) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _json(description: str, schema: Schema) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _page(summary: str, properties: dict[str, Schema], *, drains: bool = False) -> dict[str, Any]:
    schema = _object(properties)
    responses = {"200": _json("Answer.", schema)}
    if drains:
        responses["503"] = _json("The process drains.", schema)
    return {"get": {"summary": summary, "responses": responses}}


def _metadata(model_name: str) -> dict[str, Schema]:
    shape = {"type": "array", "items": {"type": "integer"}}
    tensor = _object({"name": {"type": "string"}, "datatype": {"type": "string"}, "shape": shape})
    tensors = {"type": "array", "items": tensor}
    return {
        "name": {"const": model_name},
        "versions": {"type": "array", "items": {"type": "string"}},
        "platform": {"enum": ["onnxruntime", "scikit-learn"]},
        "inputs": tensors,
        "outputs": tensors,
        "properties": {"type": "object"},
    }


def _header(name: str, schema: Schema, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "schema": schema, "description": description}


_ID_HEADERS = [
    _header(name, {"type": "string", "maxLength": MAX_ID_LENGTH, "pattern": "^[ -~]*$"}, text)
    for name, text in (
        ("ce-id", "The prediction's id."),
        ("x-request-id", "The prediction's id, unless `ce-id` says it."),
    )
]
_SENT = {
    "x-request-id": {"schema": {"type": "string"}, "description": "The prediction's id."},
    "x-model-version": {"schema": {"type": "string"}, "description": "Who answered."},
    "x-prediction-log": {"schema": {"type": "string"}, "description": "Set when nothing is logged"},
}
_RETRY = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}


def _predict(summary: str, request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    refusals = {code: _json(text, _ERROR) for code, text in _REFUSALS.items()}
    refusals["503"]["headers"] = _RETRY
    return {
        "summary": summary,
        "parameters": _ID_HEADERS,
        "requestBody": {"required": True, "content": request},
        "responses": {"200": {**answer, "headers": _SENT}, **refusals},
    }


def _identity(model_name: str) -> dict[str, Schema]:
    return {
        "model_name": {"const": model_name},
        "model_version": {"type": ["string", "null"]},
        "id": {"type": "string"},
    }


def _predict_v1(model_name: str, manifest: ModelManifest, max_rows: int) -> dict[str, Any]:
    labels = {"type": "array", "items": _LABELS[datatype_of(manifest.classes)], "minItems": 1}
    answer: dict[str, Schema] = {"predictions": labels, **_identity(model_name)}
    if manifest.classes is not None:
        n = len(manifest.classes)
        share = {"type": "number", "minimum": -1e-6, "maximum": 1.000001}
        row = {"type": "array", "items": share, "minItems": n, "maxItems": n}
        answer["probabilities"] = {"type": "array", "items": row, "minItems": 1}
        answer["classes"] = {"const": manifest.classes}
    request = {"application/json": {"schema": _v1_request(manifest.features, max_rows)}}
    return _predict("Predict (V1 protocol).", request, _json("Answer.", _object(answer)))


def _v1_request(features: list[FeatureField], max_rows: int) -> Schema:
    """Rows, or a single one, under `instances` or, as KServe takes it too, `inputs`."""
    values = [_VALUES[field.kind] for field in features]
    n = len(values)
    as_list = {
        "type": "array",
        "prefixItems": values,
        "items": False,
        "minItems": n,
        "maxItems": n,
    }
    as_object = _object({field.name: _VALUES[field.kind] for field in features})
    as_object["additionalProperties"] = False
    row = {"anyOf": [as_list, as_object]}
    rows = {"type": "array", "items": row, "minItems": 1, "maxItems": max_rows}
    either = {"anyOf": [rows, as_list, as_object]}
    names = ("instances", "inputs")
    one = [{"required": [name]} for name in names]
    return {"type": "object", "properties": dict.fromkeys(names, either), "oneOf": one}


_PARAMETERS = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
}


def _v2_request(outputs: list[str]) -> Schema:
    properties: dict[str, Schema] = {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
        "datatype": {"enum": [*DTYPES, "BYTES"]},
        "data": {"type": "array"},
        "parameters": _PARAMETERS,
    }
    tensor = _object(properties, "data", "parameters")
    output = _object({"name": {"enum": outputs}, "parameters": _PARAMETERS}, "parameters")
    request: dict[str, Schema] = {
        "inputs": {"type": "array", "items": tensor, "minItems": 1},
        "id": {"type": ["string", "null"]},
        "parameters": _PARAMETERS,
        "outputs": {"type": ["array", "null"], "items": output},
    }
    return _object(request, "id", "parameters", "outputs")


def _predict_v2(model_name: str, manifest: ModelManifest) -> dict[str, Any]:
    names = [LABELS] if manifest.classes is None else [LABELS, PROBABILITIES]
    request = {
        "application/json": {"schema": _v2_request(names)},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    }
    tensor = _object(
        {
            "name": {"enum": names},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}},
            "datatype": {"enum": sorted({datatype_of(manifest.classes), "FP64"})},
            "data": {"type": "array"},
            "parameters": {"type": "object"},
        },
        "data",
        "parameters",
    )
    outputs = {"type": "array", "items": tensor, "minItems": 1}
    answer = _json("Answer.", _object({**_identity(model_name), "outputs": outputs}))
    answer["content"]["application/octet-stream"] = request["application/octet-stream"]
    operation = _predict("Predict (Open Inference Protocol V2).", request, answer)
    length = {"type": "integer", "minimum": 0}
    text = "Length of the JSON before the binary tensors."
    binary = _header("Inference-Header-Content-Length", length, text)
    return {**operation, "parameters": [*_ID_HEADERS, binary]}

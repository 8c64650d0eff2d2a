"""The OpenAPI document of one model's predictor."""

from typing import Any

from mlops_assets.modeling.manifest import FeatureField, ModelManifest

_VALUES: dict[str, dict[str, Any]] = {
    "number": {"type": ["number", "null"], "minimum": -3.4e38, "maximum": 3.4e38},
    "category": {"type": ["string", "integer", "boolean", "null"]},
    "boolean": {"type": ["boolean", "null"]},
}
_PARAMETERS = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}


def build_openapi(model_name: str, manifest: ModelManifest, max_rows: int) -> dict[str, Any]:
    """The document, with the model's features in its schemas."""
    get = {
        "/": "Whether the process lives.",
        "/v1/models": "Names of the models.",
        f"/v1/models/{model_name}": "Whether the model is ready.",
        "/v2": "What the server is.",
        "/v2/health/live": "Whether the process lives.",
        "/v2/health/ready": "Whether every model is ready.",
        "/v2/models": "Names of the models.",
        f"/v2/models/{model_name}": "What the model takes and answers.",
        f"/v2/models/{model_name}/ready": "Whether the model is ready.",
    }
    paths: dict[str, Any] = {
        path: {"get": {"summary": text, "responses": _responses("200")}}
        for path, text in get.items()
    }
    paths[f"/v1/models/{model_name}:predict"] = {
        "post": _operation("Predict (V1 protocol).", _v1_request(manifest.features, max_rows))
    }
    paths[f"/v2/models/{model_name}/infer"] = {
        "post": _operation("Predict (Open Inference Protocol V2).", _v2_request())
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Predictor of {model_name}", "version": "1"},
        "paths": paths,
    }


def _responses(*codes: str) -> dict[str, Any]:
    texts = {
        "200": "Answer.",
        "400": "The request is wrong; `error` names the field, the expected and the found.",
        "413": "The body is too long or holds too many rows.",
        "415": "The body is not JSON.",
        "503": "Too many slow batches wait; try again after `Retry-After` seconds.",
    }
    content = {"application/json": {"schema": {"type": "object"}}}
    return {code: {"description": texts[code], "content": content} for code in codes}


def _operation(summary: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": _responses("200", "400", "413", "415", "503"),
    }


def _v1_request(features: list[FeatureField], max_rows: int) -> dict[str, Any]:
    values = [_VALUES[field.kind] for field in features]
    as_list = {
        "type": "array",
        "prefixItems": values,
        "minItems": len(values),
        "maxItems": len(values),
    }
    as_object = {
        "type": "object",
        "properties": {field.name: _VALUES[field.kind] for field in features},
        "required": [field.name for field in features],
        "additionalProperties": False,
    }
    rows = {"type": "array", "items": {"oneOf": [as_list, as_object]}, "minItems": 1}
    return {
        "type": "object",
        "properties": {"instances": {**rows, "maxItems": max_rows}},
        "required": ["instances"],
    }


def _v2_request() -> dict[str, Any]:
    tensor = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "datatype": {"enum": ["BOOL", "INT32", "INT64", "FP32", "FP64", "BYTES"]},
            "data": {"type": "array"},
            "parameters": _PARAMETERS,
        },
        "required": ["name", "shape", "datatype", "data"],
    }
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "parameters": _PARAMETERS,
            "inputs": {"type": "array", "items": tensor, "minItems": 1},
        },
        "required": ["inputs"],
    }

"""The InferenceService of a model version, as a plain dictionary.

Here: what a cluster and the local gateway both get. Built without the SDK, which takes 4 s to
import; a test holds the result against the SDK's own classes.
Not here: how a manifest is applied (`serving/backend.py` and its implementations).
"""

import hashlib
import json
import math
from typing import Any

from mlops_assets.spec.document import ModelSpec

API_VERSION = "serving.kserve.io/v1beta1"
RUNTIME = "mlops-predictor"
PORT = 8080

_PROBE_PERIOD_SECONDS = 2
# Standard mode sends traffic to a pod for a moment after it is told to stop; it serves meanwhile.
_PRE_STOP_SECONDS = 10
# Longest until a pod's end: that, its predictor's answers in flight and callers who take them (25),
# the last records to the sink (8), and some for a busy node. Then Kubernetes kills.
_STOP_SECONDS = 60

MODEL_VERSION = "mlops-assets/model-version"
MODEL_DIGEST = "mlops-assets/model-digest"
MLFLOW_RUN = "mlops-assets/mlflow-run-id"
MODEL_NAME = "mlops-assets/model"
ENTITY_KEY = "mlops-assets/entity-key"
"""Annotation: the feature or field whose value always goes to the same revision. It belongs to the
model, not to a rollout, so it may stand here."""
LOG_RETENTION = "mlops-assets/log-retention-seconds"
"""Annotation: how long the prediction log and its truth are kept."""


def revision_name(version: int) -> str:
    """Name of the revision that serves a registry version.

    >>> revision_name(7)
    'v7'
    """
    return f"v{version}"


def build_inference_service(
    spec: ModelSpec, *, version: int, storage_uri: str, model_digest: str, mlflow_run_id: str
) -> dict[str, Any]:
    """The InferenceService (v1beta1, Standard mode) that serves one version of a model.

    Args:
        spec: The model document.
        version: Version in the registry, ≥ 1; it names the revision.
        storage_uri: Immutable place of the packaged model; never an alias, since KServe does not
            fetch the same URI twice.
        model_digest: Digest that the predictor must find in the package before it loads it.
        mlflow_run_id: Run that made it.
    """
    evidence = {
        MODEL_VERSION: str(version),
        MODEL_DIGEST: model_digest,
        MLFLOW_RUN: mlflow_run_id,
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "InferenceService",
        "metadata": {
            "name": spec.service,
            "labels": {"app.kubernetes.io/managed-by": "mlops-assets", MODEL_NAME: spec.name},
            "annotations": {
                "serving.kserve.io/deploymentMode": "Standard",
                "serving.kserve.io/autoscalerClass": "hpa",
                **evidence,
                **_build_policy(spec),
            },
        },
        "spec": {
            "predictor": {
                "name": revision_name(version),
                "minReplicas": spec.serving.minimum_replicas,
                "maxReplicas": spec.serving.maximum_replicas,
                "scaleMetric": "cpu",
                "scaleTarget": 80,
                "deploymentStrategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
                },
                "labels": {"endpoint": revision_name(version)},
                "annotations": evidence,
                "terminationGracePeriodSeconds": _STOP_SECONDS,
                "model": _build_model(spec, version, storage_uri, model_digest),
            }
        },
    }


def _build_policy(spec: ModelSpec) -> dict[str, str]:
    """Annotations that are the model's own, whichever version is served."""
    retention = spec.serving.prediction_log.retention
    policy = {}
    if spec.entity_key:
        policy[ENTITY_KEY] = spec.entity_key
    if retention is not None:
        policy[LOG_RETENTION] = str(int(retention.total_seconds()))
    return policy


def _build_model(
    spec: ModelSpec, version: int, storage_uri: str, model_digest: str
) -> dict[str, Any]:
    amounts = {"cpu": spec.serving.cpu, "memory": spec.serving.memory}
    ready = {"httpGet": {"path": f"/v2/models/{spec.service}/ready", "port": PORT}}
    live = {"httpGet": {"path": "/v2/health/live", "port": PORT}}
    attempts = math.ceil(spec.serving.ready_timeout_seconds / _PROBE_PERIOD_SECONDS)
    return {
        "modelFormat": {"name": "mlflow", "version": "3"},
        "runtime": RUNTIME,
        "protocolVersion": "v2",
        "storageUri": storage_uri,
        "args": [
            f"--model-version={version}",
            f"--model-digest={model_digest}",
            *(f"--trusted-type={name}" for name in spec.model.trusted_types),
            *(f"--log-leave-out={name}" for name in spec.serving.prediction_log.leave_out),
            *(f"--log-hash={name}" for name in spec.serving.prediction_log.hash),
        ],
        "resources": {"requests": dict(amounts), "limits": dict(amounts)},
        "startupProbe": {
            **ready,
            "periodSeconds": _PROBE_PERIOD_SECONDS,
            "failureThreshold": attempts,
        },
        "readinessProbe": {**ready, "periodSeconds": 5},
        "livenessProbe": {**live, "periodSeconds": 10, "failureThreshold": 3},
        "lifecycle": {"preStop": {"sleep": {"seconds": _PRE_STOP_SECONDS}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def manifest_digest(manifest: dict[str, Any]) -> str:
    """SHA-256 of a manifest's canonical JSON: the same for any order of keys."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()

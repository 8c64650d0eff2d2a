"""Writes `k8s/components/prometheus`: monitors, rules and dashboards, all from one place.

`make manifests` writes it; a test writes it anew and compares. Here: the objects of the Prometheus
operator, and ConfigMaps that Grafana's sidecar picks up by their label.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mlops_assets.observability.dashboards import DASHBOARDS, build_dashboard
from mlops_assets.observability.rules import GROUPS, RECORDINGS, Alert

PLATFORM, MODELS = "mlops", "mlops-models"
_HEAD = "# Written by `make manifests` from mlops_assets/observability; change it there.\n"
_GUIDE = "docs/operations.md"


def build_files() -> dict[str, str]:
    """The content of each file of the component, by its path in there."""
    boards = {f"dashboards/{d.name}.json": _json(build_dashboard(d)) for d in DASHBOARDS}
    return {
        "kustomization.yaml": _yaml(_kustomization(list(boards))),
        "monitors.yaml": _yaml(*_monitors()),
        "rules.yaml": _yaml(_rules()),
        "network.yaml": _yaml(*_edges()),
        **boards,
    }


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1) + "\n"


def _yaml(*objects: Mapping[str, Any]) -> str:
    texts = (yaml.safe_dump(each, sort_keys=False, width=100) for each in objects)
    return _HEAD + "---\n".join(texts)


def _kustomization(boards: list[str]) -> dict[str, Any]:
    return {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "resources": ["monitors.yaml", "rules.yaml", "network.yaml"],
        "configMapGenerator": [
            {
                "name": f"grafana-mlops-{Path(board).stem}",
                "namespace": PLATFORM,
                "files": [board],
                "options": {
                    "disableNameSuffixHash": True,
                    "labels": {"grafana_dashboard": "1"},
                },
            }
            for board in boards
        ],
    }


_KNATIVES = "user-port"  # its name for the first port of whatever it runs
_PREDICTORS = ("http1", _KNATIVES)


def _monitors() -> list[dict[str, Any]]:
    return [
        _pod_monitor("exporter", PLATFORM, {"app.kubernetes.io/name": "exporter"}, "http"),
        _pod_monitor("sink", PLATFORM, {"app.kubernetes.io/name": "sink"}, "http"),
        _pod_monitor("predictors", MODELS, {"component": "predictor"}, *_PREDICTORS),
    ]


def _pod_monitor(
    name: str, namespace: str, labels: Mapping[str, str], *ports: str
) -> dict[str, Any]:
    """A monitor of pods; of the ports, a pod has one."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": dict(labels)},
            "podMetricsEndpoints": [
                {"port": port, "path": "/metrics", "interval": "30s"} for port in ports
            ],
        },
    }


def _rules() -> dict[str, Any]:
    recorded = [{"record": each.name, "expr": each.expr} for each in RECORDINGS]
    groups = [{"name": "mlops-recorded", "rules": recorded}]
    groups += [
        {"name": f"mlops-{name}", "rules": [_alert(alert) for alert in alerts]}
        for name, alerts in GROUPS.items()
    ]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "mlops-assets", "namespace": PLATFORM},
        "spec": {"groups": groups},
    }


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": alert.wait,
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.summary,
            "runbook": f"{_GUIDE}#{alert.name.lower()}",
        },
    }


def _edges() -> list[dict[str, Any]]:
    return [
        _edge("exporter-from-prometheus", PLATFORM, {"app.kubernetes.io/name": "exporter"}, 9108),
        _edge("sink-from-prometheus", PLATFORM, {"app.kubernetes.io/name": "sink"}, 8090),
        _edge("predictors-from-prometheus", MODELS, {"component": "predictor"}, 8080),
    ]


def _edge(name: str, namespace: str, labels: Mapping[str, str], port: int) -> dict[str, Any]:
    prometheus = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "annotations": {"mlops-assets/reason": "Prometheus reads its metrics"},
        },
        "spec": {
            "podSelector": {"matchLabels": dict(labels)},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [prometheus], "ports": [{"port": port}]}],
        },
    }


def main() -> None:
    """`python -m mlops_assets.observability.manifests FOLDER`."""
    folder = Path(sys.argv[1])
    for name, content in build_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


if __name__ == "__main__":
    main()

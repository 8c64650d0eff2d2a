"""Grafana's dashboards, built from short tables. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Shape = Literal["timeseries", "stat", "table", "state-timeline"]
_WIDTH, _HEIGHT, _COLUMNS = 12, 8, 24


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture.

    Attributes:
        title: What it shows.
        queries: Each with its legend.
        unit: Grafana's name of the unit.
        shape: How it is drawn.
    """

    title: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    shape: Shape = "timeseries"


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page of panels.

    Attributes:
        name: Names its file and its address.
        title: Its heading.
        panels: From left to right, two in a row.
        variables: What is chosen at its top: name and the query for its values.
        constants: Numbers that a reader sets: name and first value.
    """

    name: str
    title: str
    panels: Sequence[Panel]
    variables: Sequence[tuple[str, str]] = ()
    constants: Sequence[tuple[str, str]] = ()


_MODEL = 'model_name=~"$service"'
_SERVICE = 'service=~"$service"'
_NAMESPACES = 'namespace=~"mlops|mlops-models"'

FLEET = Dashboard(
    "fleet",
    "MLOps: all models",
    (
        Panel("Requests", [("sum by (model_name) (mlops:requests:rate5m)", "{{model_name}}")], "reqps"),
        Panel("Answers that fail", [("max by (model_name) (mlops:errors:ratio5m)", "{{model_name}}")], "percentunit"),
        Panel("Latency, 99 %", [("max by (model_name) (mlops:latency_seconds:p99_5m)", "{{model_name}}")], "s"),
        Panel("Rollouts", [("mlops_rollout_phase", "{{service}}: {{phase}}")], shape="table"),
        Panel("Latest windows", [("mlops_window_verdict", "{{model}}: {{verdict}}")], shape="table"),
        Panel("Runs of the last day", [("sum by (status) (mlops_runs_last_day)", "{{status}}")], shape="stat"),
        Panel("Runs that wait", [("mlops_runs_queued", "waiting")]),
        Panel("Sink: lag", [("mlops_sink_lag_seconds", "{{pod}}")], "s"),
        Panel("Sink: events", [("sum by (type) (rate(mlops_sink_events_total[5m]))", "{{type}}")], "cps"),
        Panel("Predictions that were not logged", [("sum by (model_name) (increase(mlops_unlogged_total[1h]))", "{{model_name}}")]),
        Panel("Daemons: silent for", [("mlops_daemon_silent_seconds", "{{daemon}}")], "s"),
        Panel("Ticks that fail", [("mlops_tick_failed", "{{instigator}}")], shape="state-timeline"),
    ),
)  # fmt: skip
MODEL = Dashboard(
    "model",
    "MLOps: one model",
    (
        Panel("Requests by version", [(f"mlops:requests:rate5m{{{_MODEL}}}", "v{{model_version}}")], "reqps"),
        Panel("Answers that fail", [(f"mlops:errors:ratio5m{{{_MODEL}}}", "v{{model_version}}")], "percentunit"),
        Panel("Latency, 99 %", [(f"mlops:latency_seconds:p99_5m{{{_MODEL}}}", "v{{model_version}}")], "s"),
        Panel("Rows", [(f"mlops:rows:rate5m{{{_MODEL}}}", "v{{model_version}}")], "rowsps"),
        Panel("Verdict of the latest window", [('mlops_window_verdict{model=~"$model"}', "{{verdict}}")], shape="state-timeline"),
        Panel("Share of the importance that drifted", [('mlops_window_drift_ratio{model=~"$model"}', "{{model}}")], "percentunit"),
        Panel("Retrainings", [('sum by (trigger, outcome) (mlops_retraining_attempts{model=~"$model"})', "{{trigger}}: {{outcome}}")], shape="table"),
        Panel("Log that waits for the sink", [(f"mlops_unshipped_bytes{{{_MODEL}}}", "{{pod}}")], "bytes"),
    ),
    variables=(
        ("service", "label_values(mlops_requests_total, model_name)"),
        ("model", "label_values(mlops_window_verdict, model)"),
    ),
)  # fmt: skip
ROLLOUT = Dashboard(
    "rollout",
    "MLOps: one rollout",
    (
        Panel("Phase", [(f"mlops_rollout_phase{{{_SERVICE}}}", "{{phase}}")], shape="state-timeline"),
        Panel("In this phase for", [(f"mlops_rollout_phase_seconds{{{_SERVICE}}}", "{{service}}")], "s", "stat"),
        Panel("Share of the requests", [(f"mlops_rollout_traffic_percent{{{_SERVICE}}}", "{{role}}")], "percent"),
        Panel("Since the last decision", [(f"mlops_rollout_tick_age_seconds{{{_SERVICE}}}", "{{service}}")], "s"),
        Panel("Requests by version", [(f"mlops:requests:rate5m{{{_MODEL}}}", "v{{model_version}}")], "reqps"),
        Panel("Answers that fail", [(f"mlops:errors:ratio5m{{{_MODEL}}}", "v{{model_version}}")], "percentunit"),
        Panel("Latency, 99 %", [(f"mlops:latency_seconds:p99_5m{{{_MODEL}}}", "v{{model_version}}")], "s"),
        Panel("Waits for a person", [(f"mlops_rollout_held_seconds{{{_SERVICE}}}", "{{kind}}")], "s", "stat"),
    ),
    variables=(("service", "label_values(mlops_rollout_phase, service)"),),
)  # fmt: skip


def _asked(resource: str, pods: str) -> str:
    """What containers ask for. Pods that have ended are listed with it until they are deleted."""
    here = f'kube_pod_status_phase{{{pods}, phase=~"Pending|Running"}} == 1'
    asked = f'kube_pod_container_resource_requests{{{pods}, resource="{resource}"}}'
    return f"{asked} and on (namespace, pod) ({here})"


def _price(pods: str, by: str = "") -> str:
    """Price of an hour of what is asked for."""
    cpu, memory = (f"sum{by} ({_asked(resource, pods)})" for resource in ("cpu", "memory"))
    return f"({cpu} * $cpu_price + {memory} / 1e9 * $memory_price)"


_BY_NAMESPACE = " by (namespace)"
_USED = f'{_NAMESPACES}, container!=""'  # without a container: the sum over its pod
COST = Dashboard(
    "cost",
    "MLOps: cost",
    (
        Panel("CPU that is asked for", [(f"sum by (namespace) ({_asked('cpu', _NAMESPACES)})", "{{namespace}}")], "cores"),
        Panel("CPU that is used", [(f"sum by (namespace) (rate(container_cpu_usage_seconds_total{{{_USED}}}[5m]))", "{{namespace}}")], "cores"),
        Panel("Memory that is asked for", [(f"sum by (namespace) ({_asked('memory', _NAMESPACES)})", "{{namespace}}")], "bytes"),
        Panel("Memory that is used", [(f"sum by (namespace) (container_memory_working_set_bytes{{{_USED}}})", "{{namespace}}")], "bytes"),
        Panel("Price of an hour, by what is asked for", [(_price(_NAMESPACES, _BY_NAMESPACE), "{{namespace}}")]),
        Panel("Price of 1,000 predictions", [(_price('namespace="mlops-models"') + " / 3600 / sum(mlops:rows:rate5m) * 1000", "all models")]),
        Panel("CPU minutes of retrainings", [("mlops_retraining_cpu_minutes", "{{model}}")], "m"),
        Panel("Disks", [(f"sum by (persistentvolumeclaim) (kubelet_volume_stats_used_bytes{{{_NAMESPACES}}})", "{{persistentvolumeclaim}}")], "bytes"),
    ),
    constants=(("cpu_price", "0.04"), ("memory_price", "0.005")),
)  # fmt: skip
DASHBOARDS = (FLEET, MODEL, ROLLOUT, COST)


def build_dashboard(dashboard: Dashboard) -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    return {
        "uid": f"mlops-{dashboard.name}",
        "title": dashboard.title,
        "tags": ["mlops-assets"],
        "timezone": "utc",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": list(_variables(dashboard))},
        "panels": [_panel(at, panel) for at, panel in enumerate(dashboard.panels)],
    }


_SOURCE = {"type": "prometheus", "uid": "${source}"}


def _variables(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    yield {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    for name, query in dashboard.variables:
        yield {
            "name": name,
            "type": "query",
            "datasource": _SOURCE,
            "query": query,
            "refresh": 2,
            "includeAll": True,
            "multi": True,
        }
    for name, value in dashboard.constants:
        yield {"name": name, "type": "textbox", "query": value, "current": {"value": value}}


def _panel(at: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(at * _WIDTH, _COLUMNS)
    return {
        "id": at + 1,
        "title": panel.title,
        "type": panel.shape,
        "datasource": _SOURCE,
        "gridPos": {"h": _HEIGHT, "w": _WIDTH, "x": column, "y": row * _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": _SOURCE,
                "expr": expr,
                "legendFormat": legend,
                "instant": panel.shape in ("stat", "table"),
            }
            for number, (expr, legend) in enumerate(panel.queries)
        ],
    }

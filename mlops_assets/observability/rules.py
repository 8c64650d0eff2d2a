"""The recording and alert rules, as data. What each alert asks of people stands in
`docs/operations.md` under its name; a test holds the two together.

An alert waits (`wait`) longer than what mends itself: a pod that restarts, a scrape that is missed.
What is told keeps no label of the pod that tells it: a new pod would begin the wait anew. For the
same reason waits of hours are durations that the exporter tells, or bridge half an hour.
"""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["page", "ticket"]
"""page: somebody is called now. ticket: somebody looks on the next working day."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that Prometheus computes ahead."""

    name: str
    expr: str


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert.

    Attributes:
        name: Its name, and its heading in `docs/operations.md`.
        expr: When it holds.
        wait: How long it must hold.
        severity: Who cares.
        summary: One line for whoever is called; `{{ }}` is filled in by Prometheus.
    """

    name: str
    expr: str
    wait: str
    severity: Severity
    summary: str


_OURS = 'namespace=~"mlops|mlops-models"'
_CERTIFIED = '"mlops|mlops-models|kserve"'  # kserve: of its webhook and of its gateway
_BACKUP = 'namespace="mlops",cronjob="backup"'
_BY_VERSION = "model_name, model_version"


def _certificates(metric: str, condition: str = "") -> str:
    """A metric about our certificates. cert-manager tells their namespace as `namespace`, which a
    monitor without honorLabels, as its own are, turns into `exported_namespace`."""
    either = ("namespace", "exported_namespace")
    found = (f"{metric}{{{name}=~{_CERTIFIED}{condition}}}" for name in either)
    return f"max by (namespace, exported_namespace, name) ({' or '.join(found)})"


RECORDINGS = (
    Recording(
        "mlops:requests:rate5m",
        f"sum by ({_BY_VERSION}) (rate(mlops_requests_total[5m]))",
    ),
    Recording(
        "mlops:errors:ratio5m",
        f'sum by ({_BY_VERSION}) (rate(mlops_requests_total{{code="5xx"}}[5m]))'
        f" / sum by ({_BY_VERSION}) (rate(mlops_requests_total[5m]))",
    ),
    Recording(
        "mlops:latency_seconds:p99_5m",
        f"histogram_quantile(0.99, sum by ({_BY_VERSION}, le)"
        " (rate(request_predict_seconds_bucket[5m])))",
    ),
    Recording("mlops:rows:rate5m", f"sum by ({_BY_VERSION}) (rate(mlops_rows_total[5m]))"),
)

ROLLOUTS = (
    Alert(
        "RolloutRolledBack",
        'max by (service, model) (mlops_rollout_phase{phase="rolled_back"}) == 1'
        " and on (service) mlops_rollout_phase_seconds < 86400",
        "0m", "page", "{{ $labels.service }}: the new version was rolled back",
    ),
    Alert(
        "RolloutFailed",
        'max by (service, model) (mlops_rollout_phase{phase="failed"}) == 1'
        " and on (service) mlops_rollout_phase_seconds < 86400",
        "0m", "ticket", "{{ $labels.service }}: the new version could not run",
    ),
    Alert(
        "RolloutNotEvaluated",
        "max by (service) (mlops_rollout_tick_age_seconds) > 900", "5m", "page",
        "{{ $labels.service }}: nobody decides on a rollout that is under way",
    ),
    Alert(
        "RolloutStuck",
        "max by (service) (mlops_rollout_phase_seconds) > 172800"
        " and on (service) mlops_rollout_is_over == 0"
        " unless on (service) mlops_rollout_held_seconds",
        "15m", "ticket", "{{ $labels.service }}: two days in one phase",
    ),
    Alert(
        "RolloutWaitsForPerson",
        "max by (service, kind) (mlops_rollout_held_seconds) > 14400"
        " and on (service) mlops_rollout_is_over == 0",
        "5m", "ticket", "{{ $labels.service }}: {{ $labels.kind }}, somebody must say what to do",
    ),
)  # fmt: skip

MODELS = (
    Alert(
        "DriftUnresolved",
        "max by (model) (max_over_time("
        'mlops_window_verdict{verdict=~"drift_harmful|concept_drift|broken_data"}[30m])) == 1',
        "24h", "ticket", "{{ $labels.model }}: harmful drift or broken data for a day",
    ),
    Alert(
        "WindowsOverdue", "max by (model) (mlops_window_age_seconds) > 259200", "1h", "ticket",
        "{{ $labels.model }}: no window was judged for three days",
    ),
    Alert(
        "RetrainingNotDecided",
        "max by (model) (mlops_retraining_decision_age_seconds) > 7200", "15m", "ticket",
        "{{ $labels.model }}: nobody decides whether to train again",
    ),
    Alert(
        "PredictorErrors",
        "mlops:errors:ratio5m > 0.02 and mlops:requests:rate5m > 0.1",
        "5m", "page", "{{ $labels.model_name }} v{{ $labels.model_version }}: 2 % of answers fail",
    ),
    Alert(
        "PredictorSlow", "mlops:latency_seconds:p99_5m > 1", "15m", "ticket",
        "{{ $labels.model_name }} v{{ $labels.model_version }}: one in 100 waits over a second",
    ),
)  # fmt: skip

RUNS = (
    Alert(
        "RunsFailing",
        'max by (dagster_job) (mlops_runs_last_day{status="FAILURE"}) >= 3', "0m", "ticket",
        "{{ $labels.dagster_job }}: {{ $value }} runs failed within a day",
    ),
    Alert(
        "RunRetryLost", "max(mlops_run_retries_lost) > 0", "10m", "ticket",
        "{{ $value }} failed runs should have been tried again and were not",
    ),
    Alert(
        "RunsWaiting", "max(mlops_run_longest_wait_seconds) > 3600", "5m", "ticket",
        "a run waits for an hour",
    ),
    Alert(
        "DaemonSilent", "max by (daemon) (mlops_daemon_silent_seconds) > 300", "5m", "page",
        "Dagster's daemon {{ $labels.daemon }} gives no sign",
    ),
    Alert(
        "TickFailed", "max by (kind, instigator) (mlops_tick_failed) == 1", "15m", "ticket",
        "{{ $labels.kind }} {{ $labels.instigator }} fails",
    ),
    Alert(
        "TicksOverdue",
        'max by (instigator) (mlops_tick_age_seconds{kind="sensor"}) > 900', "5m", "page",
        "sensor {{ $labels.instigator }} was not evaluated for 15 minutes",
    ),
    Alert(
        "NotificationsFailing",
        'max by (model, kind) (mlops_notifications_last_day{state="failed"}) > 0', "30m", "ticket",
        "{{ $labels.model }}: {{ $value }} notifications ({{ $labels.kind }}) reached nobody",
    ),
    Alert(
        "SourceDown", "max by (source) (mlops_source_up) == 0", "10m", "ticket",
        "the exporter cannot read {{ $labels.source }}",
    ),
    Alert(
        "ExporterGone", "absent(mlops_source_up)", "10m", "page",
        "nothing is known of runs and rollouts: the exporter does not answer",
    ),
)  # fmt: skip

LOG = (
    Alert(
        "SinkLags", "max by (pod) (mlops_sink_lag_seconds) > 300", "10m", "ticket",
        "predictions reach the tables {{ $value }} s late",
    ),
    Alert(
        "SinkDiskFull",
        'sum by (pod) (increase(mlops_sink_refused_total{code="503"}[10m])) > 0', "0m", "page",
        "the sink refuses events: its disk is full",
    ),
    Alert(
        "EventsDropped",
        "sum by (model_name) (increase(mlops_unlogged_total[15m])) > 0", "0m", "page",
        "{{ $labels.model_name }}: predictions were answered and not logged",
    ),
    Alert(
        "LogNotShipped", "max by (model_name) (mlops_unshipped_bytes) > 500000000", "15m", "ticket",
        "{{ $labels.model_name }}: 500 MB of its log wait for the sink",
    ),
)  # fmt: skip

CLUSTER = (
    Alert(
        "CertificateExpires",
        _certificates("certmanager_certificate_expiration_timestamp_seconds")
        + " - time() < 604800",
        "1h", "ticket", "certificate {{ $labels.name }} ends within a week and was not renewed",
    ),
    Alert(
        "CertificateNotReady",
        _certificates("certmanager_certificate_ready_status", ', condition!="True"') + " == 1",
        "15m", "page",
        "certificate {{ $labels.name }} is not valid",
    ),
    Alert(
        "DiskFills",
        "min by (namespace, persistentvolumeclaim)"
        f" (kubelet_volume_stats_available_bytes{{{_OURS}}}"
        f" / kubelet_volume_stats_capacity_bytes{{{_OURS}}}) < 0.15",
        "10m", "page", "{{ $labels.persistentvolumeclaim }} is 85 % full",
    ),
    Alert(
        "PodsMissing",
        "max by (namespace, deployment)"
        f" (kube_deployment_status_replicas_unavailable{{{_OURS}}}) > 0"
        f" or max by (namespace, statefulset) (kube_statefulset_replicas{{{_OURS}}}"
        f" - kube_statefulset_status_replicas_ready{{{_OURS}}}) > 0",
        "15m", "page",
        "{{ $labels.deployment }}{{ $labels.statefulset }}: {{ $value }} pods are not there",
    ),
    Alert(
        "PodRestarts",
        "max by (namespace, pod)"
        f" (increase(kube_pod_container_status_restarts_total{{{_OURS}}}[1h])) > 3", "0m", "ticket",
        "{{ $labels.pod }} restarted {{ $value }} times within an hour",
    ),
    Alert(  # 30 h: a night, and as long as the Job may start and run late; a test compares
        "BackupOverdue",
        "time() - max by (namespace, cronjob) (kube_cronjob_status_last_successful_time"
        f"{{{_BACKUP}}} or kube_cronjob_created{{{_BACKUP}}}) > 108000",
        "15m", "ticket", "the last good backup is {{ $value | humanizeDuration }} old",
    ),
)  # fmt: skip

GROUPS = {"rollouts": ROLLOUTS, "models": MODELS, "runs": RUNS, "log": LOG, "cluster": CLUSTER}
ALERTS = tuple(alert for group in GROUPS.values() for alert in group)

"""What the platform's exporter tells: facts, and their text in Prometheus' format. Pure.

The names stay: alert rules and dashboards go by them (`rules.py`, `dashboards.py`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

Labels = tuple[tuple[str, str], ...]
TARGET_LABELS = frozenset({"job", "instance", "namespace", "pod", "container", "endpoint"})
"""What a PodMonitor sets on every series. A metric's own label of such a name would be renamed to
`exported_…`, and an alert that sums by it would count all scrapes of one monitor together."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric."""

    name: str
    value: float
    labels: Labels = ()


def sample(metric: str, value: float, **labels: str) -> Sample:
    """A sample; its metric must be one of `METRICS`, its labels none of `TARGET_LABELS`."""
    if TARGET_LABELS & labels.keys():
        raise ValueError(
            f"{metric}: Prometheus sets {sorted(TARGET_LABELS & labels.keys())} itself"
        )
    return Sample(metric, value, tuple(labels.items()))


METRICS: Mapping[str, str] = {
    "mlops_source_up": "1: what this source tells was read at the last attempt, not long ago.",
    "mlops_source_age_seconds": "Since that attempt ended.",
    "mlops_runs_last_day": "Runs of the last 24 hours by job and status.",
    "mlops_runs_queued": "Runs that wait for their turn.",
    "mlops_run_longest_wait_seconds": "How long the oldest of them waits.",
    "mlops_run_retries_lost": "Failed runs of the last day that should have been tried again.",
    "mlops_daemon_silent_seconds": "Since when a daemon of Dagster gave no sign.",
    "mlops_tick_age_seconds": "Since the last tick of a running sensor or schedule.",
    "mlops_tick_failed": "1: that tick failed.",
    "mlops_rollout_phase": "1: the last rollout of a service stands in this phase.",
    "mlops_rollout_phase_seconds": "How long it stands there.",
    "mlops_rollout_is_over": "1: it ended.",
    "mlops_rollout_tick_age_seconds": "Since the last decision of a rollout that is not over.",
    "mlops_rollout_traffic_percent": "Share of the requests that a rollout wants for a role.",
    "mlops_rollout_held_seconds": "How long it waits for a person, by what kind of word.",
    "mlops_window_verdict": "1: the latest judged window of a model has this verdict.",
    "mlops_window_age_seconds": "Since the end of that window.",
    "mlops_window_drift_ratio": "Share of the importance that drifted in it.",
    "mlops_retraining_attempts": "Retrainings that are remembered, by trigger and outcome.",
    "mlops_retraining_cpu_minutes": "What they cost.",
    "mlops_retraining_decision_age_seconds": "Since the last decision whether to train again.",
    "mlops_notifications_last_day": "Notifications of the last 24 hours and what became of them.",
}
"""Every metric of the exporter with its meaning. All are gauges: they count what is there."""


@dataclass(slots=True)
class Facts:
    """What was read, and which sources answered."""

    samples: list[Sample] = field(default_factory=list)
    sources: dict[str, bool] = field(default_factory=dict)


def render(facts: Facts) -> str:
    """All facts as Prometheus reads them; names without a sample are left out."""
    up = [sample("mlops_source_up", ok, source=name) for name, ok in facts.sources.items()]
    lines = list(_lines([*up, *facts.samples]))
    return "\n".join([*lines, ""])


def _lines(samples: Iterable[Sample]) -> Iterator[str]:
    by_name: dict[str, list[Sample]] = {name: [] for name in METRICS}
    for each in samples:
        by_name[each.name].append(each)  # KeyError: a name without a meaning
    for name, found in by_name.items():
        if not found:
            continue
        yield f"# HELP {name} {METRICS[name]}"
        yield f"# TYPE {name} gauge"
        for each in found:
            labels = ",".join(f'{key}="{_escape(value)}"' for key, value in each.labels)
            yield f"{name}{{{labels}}} {each.value:.10g}" if labels else f"{name} {each.value:.10g}"


def _escape(value: str) -> str:
    r"""A label's value.

    >>> _escape('a "b"\n')
    'a \\"b\\"\\n'
    """
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

"""Monitors, rules and dashboards: written from one place, and about metrics that exist."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import promql_parser
import pytest
import yaml

from mlops_assets.observability.facts import METRICS, TARGET_LABELS
from mlops_assets.observability.manifests import build_files
from mlops_assets.observability.rules import ALERTS, RECORDINGS, Alert
from mlops_assets_tests.k8s.edges import edges_of
from mlops_assets_tests.k8s.made_pods import predictor_pod
from mlops_assets_tests.k8s.rendering import OVERLAYS, pods_of, render, selects
from mlops_assets_tests.serving.running import (
    find_free_port,
    running_module,
    running_predictor,
    wait_for,
)

ROOT = Path(__file__).parents[2]
COMPONENT = ROOT / "k8s" / "components" / "prometheus"

FOREIGN = {
    "certmanager_certificate_expiration_timestamp_seconds": "cert-manager",
    "certmanager_certificate_ready_status": "cert-manager",
    "container_cpu_usage_seconds_total": "kubelet (cAdvisor)",
    "container_memory_working_set_bytes": "kubelet (cAdvisor)",
    "kube_cronjob_created": "kube-state-metrics",
    "kube_cronjob_status_last_successful_time": "kube-state-metrics",
    "kube_deployment_status_replicas_unavailable": "kube-state-metrics",
    "kube_pod_container_resource_requests": "kube-state-metrics",
    "kube_pod_container_status_restarts_total": "kube-state-metrics",
    "kube_pod_status_phase": "kube-state-metrics",
    "kube_statefulset_replicas": "kube-state-metrics",
    "kube_statefulset_status_replicas_ready": "kube-state-metrics",
    "kubelet_volume_stats_available_bytes": "kubelet",
    "kubelet_volume_stats_capacity_bytes": "kubelet",
    "kubelet_volume_stats_used_bytes": "kubelet",
}
"""Metrics of others, with who tells them; each is among the stable ones of its documents."""


def expressions() -> Iterator[tuple[str, str]]:
    """Every PromQL expression, with where it stands."""
    files = build_files()
    for group in yaml.safe_load(files["rules.yaml"])["spec"]["groups"]:
        for rule in group["rules"]:
            yield rule.get("alert") or rule["record"], rule["expr"]
    for name, text in files.items():
        if name.endswith(".json"):
            for panel in json.loads(text)["panels"]:
                for target in panel["targets"]:
                    yield f"{name}: {panel['title']}", target["expr"]


def filled_in(expr: str) -> str:
    """An expression with numbers for the dashboard's variables."""
    return re.sub(r"\$(\w+_price)", "1", expr)


def selectors_of(node: Any) -> Iterator[Any]:
    """The selectors of metrics in a parsed expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
        return
    for attribute in ("lhs", "rhs", "expr", "args", "vector_selector", "param"):
        child = getattr(node, attribute, None)
        for each in child if isinstance(child, list) else [child]:
            if each is not None and not isinstance(each, str):
                yield from selectors_of(each)


def metrics_of(node: Any) -> Iterator[str]:
    """The names of metrics in a parsed expression."""
    return (selector.name for selector in selectors_of(node) if selector.name)


def used() -> dict[str, str]:
    """Every metric that an expression names, with one place where it stands."""
    return {
        metric: place
        for place, expr in expressions()
        for metric in metrics_of(promql_parser.parse(filled_in(expr)))
    }


def names_in(text: str) -> set[str]:
    return {re.split(r"[{ ]", line)[0] for line in text.splitlines() if line[:1] not in ("#", "")}


def test_what_stands_in_the_repository_is_what_is_written() -> None:
    written = {
        path.relative_to(COMPONENT).as_posix(): path.read_text()
        for path in COMPONENT.rglob("*")
        if path.is_file()
    }
    assert written == build_files(), "run `make manifests`"


@pytest.mark.parametrize(("place", "expr"), list(expressions()))
def test_every_expression_parses_and_names_a_metric(place: str, expr: str) -> None:
    assert list(metrics_of(promql_parser.parse(filled_in(expr)))), place


def test_the_names_are_found_in_nested_expressions() -> None:
    nested = "histogram_quantile(0.9, sum by (le) (rate(a_bucket[5m]))) > 1 unless on (x) (-b)"
    assert set(metrics_of(promql_parser.parse(nested))) == {"a_bucket", "b"}


@pytest.fixture(scope="module")
def told_by_servers(positive_model: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The metrics of a predictor and of a sink."""
    home = tmp_path_factory.mktemp("home")
    log = ("--log-dir", str(home / "log"), "--log-sink", "http://127.0.0.1:9")
    with running_predictor(positive_model, *log) as url:
        text = httpx.get(f"{url}/metrics", trust_env=False).text
    port = find_free_port()
    with running_module(
        "mlops_assets.serving.sink", f"--home={home / 'sink'}", f"--port={port}"
    ) as process:
        wait_for(f"http://127.0.0.1:{port}/health", process)
        return text + httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text


def test_no_label_is_one_that_a_monitor_renames(told_by_servers: str) -> None:
    labels = set(re.findall(r'[{,](\w+)="', told_by_servers))
    assert "model_name" in labels
    assert not labels & TARGET_LABELS  # of the exporter: test_facts.py
    monitors = list(yaml.safe_load_all(build_files()["monitors.yaml"]))
    assert {each["kind"] for each in monitors} == {"PodMonitor"}  # a ServiceMonitor sets more


def test_every_metric_is_one_that_a_server_tells(told_by_servers: str) -> None:
    told = names_in(told_by_servers)
    told |= set(METRICS)  # the exporter cannot tell another one: test_facts.py
    told |= {recording.name for recording in RECORDINGS}
    unknown = {name: place for name, place in used().items() if name not in told | set(FOREIGN)}
    assert unknown == {}
    assert set(FOREIGN) <= set(used()), "an entry of FOREIGN that nothing uses"


def expr_of(name: str) -> str:
    return next(alert.expr for alert in ALERTS if alert.name == name)


def labels_of(node: Any) -> frozenset[str] | None:
    """The labels that an expression's result has; None: all that its series have.

    Only what the alerts are made of; an operand of `or` adds its own.
    """
    match node:
        case promql_parser.AggregateExpr():
            by = node.modifier
            assert by is None or by.type == promql_parser.AggModifierType.By
            return frozenset(by.labels if by else ())
        case promql_parser.BinaryExpr():
            sides = [s for s in (node.lhs, node.rhs) if not is_scalar(s)]
            kept = [labels_of(side) for side in (sides if str(node.op) == "or" else sides[:1])]
            return None if None in kept else frozenset().union(*(k for k in kept if k is not None))
        case promql_parser.ParenExpr():
            return labels_of(node.expr)
        case promql_parser.Call() if node.func.name == "absent":
            return frozenset()
        case promql_parser.VectorSelector() if node.name in RECORDED:
            return labels_of(promql_parser.parse(RECORDED[node.name]))
        case promql_parser.Call() if node.func.name == "histogram_quantile":
            return labels_of(node.args[1])
        case _:
            return None


def is_scalar(node: Any) -> bool:
    return isinstance(node, promql_parser.NumberLiteral) or (
        isinstance(node, promql_parser.Call) and node.func.name == "time"
    )


RECORDED = {recording.name: recording.expr for recording in RECORDINGS}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_a_new_pod_of_who_tells_it_does_not_begin_an_alerts_wait_anew(alert: Alert) -> None:
    labels = labels_of(promql_parser.parse(alert.expr))
    assert labels is not None, "keeps all labels"
    of_a_pod = labels & {"pod", "instance", "container", "endpoint", "job"}
    # A pod of the sink keeps its name; that of a pod that restarts is what the alert is about.
    assert of_a_pod <= (
        {"pod"} if alert.name in ("SinkLags", "SinkDiskFull", "PodRestarts") else set()
    )
    assert set(re.findall(r"\$labels\.(\w+)", alert.summary)) <= labels


def test_the_cost_of_a_pod_is_counted_once_and_while_it_lives() -> None:
    boards = [(place, expr) for place, expr in expressions() if "cost.json" in place]
    for place, expr in boards:
        selectors = list(selectors_of(promql_parser.parse(filled_in(expr))))
        for selector in selectors:
            filters = {(m.name, m.value) for m in selector.matchers.matchers}
            if selector.name.startswith("container_"):
                assert ("container", "") in filters, place  # else its pod's sum comes on top
        asked = [s for s in selectors if s.name == "kube_pod_container_resource_requests"]
        phases = [s for s in selectors if s.name == "kube_pod_status_phase"]
        assert len(asked) == len(phases), place
        if "Price" in place:
            resources = {
                m.value for s in asked for m in s.matchers.matchers if m.name == "resource"
            }
            assert resources == {"cpu", "memory"}, place


@pytest.mark.parametrize("name", ["CertificateExpires", "CertificateNotReady"])
def test_certificates_are_found_whatever_the_monitor_makes_of_their_namespace(name: str) -> None:
    told_as = {
        matcher.name
        for selector in selectors_of(promql_parser.parse(expr_of(name)))
        for matcher in selector.matchers.matchers
        if all(re.fullmatch(matcher.value, n) for n in ("mlops", "mlops-models", "kserve"))
    }
    assert told_as == {"namespace", "exported_namespace"}


def test_a_monitor_names_the_port_of_its_pods_and_the_edge_lets_it_through() -> None:
    pods = [*pods_of(render("production")), predictor_pod("production")]
    edges = [edge for edge in edges_of(render("production")) if edge.peer_namespace == "monitoring"]
    for monitor in yaml.safe_load_all(build_files()["monitors.yaml"]):
        (pod,) = (p for p in pods if selects(monitor["spec"]["selector"], p.labels))
        names = {each["port"] for each in monitor["spec"]["podMetricsEndpoints"]}
        (port,) = (
            port["containerPort"]
            for container in pod.containers
            for port in container.get("ports", ())
            if port["name"] in names
        )
        assert any(edge.fits(pod) and (port, "TCP") in edge.ports for edge in edges)
        if pod.labels.get("component") == "predictor":
            assert "user-port" in names  # Knative calls the port so, whatever the runtime says


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_whatever_keeps_pods_is_watched(overlay: str) -> None:
    watched = {
        "Deployment": "kube_deployment_status_replicas_unavailable",
        "StatefulSet": "kube_statefulset_status_replicas_ready",
        "CronJob": "kube_cronjob_status_last_successful_time",
    }
    kinds = {content["kind"] for content in render(overlay)} & {*watched, "DaemonSet"}
    assert {watched[kind] for kind in kinds} <= used().keys()


def test_a_backup_is_overdue_when_its_job_can_no_longer_be_on_time() -> None:
    (job,) = (
        content
        for content in render("production")
        if (content["kind"], content["metadata"]["name"]) == ("CronJob", "backup")
    )
    names = {
        matcher.name: matcher.value
        for selector in selectors_of(promql_parser.parse(expr_of("BackupOverdue")))
        for matcher in selector.matchers.matchers
    }
    assert names == {"namespace": job["metadata"]["namespace"], "cronjob": job["metadata"]["name"]}
    spec = job["spec"]
    assert re.fullmatch(r"\d+ \d+ \* \* \*", spec["schedule"])  # once a day
    late = spec["startingDeadlineSeconds"] + spec["jobTemplate"]["spec"]["activeDeadlineSeconds"]
    seconds = int(expr_of("BackupOverdue").rpartition("> ")[2])
    assert 86_400 + late <= seconds <= 86_400 + 2 * late


def test_every_alert_has_a_heading_that_says_what_to_do() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    headings = re.findall(r"^#### (\w+)$", page, re.MULTILINE)
    assert headings == [alert.name for alert in ALERTS]


def test_names_are_unique_and_severities_few() -> None:
    names = [alert.name for alert in ALERTS]
    assert len(set(names)) == len(names)
    assert {alert.severity for alert in ALERTS} == {"page", "ticket"}

"""Probes ask what there is: a port of their container, and a path that its program answers."""

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_assets_tests.k8s.holding import Container, held_by, variables_of
from mlops_assets_tests.k8s.made_pods import all_pods
from mlops_assets_tests.k8s.rendering import OVERLAYS, Pod, render
from mlops_assets_tests.serving.running import (
    find_free_port,
    running_module,
    running_predictor,
    wait_for,
)

_LOGIN = frozenset({"/ping", "/ready"})  # as its documentation names them
ANSWERED: Mapping[str, frozenset[str]] = {
    "Deployment mlops/dagster-webserver": frozenset({"/server_info"}),
    "Deployment mlops/exporter": frozenset({"/health", "/ready"}),
    "Deployment mlops/mlflow": frozenset({"/health"}),
    "Deployment mlops/oidc-proxy-automation": _LOGIN,
    "Deployment mlops/oidc-proxy-dagster": _LOGIN,
    "Deployment mlops/oidc-proxy-mlflow": _LOGIN,
    "StatefulSet mlops/sink": frozenset({"/health", "/metrics"}),
    "pod of a predictor": frozenset({"/v2/health/live", "/v2/models/churn/ready"}),
}
"""Paths by which a pod may be probed. The tests below ask our programs for them; on one machine the
platform waits for those of Dagster and MLflow (`mlops_assets/platform/servers.py`)."""


def probes(overlay: str) -> Iterator[tuple[Pod, Container, Mapping[str, Any]]]:
    for pod in all_pods(overlay):
        for container in pod.containers:
            for name in ("startupProbe", "readinessProbe", "livenessProbe"):
                if name in container:
                    yield pod, container, container[name]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_probes_ask_a_port_of_their_container(overlay: str) -> None:
    strangers, n_asked = [], 0
    for pod, container, probe in probes(overlay):
        opened = container.get("ports", ())
        known = {p["name"] for p in opened} | {p["containerPort"] for p in opened}
        for kind in ("httpGet", "tcpSocket", "grpc"):
            if kind in probe:
                n_asked += 1
                if probe[kind]["port"] not in known:
                    strangers.append(f"{pod.owner}: {probe[kind]['port']}")
    assert n_asked > 10
    assert strangers == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_probes_ask_a_path_that_is_answered(overlay: str) -> None:
    for pod, _, probe in probes(overlay):
        if "httpGet" in probe:
            assert probe["httpGet"]["path"] in ANSWERED[pod.owner], pod.owner


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_mlflow_is_probed_by_a_name_that_it_allows(overlay: str) -> None:
    """It refuses others with 403, and the kubelet asks by the pod's address."""
    for pod, container, probe in probes(overlay):
        if pod.owner == "Deployment mlops/mlflow":
            settings = variables_of(pod, container, held_by(render(overlay)))
            (host,) = (h["value"] for h in probe["httpGet"]["httpHeaders"] if h["name"] == "Host")
            assert host in settings["MLFLOW_ALLOWED_HOSTS"].split(",")


def _statuses(url: str, paths: frozenset[str]) -> set[int]:
    return {httpx.get(f"{url}{path}", trust_env=False).status_code for path in paths}


def test_the_predictor_answers_its_probes(positive_model: Path) -> None:
    paths = {path.replace("churn", "toy") for path in ANSWERED["pod of a predictor"]}
    with running_predictor(positive_model) as url:
        assert _statuses(url, frozenset(paths)) == {200}


def test_the_sink_answers_its_probes(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{(port := find_free_port())}"
    arguments = f"--home={tmp_path}", f"--port={port}"
    with running_module("mlops_assets.serving.sink", *arguments) as process:
        wait_for(f"{url}/health", process)
        assert _statuses(url, ANSWERED["StatefulSet mlops/sink"]) == {200}


def test_the_exporter_answers_its_probes() -> None:
    from mlops_assets.observability.exporter import Exporter, build_server

    with build_server(Exporter({}), "127.0.0.1", 0) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        found = _statuses(url, ANSWERED["Deployment mlops/exporter"])
        server.shutdown()
        serving.join()
    assert found == {200}

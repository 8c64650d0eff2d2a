"""Nobody reaches anybody without a reason, and whoever has one gets through on both sides."""

import pytest

from mlops_assets.kserve.manifest import PORT
from mlops_assets_tests.k8s.edges import REASON, Edge, edges_of
from mlops_assets_tests.k8s.made_pods import all_pods, predictor_pod
from mlops_assets_tests.k8s.rendering import MIXED, OVERLAYS, Object, Pod, render

OURS = {"mlops", "mlops-models"}


@pytest.fixture(params=[*OVERLAYS, *MIXED])
def overlay(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def pods(overlay: str) -> list[Pod]:
    return all_pods(overlay)


def test_both_namespaces_refuse_what_nobody_names(overlay: str) -> None:
    refusing = {
        policy["metadata"]["namespace"]
        for policy in _policies(overlay)
        if policy["spec"]["podSelector"] == {}
        and set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
        and not policy["spec"].keys() & {"ingress", "egress"}
    }
    assert refusing == OURS


def test_every_policy_has_a_reason_and_every_rule_names_peers_and_ports(overlay: str) -> None:
    for policy in _policies(overlay):
        name, spec = policy["metadata"]["name"], policy["spec"]
        assert len(policy["metadata"]["annotations"][REASON]) > 10, name
        for rule in spec.get("ingress", []):
            assert rule["from"], name
            assert rule["ports"], name
        for rule in spec.get("egress", []):
            assert rule["to"], name
            assert rule["ports"], name
        directions = {d.capitalize() for d in ("ingress", "egress") if d in spec}
        assert directions <= set(spec["policyTypes"]), name


def test_every_edge_is_of_pods_that_there_are(overlay: str, pods: list[Pod]) -> None:
    for edge in edges_of(render(overlay)):
        assert any(edge.fits(pod) for pod in pods), edge.policy
        if edge.peer_namespace in OURS:
            assert any(edge.reaches(pod) for pod in pods), edge.policy


def test_who_may_call_is_let_in_and_who_is_let_in_may_call(overlay: str, pods: list[Pod]) -> None:
    edges = list(edges_of(render(overlay)))
    for caller in pods:
        for called in pods:
            out = _ports(edges, "egress", caller, called)
            into = _ports(edges, "ingress", called, caller)
            assert out == into, f"{caller.owner} to {called.owner}: {out} out, {into} in"


def test_ports_that_are_let_in_are_open(overlay: str, pods: list[Pod]) -> None:
    for edge in edges_of(render(overlay)):
        for pod in pods:
            if edge.direction == "ingress" and edge.fits(pod):
                open_ports = {
                    p["containerPort"] for c in pod.containers for p in c.get("ports", ())
                }
                sidecar = {8012, 8112, 9090, 9091}  # which Knative puts beside a predictor
                named = {port for port, _ in edge.ports}
                assert named <= open_ports | sidecar, edge.policy


def test_ports_that_stand_open_are_reached_by_somebody(overlay: str, pods: list[Pod]) -> None:
    edges = [edge for edge in edges_of(render(overlay)) if edge.direction == "ingress"]
    closed = {
        pod.owner
        for pod in pods
        if any(c.get("ports") for c in pod.containers)
        and not any(edge.fits(pod) and edge.ports for edge in edges)
    }
    # Without a login in front of it, a page is reached by `kubectl port-forward` alone; so is the
    # exporter where there is no Prometheus.
    assert closed <= {"Deployment mlops/dagster-webserver", "Deployment mlops/exporter"}


def test_whoever_names_a_need_has_the_edge(overlay: str, pods: list[Pod]) -> None:
    edges = [edge for edge in edges_of(render(overlay)) if edge.direction == "egress"]
    for pod in pods:
        needs = {key for key in pod.labels if key.startswith("mlops-assets/uses-")}
        had = {key for e in edges if e.fits(pod) for key in e.pods.get("matchLabels", {})}
        assert needs <= had, pod.owner


def test_predictors_reach_nothing_but_names_the_sink_and_their_models(
    overlay: str,
) -> None:
    pod = predictor_pod(overlay)
    out = {e.policy for e in edges_of(render(overlay)) if e.direction == "egress" and e.fits(pod)}
    assert out == {"all-to-dns", "predictors-to-sink", "predictors-to-object-storage"}


def test_the_api_server_reaches_predictors_from_its_own_address(overlay: str) -> None:
    """By pods/proxy a rollout reads counters, and has a version answer its examples."""
    pod = predictor_pod(overlay)
    blocks = {
        edge.peer["ipBlock"]["cidr"]
        for edge in edges_of(render(overlay))
        if edge.direction == "ingress" and edge.fits(pod) and "ipBlock" in edge.peer
        if (PORT, "TCP") in edge.ports
    }
    assert blocks
    assert not blocks & {"0.0.0.0/0"}


def _policies(overlay: str) -> list[Object]:
    return [content for content in render(overlay) if content["kind"] == "NetworkPolicy"]


def _ports(edges: list[Edge], direction: str, pod: Pod, peer: Pod) -> set[tuple[int, str]]:
    fitting = (e for e in edges if e.direction == direction and e.fits(pod) and e.reaches(peer))
    return {port for edge in fitting for port in edge.ports}

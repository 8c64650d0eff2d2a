"""Whom a pod is told to ask, it reaches: Service, port, and the policies of both ends."""

import pytest

from mlops_assets.cluster_jobs.generated_secrets import SECRETS
from mlops_assets_tests.k8s.addresses import ASKED_BY, Address, Cluster, addresses_in
from mlops_assets_tests.k8s.holding import held_by
from mlops_assets_tests.k8s.made_pods import all_pods, settings_of
from mlops_assets_tests.k8s.rendering import OVERLAYS, render


def told(cluster: Cluster) -> list[str]:
    """Everything that somebody asks in vain."""
    return [
        f"{pod.owner}: {address.host}:{address.port}: {problem}"
        for pod in cluster.pods
        for address in sorted(cluster.asked_by(pod), key=str)
        if (problem := cluster.problem(pod, address)) is not None
    ]


@pytest.fixture(params=OVERLAYS)
def cluster(request: pytest.FixtureRequest) -> Cluster:
    overlay: str = request.param
    return Cluster(render(overlay), all_pods(overlay))


def test_whoever_asks_somebody_gets_there(cluster: Cluster) -> None:
    asking = {pod.owner for pod in cluster.pods if cluster.asked_by(pod)}
    assert {"pod of a run", "pod of a predictor", "Deployment mlops/dagster-daemon"} <= asking
    assert told(cluster) == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_of_every_address_inside_that_all_are_told_it_is_known_who_asks_it(overlay: str) -> None:
    inside = {
        name
        for (kind, _, _), values in held_by(render(overlay)).items()
        for name, value in values.items()
        if kind == "ConfigMap" and name.isupper()
        if any(address.service("mlops") for address in addresses_in(value))
    }
    assert inside <= ASKED_BY.keys()


def test_whoever_is_said_to_ask_is_there() -> None:
    there = {pod.owner for overlay in OVERLAYS for pod in all_pods(overlay)}
    assert {owner for owners in ASKED_BY.values() for owner in owners} <= there


def test_models_are_fetched_from_where_the_platform_keeps_them() -> None:
    (planned,) = (each for each in SECRETS if each.name == "object-storage-read")
    endpoint = planned.annotations["serving.kserve.io/s3-endpoint"]
    assert settings_of("kind")["AWS_ENDPOINT_URL"] == f"http://{endpoint}"


def test_addresses_are_read_as_programs_read_them() -> None:
    found = addresses_in("postgresql://mlflow@pg.a.svc:1/mlflow http://b https://c.example.com/x")
    inside, near, outside = found
    assert (inside.port, inside.service("mlops")) == (1, ("a", "pg"))
    assert (near.port, near.service("mlops")) == (80, ("mlops", "b"))
    assert (outside.port, outside.service("mlops")) == (443, None)
    assert list(addresses_in("s3://bucket and http://localhost:3000")) == []


def test_an_address_that_leads_nowhere_is_told() -> None:
    cluster = Cluster(render("production"), all_pods("production"))
    (run,) = (pod for pod in cluster.pods if pod.owner == "pod of a run")
    assert cluster.problem(run, Address("mlflow", 5000)) is None
    for address, problem in {
        Address("mlflow", 5001): "Service mlops/mlflow has no port 5001",
        Address("mlflow.mlop", 5000): "there is no Service mlop/mlflow",
        Address("dagster-webserver", 80): "no policy lets it to port 3000",
        Address("db.example.com", 5433): "no policy lets it out",
    }.items():
        assert problem in str(cluster.problem(run, address)), address

"""Whom a pod asks, read off what it is told, and whether it gets there.

An address leads somewhere if it is a port of a Service, that port is one of a container, and the
NetworkPolicies of both ends let it through; outside of the cluster, if its port may be reached.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import yaml

from mlops_assets_tests.k8s.edges import Edge, edges_of
from mlops_assets_tests.k8s.holding import held_by, variables_of, words_of
from mlops_assets_tests.k8s.rendering import Object, Pod, selects

_RUNS = ("pod of a run", "Deployment mlops/dagster-code-location")
_STORAGE = (
    *_RUNS, "pod of a predictor", "Deployment mlops/dagster-webserver", "Deployment mlops/exporter",
    "Deployment mlops/mlflow", "StatefulSet mlops/sink", "Job mlops/bucket", "CronJob mlops/backup",
)  # fmt: skip
_DAGSTER = (
    *_RUNS, "Deployment mlops/dagster-webserver", "Deployment mlops/dagster-daemon",
    "Deployment mlops/exporter", "CronJob mlops/backup", "CronJob mlops/migration",
)  # fmt: skip

ASKED_BY: Mapping[str, tuple[str, ...]] = {
    "MLOPS_MLFLOW_URI": _RUNS,
    "MLOPS_KSERVE_INGRESS": _RUNS,
    "MLOPS_PROMETHEUS_URL": _RUNS,
    "AWS_ENDPOINT_URL": _STORAGE,
    "MLOPS_STORAGE_URI": _STORAGE,
    "DAGSTER_PG_HOST": _DAGSTER,
    "MLFLOW_PG_HOST": ("Deployment mlops/mlflow", "CronJob mlops/backup"),
}
"""Variables that all processes are told, by which of them a program asks somebody. What stands in a
pod's own arguments and variables needs no line here."""

OTHERS: Mapping[tuple[str, str], Mapping[int, int]] = {
    ("kourier-system", "kourier"): {80: 8080},
    ("monitoring", "prometheus-operated"): {9090: 9090},
}
"""Services that others install, with the port of their pods behind each of theirs."""

_FETCHER = "storage-initializer"
_SERVED_TO_BROWSERS = "--cors-allowed-origins="
_URL = re.compile(r"(?P<scheme>[a-z0-9]+)://(?:[^/@\s]*@)?(?P<host>[\w.-]+)(?::(?P<port>\d+))?")
_PORTS = {"http": 80, "https": 443, "postgresql": 5432}


@dataclass(frozen=True, slots=True)
class Address:
    """A host, as a program is told it, and its port."""

    host: str
    port: int

    def service(self, namespace: str) -> tuple[str, str] | None:
        """Namespace and name of the Service that it is, seen from a namespace; None: outside."""
        parts = self.host.split(".")
        if len(parts) > 2 and parts[2] != "svc":
            return None
        return (parts[1] if len(parts) > 1 else namespace), parts[0]


def addresses_in(text: str) -> Iterator[Address]:
    """The addresses that a text names; `localhost` is a link for people."""
    for found in _URL.finditer(text):
        if found["scheme"] in _PORTS and found["host"] != "localhost":
            yield Address(found["host"], int(found["port"] or _PORTS[found["scheme"]]))


@dataclass(frozen=True, slots=True)
class Cluster:
    """What an overlay applies, and the pods that come of it."""

    objects: Sequence[Object]
    pods: Sequence[Pod]

    def asked_by(self, pod: Pod) -> set[Address]:
        """Whom a pod asks."""
        held, found = held_by(self.objects), set[Address]()
        for container in pod.containers:
            variables = variables_of(pod, container, held)
            if container["name"] == _FETCHER:  # is told by the Secret of its account
                variables |= self._of_platform()
            for word in words_of(container, variables):
                if not word.startswith(_SERVED_TO_BROWSERS):
                    found |= set(addresses_in(word))
                if word.endswith("workspace.yaml"):
                    found |= set(self._code_locations())
            for name in ASKED_BY.keys() & variables.keys():
                if pod.owner in ASKED_BY[name]:
                    found |= set(_meant(name, variables))
        return found

    def _of_platform(self) -> Mapping[str, str]:
        (found,) = (
            values
            for (_, namespace, name), values in held_by(self.objects).items()
            if namespace == "mlops" and name.startswith("mlops-platform-")
        )
        return found

    def _code_locations(self) -> Iterator[Address]:
        for content in self.objects:
            if content["kind"] == "ConfigMap" and "workspace.yaml" in content["data"]:
                for entry in yaml.safe_load(content["data"]["workspace.yaml"])["load_from"]:
                    server = entry["grpc_server"]
                    yield Address(server["host"], server["port"])

    def problem(self, pod: Pod, address: Address) -> str | None:
        """Why a pod does not get to an address; None: it does."""
        edges = list(edges_of(self.objects))
        out = [edge for edge in edges if edge.direction == "egress" and edge.fits(pod)]
        place = address.service(pod.namespace)
        if place is None:
            blocks = [edge for edge in out if "ipBlock" in edge.peer]
            return None if _open(blocks, address.port) else "no policy lets it out"
        behind = self._port_behind(place, address.port)
        if isinstance(behind, str):
            return behind
        called = self._pods_of(place)
        if not called:
            there = [edge for edge in out if edge.peer_namespace == place[0]]
            return None if _open(there, behind) else f"no policy lets it to port {behind} there"
        for each in called:
            if not _open([edge for edge in out if edge.reaches(each)], behind):
                return f"no policy lets it to port {behind} of {each.owner}"
            into = [e for e in edges if e.direction == "ingress" and e.fits(each)]
            if not _open([edge for edge in into if edge.reaches(pod)], behind):
                return f"no policy of {each.owner} lets it in at port {behind}"
        return None

    def _port_behind(self, place: tuple[str, str], port: int) -> int | str:
        """The port of pods behind one of a Service; or why there is none."""
        if place in OTHERS:
            return OTHERS[place].get(port, f"{'/'.join(place)} has no port {port}")
        spec = self._service(place)
        if spec is None:
            return f"there is no Service {'/'.join(place)}"
        targets = [p.get("targetPort", p["port"]) for p in spec["ports"] if p["port"] == port]
        if not targets:
            return f"Service {'/'.join(place)} has no port {port}"
        for pod in self._pods_of(place):
            opened = {
                p["name"]: p["containerPort"] for c in pod.containers for p in c.get("ports", ())
            }
            target = opened.get(targets[0], targets[0])
            if target not in opened.values():
                return f"{pod.owner} has no port {target}"
            return int(target)
        return int(targets[0])

    def _service(self, place: tuple[str, str]) -> Object | None:
        for content in self.objects:
            metadata = content["metadata"]
            here = metadata.get("namespace"), metadata["name"]
            if content["kind"] == "Service" and here == place:
                spec: Object = content["spec"]
                return spec
        return None

    def _pods_of(self, place: tuple[str, str]) -> list[Pod]:
        spec = self._service(place)
        if spec is None:
            return []
        selector = {"matchLabels": spec["selector"]}
        return [p for p in self.pods if p.namespace == place[0] and selects(selector, p.labels)]


def _meant(name: str, variables: Mapping[str, str]) -> Iterator[Address]:
    """Whom a variable has a program ask."""
    if name.endswith("_PG_HOST"):
        yield Address(variables[name], _PORTS["postgresql"])
    elif name == "MLOPS_STORAGE_URI":  # a bucket: of the endpoint, if one is set, else of Amazon
        if "AWS_ENDPOINT_URL" not in variables:
            yield Address("s3.amazonaws.com", _PORTS["https"])
    else:
        yield from addresses_in(variables[name])


def _open(edges: Sequence[Edge], port: int) -> bool:
    return any((port, "TCP") in edge.ports for edge in edges)

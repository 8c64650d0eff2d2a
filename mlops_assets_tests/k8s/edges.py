"""Who may reach whom, read off the NetworkPolicies."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mlops_assets_tests.k8s.rendering import Object, Pod, selects

REASON = "mlops-assets/reason"
_OWN_NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class Edge:
    """One rule of one policy: some pods and, on the other side, one peer.

    Attributes:
        policy: Name of the policy.
        namespace: Of the pods.
        direction: Seen from the pods.
        pods: Selector of the pods.
        peer: Selector of the peer's pods, its namespace, or a block of addresses.
        ports: Open ports of whoever is reached, with their protocol.
        reason: What the edge is for.
    """

    policy: str
    namespace: str
    direction: Literal["ingress", "egress"]
    pods: Mapping[str, Any]
    peer: Mapping[str, Any]
    ports: frozenset[tuple[int, str]]
    reason: str

    def fits(self, pod: Pod) -> bool:
        """Whether the policy is of this pod."""
        return pod.namespace == self.namespace and selects(self.pods, pod.labels)

    def reaches(self, pod: Pod) -> bool:
        """Whether the peer is this pod."""
        if "ipBlock" in self.peer:
            return False
        own = {_OWN_NAME: self.namespace}
        wanted = self.peer.get("namespaceSelector", {"matchLabels": own})
        there = {_OWN_NAME: pod.namespace}
        return selects(wanted, there) and selects(self.peer.get("podSelector", {}), pod.labels)

    @property
    def peer_namespace(self) -> str | None:
        """Name of the peer's namespace; None for addresses."""
        if "ipBlock" in self.peer:
            return None
        labels = self.peer.get("namespaceSelector", {}).get("matchLabels", {})
        return str(labels.get(_OWN_NAME, self.namespace))


def edges_of(objects: Sequence[Object]) -> Iterator[Edge]:
    """The edges of all NetworkPolicies."""
    for content in objects:
        if content["kind"] != "NetworkPolicy":
            continue
        metadata, spec = content["metadata"], content["spec"]
        sides: tuple[tuple[Literal["ingress", "egress"], str], ...] = (
            ("ingress", "from"),
            ("egress", "to"),
        )
        for direction, side in sides:
            for rule in spec.get(direction, ()):
                ports = {(p["port"], p.get("protocol", "TCP")) for p in rule["ports"]}
                for peer in rule[side]:
                    yield Edge(
                        metadata["name"],
                        metadata["namespace"],
                        direction,
                        spec["podSelector"],
                        peer,
                        frozenset(ports),
                        metadata["annotations"][REASON],
                    )

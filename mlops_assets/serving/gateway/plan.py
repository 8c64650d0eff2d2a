"""What should run and who gets the requests: pure functions of what is declared and what is ready.

The rule that protects users: requests go to ready revisions only, and the revision that served
before stays until the declared one is ready.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mlops_assets.serving.backend import Phase
from mlops_assets.serving.gateway.revisions import Revision, Service


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """Where the process of a revision stands, and why."""

    phase: Literal["starting", "ready", "failed"]
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What one service needs now.

    Attributes:
        run: Revisions that must run; all others of the service stop.
        routes: Revisions that get requests, with their percent; the stable one first. Empty: none.
        phase: Phase of the service.
        reason: Why.
        failed_revision: The declared revision that failed, if any.
        ready_revision: The declared or former stable revision that serves.
    """

    run: tuple[Revision, ...]
    routes: tuple[tuple[Revision, int], ...]
    phase: Phase
    reason: str
    failed_revision: str | None
    ready_revision: str | None

    @property
    def traffic(self) -> dict[str, int]:
        """Percent by name of revision."""
        return {revision.name: percent for revision, percent in self.routes}


def build_plan(
    service: Service, former: Revision | None, states: Mapping[str, ReplicaState]
) -> Plan:
    """The plan for a service.

    Args:
        service: What is declared.
        former: The stable revision that was ready last, when it is not the declared one.
        states: State of each process, by the revision's key.
    """

    def is_ready(revision: Revision) -> bool:
        state = states.get(revision.key)
        return state is not None and state.phase == "ready"

    stable_ready = is_ready(service.stable)
    run = service.revisions
    serving = service.stable if stable_ready else None
    if not stable_ready and former is not None:
        run = (*run, former)
        serving = former if is_ready(former) else None
    canaries = [(r, r.percent) for r in service.revisions[1:] if is_ready(r)]
    routes: tuple[tuple[Revision, int], ...] = ()
    if serving is not None:
        rest = 100 - sum(percent for _, percent in canaries)
        routes = ((serving, rest), *canaries)
    phase, reason, failed = _judge(service, states)
    if phase != "ready" and serving is not None and serving is former:
        reason = f"{reason}; {former.name} still serves"
    return Plan(run, routes, phase, reason, failed, serving.name if serving else None)


def _judge(service: Service, states: Mapping[str, ReplicaState]) -> tuple[Phase, str, str | None]:
    for revision in service.revisions:
        state = states.get(revision.key)
        if state is not None and state.phase == "failed":
            return "failed", f"revision {revision.name} failed: {state.reason}", revision.name
    for revision in service.revisions:
        state = states.get(revision.key)
        if state is None or state.phase == "starting":
            reason = "not started yet" if state is None else state.reason
            return "pending", f"revision {revision.name} is starting: {reason}", None
    names = ", ".join(revision.name for revision in service.revisions)
    return "ready", f"{names} answered the probe", None

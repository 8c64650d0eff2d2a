"""A rollout of version 2 in place of version 1, driven tick by tick by a clock of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from mlops_assets.rollout.decision import Decision, decide
from mlops_assets.rollout.evidence import Arm, ArmEvidence, Evidence, RevisionHealth, Traffic
from mlops_assets.rollout.measures import Histogram, Moments
from mlops_assets.rollout.policy import RolloutPolicy
from mlops_assets.rollout.presets import resolve_policy
from mlops_assets.rollout.state import Command, CommandKind, RolloutState, VersionRef
from mlops_assets.spec.rollout import RolloutSpec

START = datetime(2024, 5, 1, 12, tzinfo=UTC)
READY = RevisionHealth(phase="ready")
ABSENT = RevisionHealth(phase="absent")
FAILED = RevisionHealth(phase="failed", message="CrashLoopBackOff: out of memory")
STARTING = RevisionHealth(phase="starting")

_FAST = Histogram.of(np.linspace(0.001, 0.02, 400))
_SLOW = Histogram.of(np.linspace(0.01, 0.2, 400))


def policy_of(**fields: Any) -> RolloutPolicy:
    """A policy as a document asks for it; errors alone are judged unless said otherwise."""
    document: dict[str, Any] = {
        "strategy": "canary",
        "criteria": [{"metric": "error_ratio", "margin": 0.05}],
        "interval": "10s",
        "minimum_samples": 100,
        "bake_time": "30s",
        "maximum_duration": "1h",
        "watch": {"duration": "1m"},
        "warm_standby": "5m",
    }
    return resolve_policy(RolloutSpec.model_validate(document | fields))


def begin(**fields: Any) -> RolloutState:
    """Version 2 begins to take the place of version 1."""
    return RolloutState.begin(
        "churn",
        "churn",
        stable=VersionRef(version=1, revision="v1"),
        challenger=VersionRef(version=2, revision="v2"),
        now=START,
        **fields,
    )


def arm(n: int, n_errors: int = 0, *, slow: bool = False) -> ArmEvidence:
    """Requests, errors among them, and their latency."""
    return ArmEvidence(
        n_requests=n,
        n_units=n,
        measures={
            "error_ratio": Moments.of_flags(n, n_errors),
            "latency": _SLOW if slow else _FAST,
        },
    )


def healthy(n: int = 1000) -> dict[Arm, ArmEvidence]:
    """Both versions make the same errors: none."""
    return {"stable": arm(5 * n), "challenger": arm(n)}


def harmful(n: int = 1000) -> dict[Arm, ArmEvidence]:
    """The new version fails every second time."""
    return {"stable": arm(5 * n), "challenger": arm(n, n // 2)}


def undecided() -> dict[Arm, ArmEvidence]:
    """Too few to tell."""
    return {"stable": arm(100, 4), "challenger": arm(100, 6)}


SILENT: Mapping[Arm, ArmEvidence] = {}


@dataclass
class Scene:
    """The world around a rollout: it does what it is told to, at once, unless said otherwise.

    Attributes:
        policy: The rules.
        state: What is stored.
        now: The clock.
        declared: What the router was told.
        aliases: What the registry says.
        arms: What requests show from now on.
        decisions: Every decision so far.
        obeys: Whether decisions are carried out.
    """

    policy: RolloutPolicy = field(default_factory=policy_of)
    state: RolloutState = field(default_factory=begin)
    now: datetime = START
    declared: Traffic | None = field(default_factory=lambda: Traffic(stable=100))
    aliases: dict[str, int] | None = field(default_factory=lambda: {"champion": 1})
    arms: Mapping[Arm, ArmEvidence] = field(default_factory=healthy)
    stable: RevisionHealth = READY
    challenger: RevisionHealth = READY
    source_error: str | None = None
    newest_version: int | None = 2
    probe: bool | None = True
    decisions: list[Decision] = field(default_factory=list)
    obeys: bool = True

    def evidence(self, **changes: Any) -> Evidence:
        """What is known now."""
        fields: dict[str, Any] = {
            "since": self.state.evidence_from,
            "until": self.now,
            "arms": {} if self.source_error else self.arms,
            "source_error": self.source_error,
            "stable": self.stable,
            "challenger": self.challenger,
            "declared": self.declared,
            "routed": self.declared,
            "probe": self.probe,
            "aliases": self.aliases,
            "newest_version": self.newest_version,
        }
        return Evidence(**fields | changes)

    def tick(self, seconds: float = 10, **changes: Any) -> Decision:
        """Time passes, a decision is made, stored and carried out."""
        self.now += timedelta(seconds=seconds)
        evidence = self.evidence(**changes)
        decision = decide(self.state, evidence, self.policy, self.now)
        self.state = RolloutState.from_storage(decision.state.to_storage())
        assert self.state == decision.state
        self.decisions.append(decision)
        if self.obeys and decision.needs_run:
            self.obey(decision)
        return decision

    def obey(self, decision: Decision) -> None:
        """The split and the aliases become what the decision says."""
        self.declared = decision.traffic
        if self.aliases is not None:
            self.aliases |= decision.aliases
        if "challenger" not in decision.running:
            self.challenger = ABSENT
        elif self.challenger == ABSENT:
            self.challenger = READY
        if "stable" not in decision.running:
            self.stable = ABSENT

    def say(self, kind: CommandKind, why: str = "") -> None:
        """Somebody tells the rollout what to do."""
        command = Command(kind=kind, who="ann", at=self.now, why=why)
        self.state = self.state.with_command(command)

    def until(self, *phases: str, most: int = 400) -> Decision:
        """Ticks until one of the phases."""
        for _ in range(most):
            decision = self.tick()
            if self.state.phase in phases:
                return decision
        raise AssertionError(f"no phase of {phases} after {most} ticks: {self.state.reason}")

    def until_action(self, action: str, most: int = 400) -> Decision:
        """Ticks until this is decided."""
        for _ in range(most):
            decision = self.tick()
            if decision.action == action:
                return decision
        raise AssertionError(f"no {action} after {most} ticks: {self.state.reason}")

    @property
    def shares(self) -> list[int]:
        """The challenger's shares in the order in which they were wanted, each once."""
        found = [0]
        for decision in self.decisions:
            share = decision.traffic.challenger
            if share != found[-1]:
                found.append(share)
        return found

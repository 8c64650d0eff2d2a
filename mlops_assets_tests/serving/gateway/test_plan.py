"""What runs and who gets requests: the table of rules."""

from pathlib import Path

import pytest

from mlops_assets.serving.gateway.plan import ReplicaState, build_plan
from mlops_assets.serving.gateway.revisions import Revision, Service
from mlops_assets.serving.gateway.routing import choose, sticky_ticket


def revision(name: str, percent: int = 100) -> Revision:
    return Revision("s", name, name, Path("/m"), (), 1.0, percent, {})


V1, V2 = revision("v1"), revision("v2")
CANARY = revision("v3", 10)


@pytest.mark.parametrize(
    ("declared", "former", "states", "runs", "traffic", "phase"),
    [
        pytest.param([V1], None, {}, "v1", {}, "pending", id="nothing_runs_yet"),
        pytest.param([V1], None, {"v1": "ready"}, "v1", {"v1": 100}, "ready", id="ready"),
        pytest.param(
            [V2], V1, {"v1": "ready"}, "v2 v1", {"v1": 100}, "pending", id="old_serves_meanwhile"
        ),
        pytest.param(
            [V2], V1, {"v1": "ready", "v2": "failed"}, "v2 v1", {"v1": 100}, "failed",
            id="old_serves_when_the_new_one_failed",
        ),
        pytest.param(
            [V2], V1, {"v1": "ready", "v2": "ready"}, "v2", {"v2": 100}, "ready",
            id="new_takes_over_and_the_old_one_stops",
        ),
        pytest.param(
            [V2], V1, {"v1": "starting", "v2": "starting"}, "v2 v1", {}, "pending",
            id="both_start_after_a_restart",
        ),
        pytest.param(
            [V1, CANARY], None, {"v1": "ready", "v3": "ready"}, "v1 v3", {"v1": 90, "v3": 10},
            "ready", id="a_ready_canary_gets_its_share",
        ),
        pytest.param(
            [V1, CANARY], None, {"v1": "ready", "v3": "failed"}, "v1 v3", {"v1": 100}, "failed",
            id="a_failed_canary_gets_nothing",
        ),
        pytest.param(
            [V1, CANARY], None, {"v1": "starting", "v3": "ready"}, "v1 v3", {}, "pending",
            id="a_canary_alone_gets_nothing",
        ),
    ],
)  # fmt: skip
def test_plan_table(
    declared: list[Revision],
    former: Revision | None,
    states: dict[str, str],
    runs: str,
    traffic: dict[str, int],
    phase: str,
) -> None:
    known = {key: ReplicaState(state, "why") for key, state in states.items()}  # type: ignore[arg-type]
    plan = build_plan(Service("s", "d", tuple(declared), {}), former, known)
    assert " ".join(r.name for r in plan.run) == runs
    assert plan.traffic == traffic
    assert plan.phase == phase
    assert plan.reason


def test_a_growing_canary_keeps_the_callers_it_has() -> None:
    tickets = [sticky_ticket("salt", f"user-{i}") for i in range(2_000)]
    at_10 = [choose([90, 10], ticket) for ticket in tickets]
    at_40 = [choose([60, 40], ticket) for ticket in tickets]
    assert all(later == 1 for now, later in zip(at_10, at_40, strict=True) if now == 1)
    assert 150 < sum(at_10) < 250
    assert 700 < sum(at_40) < 900


def test_another_salt_puts_other_callers_on_the_canary() -> None:
    sides = [
        [choose([50, 50], sticky_ticket(salt, f"user-{i}")) for i in range(500)] for salt in "ab"
    ]
    assert 180 < sum(one != two for one, two in zip(*sides, strict=True)) < 320

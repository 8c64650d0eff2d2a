"""A look at what is declared and what runs: something is planned only where something changed."""

import asyncio
from pathlib import Path

import pytest

from mlops_assets.serving.embedded import EmbeddedServing
from mlops_assets.serving.gateway import supervisor
from mlops_assets.serving.gateway.plan import Plan, ReplicaState, build_plan
from mlops_assets.serving.gateway.replica import Replica
from mlops_assets.serving.gateway.settings import GatewaySettings
from mlops_assets.serving.gateway.supervisor import Supervisor
from mlops_assets.serving.home import ServingHome
from mlops_assets_tests.serving.running import toy_manifest, with_canary


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The services that were planned for, in order; no process is started."""
    names: list[str] = []

    def counting(*how: object) -> Plan:
        plan = build_plan(*how)  # type: ignore[arg-type]
        names.append(how[0].name)  # type: ignore[attr-defined]
        return plan

    monkeypatch.setattr(supervisor, "build_plan", counting)
    monkeypatch.setattr(Replica, "start", lambda _: None)
    return names


def look(looking: Supervisor, planned: list[str]) -> list[str]:
    """Look until nothing more is planned; what was."""
    planned.clear()
    for _ in range(5):
        n_before = len(planned)
        looking.tick()
        if len(planned) == n_before:
            return sorted(set(planned))
    raise AssertionError(f"it does not settle: {planned}")


def test_only_what_changed_is_planned_for(tmp_path: Path, planned: list[str]) -> None:
    backend, home = EmbeddedServing(tmp_path), ServingHome.under(tmp_path)
    v1, v2 = (toy_manifest(tmp_path / "model", version, digest="b" * 64) for version in (1, 2))
    backend.apply(with_canary(v1, v2))
    backend.apply(toy_manifest(tmp_path / "model", name="other"))

    async def main() -> None:
        looking = Supervisor(GatewaySettings(home=tmp_path))
        assert look(looking, planned) == ["other", "toy"]
        assert look(looking, planned) == []
        for replica in looking.replicas("toy"):
            replica.state = ReplicaState("ready", "answered the probe")
        assert look(looking, planned) == ["toy"]
        backend.set_traffic("toy", {"v1": 60, "v2": 40})
        assert look(looking, planned) == ["toy"]
        assert [share for _, share in looking.routes["toy"].replicas] == [60, 40]
        looking.replicas("toy")[0].n_crashes += 1
        assert look(looking, planned) == ["toy"]
        assert looking.statuses["toy"]["revisions"][0]["n_crashes"] == 1
        declared = home.manifest("other").read_text()
        home.manifest("other").write_text("{")
        assert look(looking, planned) == []
        home.manifest("other").write_text(declared)
        assert look(looking, planned) == ["other"]
        home.manifest("toy").unlink()
        looking.tick()
        assert set(looking.statuses) == set(looking.routes) | {"other"} == {"other"}

    asyncio.run(main())

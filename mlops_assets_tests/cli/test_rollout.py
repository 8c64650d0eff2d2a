"""The rollout commands, as people call them."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.errors import PlatformError, RolloutError
from mlops_assets.kserve.api import INFERENCE_SERVICES
from mlops_assets.kserve.state_store import ConfigMapStore
from mlops_assets.rollout.file_store import FileStore
from mlops_assets.rollout.state import RolloutState, VersionRef
from mlops_assets.serving.home import ServingHome
from mlops_assets_tests.kubernetes.cluster import running_cluster
from mlops_assets_tests.kubernetes.kubeconfig import write_kubeconfig
from mlops_assets_tests.kubernetes.running import api_of, bare_service

RUNNER = CliRunner()


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> FileStore:
    """A home in which flight_delay is rolled out."""
    monkeypatch.setenv("MLOPS_HOME", str(home))
    kept = FileStore(ServingHome.under(home).rollouts)
    state = RolloutState.begin(
        "flight_delay",
        "flight-delay",
        stable=VersionRef(version=1, revision="v1"),
        challenger=VersionRef(version=2, revision="v2"),
        now=datetime(2026, 8, 3, 12, 0, tzinfo=UTC),
    )
    kept.write("flight-delay", state.to_storage(), "")
    return kept


def read(store: FileStore) -> RolloutState:
    return RolloutState.from_storage(str(store.read("flight-delay")[0]))


def change(store: FileStore, **changes: object) -> None:
    token = store.read("flight-delay")[1]
    store.write("flight-delay", read(store).model_copy(update=changes).to_storage(), token)


def test_status_shows_versions_traffic_and_reason(store: FileStore) -> None:
    shown = RUNNER.invoke(app, ["rollout", "status", "flight_delay"])
    assert shown.exit_code == 0
    assert "v2 beside v1: pending" in shown.stdout
    assert "traffic: 100 % stable" in shown.stdout
    told = RUNNER.invoke(app, ["rollout", "status", "flight_delay", "--json"])
    assert json.loads(told.stdout)["challenger"]["version"] == 2


def test_status_of_a_rollback_exits_1(store: FileStore) -> None:
    change(store, phase="rolled_back", reason="error ratio [4 %] is harm")
    shown = RUNNER.invoke(app, ["rollout", "status", "flight_delay"])
    assert (shown.exit_code, "error ratio [4 %] is harm" in shown.stdout) == (1, True)


@pytest.mark.parametrize("kind", ["approve", "promote", "rollback", "pause", "resume", "abort"])
def test_a_command_is_recorded_with_who_when_and_why(store: FileStore, kind: str) -> None:
    said = RUNNER.invoke(
        app, ["rollout", kind, "flight_delay", "--why", "a reason", "--who", "ann"]
    )
    assert said.exit_code == 0, said.output
    (command,) = read(store).commands
    assert (command.kind, command.who, command.why, command.outcome) == (
        kind,
        "ann",
        "a reason",
        "",
    )
    assert abs((datetime.now(UTC) - command.at).total_seconds()) < 60


def test_a_command_about_a_rollout_that_is_over_is_refused(store: FileStore) -> None:
    change(store, phase="rolled_back", reason="harm")
    said = RUNNER.invoke(app, ["rollout", "promote", "flight_delay"])
    assert isinstance(said.exception, RolloutError)
    assert "is over (rolled_back): harm" in str(said.exception)


def test_a_promotion_can_be_taken_back_while_the_former_version_is_warm(store: FileStore) -> None:
    change(store, phase="succeeded", reason="no harm")
    assert RUNNER.invoke(app, ["rollout", "rollback", "flight_delay"]).exit_code == 0
    change(store, standby_released=True)
    said = RUNNER.invoke(app, ["rollout", "rollback", "flight_delay"])
    assert isinstance(said.exception, RolloutError)


@pytest.mark.parametrize(("option", "most"), [("--why", 600), ("--who", 200)])
def test_words_that_are_too_long_are_a_mistake_of_the_caller(
    store: FileStore, option: str, most: int
) -> None:
    pause = ["rollout", "pause", "flight_delay", option]
    said = RUNNER.invoke(app, [*pause, "x" * (most + 1)])
    assert said.exit_code == 2
    assert f"{option}: String should have at most {most} characters" in said.output
    assert read(store).commands == ()
    assert RUNNER.invoke(app, [*pause, "x" * most]).exit_code == 0


def test_a_model_without_a_rollout_and_no_model_at_all(store: FileStore) -> None:
    nothing = RUNNER.invoke(app, ["rollout", "status", "music_therapy"])
    assert isinstance(nothing.exception, RolloutError)
    assert "music_therapy has no rollout" in str(nothing.exception)
    unknown = RUNNER.invoke(app, ["rollout", "status", "nobody"])
    assert isinstance(unknown.exception, PlatformError)


def test_a_command_reaches_the_rollout_of_a_cluster(
    store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_cluster() as cluster:
        api = api_of(cluster)
        api.apply(INFERENCE_SERVICES, bare_service("flight-delay"))
        of_cluster = ConfigMapStore(api)
        of_cluster.write("flight-delay", str(store.read("flight-delay")[0]), "")
        config = write_kubeconfig(tmp_path / "config", cluster.api.url)
        monkeypatch.setenv("KUBECONFIG", str(config))
        monkeypatch.setenv("MLOPS_KSERVE_NAMESPACE", "default")
        said = RUNNER.invoke(app, ["rollout", "approve", "flight_delay", "--who", "ann"])
        assert said.exit_code == 0, said.output
        told = RolloutState.from_storage(str(of_cluster.read("flight-delay")[0]))
    assert [(c.kind, c.who) for c in told.commands] == [("approve", "ann")]
    assert read(store).commands == ()


def test_the_demonstration_needs_a_running_platform(store: FileStore) -> None:
    assert "MLOPS_HOME" in os.environ
    shown = RUNNER.invoke(app, ["demo", "rollout"])
    assert isinstance(shown.exception, PlatformError)
    assert "start it with `make run`" in str(shown.exception)

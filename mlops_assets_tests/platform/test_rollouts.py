from datetime import UTC, datetime
from pathlib import Path

from mlops_assets.kserve.manifest import MODEL_NAME
from mlops_assets.platform.home import Home
from mlops_assets.platform.retirement import withdraw_service
from mlops_assets.platform.rollouts import describe, local_store, read_rollout
from mlops_assets.rollout.state import RolloutState, VersionRef
from mlops_assets.serving.home import ServingHome, write_json


def begun() -> RolloutState:
    return RolloutState.begin(
        "churn",
        "churn",
        stable=VersionRef(version=1, revision="v1"),
        challenger=VersionRef(version=2, revision="v2"),
        now=datetime(2026, 8, 3, 12, 0, tzinfo=UTC),
    )


def test_a_rollout_in_one_line() -> None:
    assert describe(begun()) == "rollout of v2: pending, 100 % stable"
    over = begun().model_copy(update={"phase": "rolled_back"})
    assert describe(over) == "rollout of v2: rolled_back"


def test_a_state_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert read_rollout(home, "churn") is None
    local_store(home).write("churn", "{", "")
    assert read_rollout(home, "churn") is None


def test_a_retired_model_leaves_no_rollout_behind(tmp_path: Path) -> None:
    home = Home(tmp_path)
    manifest = {"metadata": {"name": "churn", "labels": {MODEL_NAME: "churn"}}}
    write_json(ServingHome.under(home.root).manifest("churn"), manifest)
    local_store(home).write("churn", begun().to_storage(), "")
    assert withdraw_service(home, "churn") == "churn"
    assert local_store(home).services() == []
    assert withdraw_service(home, "churn") is None

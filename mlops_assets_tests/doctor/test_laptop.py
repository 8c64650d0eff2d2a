"""Each finding about this machine, provoked."""

import contextlib
import json
import os
import socket
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.doctor import laptop_judgement as judgement
from mlops_assets.doctor.finding import Finding, Unanswered
from mlops_assets.doctor.laptop import examine_laptop
from mlops_assets.modeling.signing import SIGNING_KEY, TRUSTED, ensure_key_pair
from mlops_assets.platform.home import Home
from mlops_assets.platform.lock import hold
from mlops_assets_tests.documents import churn_document

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(home: Path) -> Home:
    home.mkdir()
    return Home(home)


def make_project(folder: Path) -> Path:
    """A project without documents: checking the shipped ones takes seconds."""
    (folder / "mlops_assets" / "defs").mkdir(parents=True, exist_ok=True)
    for name in ("dagster.yaml", "workspace.yaml"):
        (folder / name).write_text((ROOT / name).read_text())
    return folder


def examine(place: Home, now: datetime | None = None) -> dict[str, Finding]:
    project = make_project(place.root.parent / "project")
    return {finding.check: finding for finding in examine_laptop(place, project, now)}


def test_a_sound_home_has_nothing_broken_but_maybe_busy_ports(place: Home) -> None:
    ensure_key_pair(place.keys)
    found = examine(place)
    broken = {check for check, finding in found.items() if finding.verdict == "broken"}
    assert broken <= {"ports", "home"}  # whoever runs these tests may have a platform of his own
    assert "signs" in found["keys"].found
    assert found["mlflow database"].found == "not made yet"


def test_a_home_that_cannot_be_written_is_told(place: Home) -> None:
    file = place.root / "file"
    file.write_text("")
    found = examine(Home(file))["home"]
    assert (found.verdict, "cannot be written" in found.found) == ("broken", True)


def test_keys_that_are_lost_or_open_are_told(place: Home) -> None:
    ensure_key_pair(place.keys)
    (place.keys / SIGNING_KEY).chmod(0o644)
    assert examine(place)["keys"].verdict == "warning"
    (place.keys / SIGNING_KEY).chmod(0o600)
    for path in (place.keys / TRUSTED).iterdir():
        path.unlink()
    assert "holds no public key" in examine(place)["keys"].found
    ensure_key_pair(place.root / "other")
    other = next((place.root / "other" / TRUSTED).iterdir())
    other.rename(place.keys / TRUSTED / other.name)
    found = examine(place)["keys"]
    assert (found.verdict, "does not trust it" in found.found) == ("broken", True)
    (place.keys / SIGNING_KEY).unlink()
    assert "no such signing key" in examine(place)["keys"].found


def test_a_busy_port_is_told_with_its_process(place: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr("mlops_assets.doctor.laptop._PORTS", (port,))
        found = examine(place)["ports"]
    assert (found.verdict, str(port) in found.found) == ("broken", True)


def test_a_damaged_database_is_told(place: Home) -> None:
    place.mlflow_database.write_bytes(b"SQLite format 3\x00" + b"\xff" * 4_000)
    found = examine(place)["mlflow database"]
    assert (found.verdict, str(place.mlflow_database) in found.found) == ("broken", True)


def test_a_database_that_its_writer_has_locked_is_not_taken_for_a_damaged_one(home: Path) -> None:
    """Its owner would be told to replace it by a backup. The name of the home is no address."""
    place = Home(home.with_name("home #1?"))
    place.root.mkdir()
    with contextlib.closing(sqlite3.connect(place.mlflow_database)) as writer:
        writer.execute("CREATE TABLE runs (id)")
        assert examine(place)["mlflow database"].found == "whole"
        writer.execute("BEGIN EXCLUSIVE")
        found = examine(place)["mlflow database"]
    assert (found.verdict, "locked" in found.found) == ("unknown", True)


def test_a_clock_that_went_back_is_told(place: Home) -> None:
    (place.root / "results.json").write_text("{}")
    now = datetime.now(UTC)
    assert examine(place, now=now)["clock"].verdict == "fine"
    found = examine(place, now=now - timedelta(hours=1))["clock"]
    assert (found.verdict, "the clock went back" in found.found) == ("broken", True)


def test_a_wrong_document_is_told(place: Home, tmp_path: Path) -> None:
    folder = make_project(tmp_path / "project") / "mlops_assets" / "defs" / "churn"
    folder.mkdir()
    attributes = churn_document(split={"validation_ratio": 7})
    document = {"type": "mlops_assets.component.ModelPipeline", "attributes": attributes}
    (folder / "defs.yaml").write_text(json.dumps(document))
    found = examine(place)["documents"]
    assert (found.verdict, "validation_ratio" in found.found) == ("broken", True)


def test_a_platform_whose_gateway_is_gone_is_told(place: Home) -> None:
    service = {
        "metadata": {"name": "flight-delay", "labels": {"mlops-assets/model": "flight_delay"}}
    }
    manifests = place.root / "serving" / "manifests"
    manifests.mkdir(parents=True)
    (manifests / "flight-delay.json").write_text(json.dumps(service))
    with hold(place.lock, "test"):
        found = examine(place)
    assert found["ports"].found == "the platform has them"
    assert "the gateway does not run" in found["services"].found


@pytest.mark.parametrize(
    ("finding", "verdict"),
    [
        pytest.param(judgement.judge_python((3, 11)), "fine", id="python"),
        pytest.param(judgement.judge_python((3, 12)), "broken", id="other_python"),
        pytest.param(judgement.judge_packages([]), "fine", id="packages"),
        pytest.param(judgement.judge_packages(["polars 1 …"]), "broken", id="wrong_package"),
        pytest.param(judgement.judge_memory(2_000_000_000), "fine", id="memory"),
        pytest.param(judgement.judge_memory(1_999_999_999), "warning", id="little_memory"),
        pytest.param(
            judgement.judge_place(judgement.Place(Path("h"), True, 4_999_999_999)),
            "warning",
            id="little_disk",
        ),
        pytest.param(
            judgement.judge_place(judgement.Place(Path("h"), True, 999_999_999)),
            "broken",
            id="no_disk",
        ),
        pytest.param(judgement.judge_database("d", Unanswered("x")), "unknown", id="locked"),
        pytest.param(judgement.judge_database("d", "row 7 missing"), "broken", id="not_whole"),
    ],
)
def test_what_facts_mean(finding: Finding, verdict: str) -> None:
    assert finding.verdict == verdict
    assert (finding.mend == "") == (verdict == "fine")


def test_the_command_prints_one_object_and_fails_when_something_is_broken(
    place: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_PROJECT", str(make_project(place.root.parent / "project")))
    place.mlflow_database.write_bytes(b"no database" * 100)
    shown = CliRunner().invoke(app, ["doctor", "--json", f"--home={place.root}"])
    summary = json.loads(shown.stdout)
    assert (shown.exit_code, summary["verdict"]) == (1, "broken")
    words = CliRunner().invoke(app, ["doctor", f"--home={place.root}"]).stdout
    assert "BROKEN  mlflow database" in words
    assert "→ stop the platform and restore" in words
    assert os.listdir(place.root) == ["mlflow.db"]  # noqa: PTH208 - nothing was made or changed

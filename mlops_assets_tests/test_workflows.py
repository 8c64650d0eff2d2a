"""The workflows: linted by zizmor and by GitHub's own schema, and made of commands that exist."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
BIN = Path(sys.executable).parent


def workflow(file: Path) -> dict[str, Any]:
    """A workflow; YAML reads its key `on` as true."""
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    return content


def jobs() -> list[Any]:
    found = [(file, name, job) for file in FILES for name, job in workflow(file)["jobs"].items()]
    return [pytest.param(job, id=f"{file.stem}:{name}") for file, name, job in found]


def test_the_five_workflows_are_there() -> None:
    assert [file.stem for file in FILES] == [
        "ci", "cluster", "continuous-training", "image", "release",
    ]  # fmt: skip


def test_zizmor_finds_nothing() -> None:
    command: list[str | Path] = [BIN / "zizmor", "--offline", "--no-progress", FOLDER]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_fits_the_schema_of_workflows() -> None:
    schema = "vendor.github-workflows"
    command: list[str | Path] = [BIN / "check-jsonschema", "--builtin-schema", schema, *FILES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_nothing_is_allowed_to_a_whole_workflow_and_it_never_runs_beside_itself(file: Path) -> None:
    content = workflow(file)
    assert content["permissions"] == {}
    assert {"group", "cancel-in-progress"} == set(content["concurrency"])


@pytest.mark.parametrize("job", jobs())
def test_a_job_names_its_rights_and_its_time(job: dict[str, Any]) -> None:
    assert job["permissions"]
    assert "uses" in job or job["timeout-minutes"] <= 180


@pytest.mark.parametrize("job", jobs())
def test_actions_are_pinned_by_commit_and_say_which_release_that_is(job: dict[str, Any]) -> None:
    for step in job.get("steps", ()):
        if "uses" in step:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
    for file in FILES:
        for line in file.read_text().splitlines():
            if "uses:" in line and "./" not in line:
                assert re.search(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


@pytest.mark.parametrize("job", jobs())
def test_each_step_is_a_command_that_runs_by_hand(job: dict[str, Any]) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for step in job.get("steps", ()):
        command = step.get("run")
        if command is None:
            continue
        assert "\n" not in command.strip(), "one command a step"
        assert "${{" not in command, "values come through the environment"
        words = command.split()
        if words[0] == "make":
            assert words[1] in targets
        else:
            assert words[0] in (".venv/bin/mlops-assets", "kubectl", "tar", "gh"), command


def test_the_cluster_that_is_made_is_the_one_that_is_tested_and_asked_what_went_wrong() -> None:
    (job,) = workflow(FOLDER / "cluster.yml")["jobs"].values()
    assert job["env"]["KUBECONFIG"]  # test-cluster fails without it
    commands = [step.get("run", "") for step in job["steps"]]
    assert commands.index("make kind") < commands.index("make test-cluster")
    assert job["steps"][-1] == {
        "name": "what the cluster says", "if": "failure()", "run": "make cluster-report",
    }  # fmt: skip


@pytest.mark.parametrize("job", jobs())
def test_what_is_kept_between_runs_is_where_uv_looks(job: dict[str, Any]) -> None:
    for step in job.get("steps", ()):
        assert "cache" not in step.get("with", {}), "pip installs uv, and uv the rest"
        if step.get("uses", "").startswith("actions/cache@"):
            assert step["with"]["path"] == "~/.cache/uv"
            assert "hashFiles('requirements.lock')" in step["with"]["key"]

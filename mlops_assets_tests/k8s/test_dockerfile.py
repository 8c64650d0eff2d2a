"""The Dockerfile and the locks of its images, without building anything."""

import re
import tomllib
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mlops_assets_tests.k8s.image_environment import DOCKERFILE, LOCKS, ROOT

TEXT = DOCKERFILE.read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WANTED = {
    "predictor": PROJECT["dependency-groups"]["predictor"],
    "platform": [
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["cluster"],
    ],
}


def stages() -> dict[str, str]:
    """The Dockerfile's stages by name."""
    parts = re.split(r"^FROM (\S+) AS (\S+)\n", TEXT, flags=re.MULTILINE)
    return {parts[i + 1]: f"FROM {parts[i]}\n{parts[i + 2]}" for i in range(1, len(parts), 3)}


def locked(path: str) -> dict[str, str]:
    """The entry of each package in a lock: its version and hashes."""
    text = re.sub(r"^ *#.*\n", "", (ROOT / path).read_text(), flags=re.MULTILINE)
    entries = re.split(r"\n(?=\S)", text.strip())
    return {entry.partition("==")[0]: entry for entry in entries}


def closure(names: list[str]) -> set[str]:
    """Packages that some requirements need, by what is installed here."""
    found: set[str] = set()
    todo = [Requirement(name) for name in names]
    while todo:
        wanted = todo.pop()
        name = canonicalize_name(wanted.name)
        extras = wanted.extras or {""}
        key = f"{name}[{','.join(sorted(extras))}]"
        if key in found:
            continue
        found.add(key)
        for line in requires(name) or ():
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in extras):
                todo.append(needed)
    return {key.partition("[")[0] for key in found}


@pytest.mark.parametrize("image", WANTED)
def test_a_lock_of_an_image_is_a_part_of_the_projects_lock(image: str) -> None:
    whole, part = locked("requirements.lock"), locked(f"k8s/images/{image}.lock")
    assert part.items() <= whole.items(), "run `make lock`"


@pytest.mark.parametrize("image", WANTED)
def test_a_lock_of_an_image_holds_what_it_needs_and_no_more(image: str) -> None:
    assert set(locked(f"k8s/images/{image}.lock")) == closure(WANTED[image]), "run `make lock`"


def test_what_the_predictor_needs_the_project_needs() -> None:
    names = {canonicalize_name(Requirement(n).name) for n in WANTED["platform"]}
    assert {canonicalize_name(Requirement(n).name) for n in WANTED["predictor"]} - names <= {
        "numpy"
    }


def test_the_base_is_an_argument_pinned_by_digest() -> None:
    assert re.search(r"^ARG PYTHON_IMAGE=\S+@sha256:[0-9a-f]{64}$", TEXT, re.MULTILINE)
    bases = set(re.findall(r"^FROM (\S+)", TEXT, re.MULTILINE))
    assert bases - set(stages()) == {"${PYTHON_IMAGE}"}


@pytest.mark.parametrize("image", WANTED)
def test_an_image_runs_as_nobody_special_and_copies_no_tools(image: str) -> None:
    stage = stages()[image]
    assert "\nUSER 1000:1000\n" in stage
    assert "FROM runtime\n" in stage
    copied = re.findall(r"^COPY (.*)$", stage, re.MULTILINE)
    assert sorted(copied) == [
        f"--from={image}-environment /opt/venv /opt/venv",
        "--from=source /opt/mlops /opt/mlops",
    ]


def test_no_image_gets_a_compiler_and_nothing_is_installed_without_hashes() -> None:
    packages = re.findall(r"apt-get install --yes --no-install-recommends (.*?) \\", TEXT)
    assert packages == ["postgresql-client"]
    installs = re.findall(r"(?:pip|uv pip) (?:install|sync) .*", TEXT)
    assert installs
    assert all("--require-hashes" in line for line in installs)


def test_locks_name_no_index() -> None:
    for path in LOCKS.glob("*.lock"):
        assert "index-url" not in path.read_text()
        assert "://" not in path.read_text()

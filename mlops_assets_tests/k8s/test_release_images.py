"""A release's manifests name its images by digest: `make digests`, then `make pin`."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from mlops_assets_tests.k8s.rendering import FOLDER, pods_of, read_objects, render_text

ROOT = FOLDER.parent
REPOSITORY = "ghcr.io/owner/mlops"
DIGESTS = {"predictor": f"sha256:{'1' * 64}", "platform": f"sha256:{'2' * 64}"}
DOCKER = """#!/bin/bash
case "$1 $2 $4" in
  "inspect --format {repository}/predictor:v1") echo {repository}/predictor@{predictor} ;;
  "inspect --format {repository}/platform:v1") echo {repository}/platform@{platform} ;;
  *) exit 1 ;;
esac
"""


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A target of the Makefile in a copy of the tree, where docker is a script."""
    if not (folder / "Makefile").exists():
        shutil.copy(ROOT / "Makefile", folder)
        shutil.copytree(FOLDER, folder / "k8s")
        docker = folder / "tools" / "docker"
        docker.parent.mkdir()
        docker.write_text(DOCKER.format(repository=REPOSITORY, **DIGESTS))
        docker.chmod(0o755)
    path = f"{folder / 'tools'}:{os.environ['PATH']}"
    command = ["make", "--silent", *words]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def test_what_was_pushed_is_what_staging_and_production_run(tmp_path: Path) -> None:
    pushed = make(tmp_path, "digests", "REGISTRY=ghcr.io/Owner/MLOps", "TAG=v1").stdout.strip()
    assert pushed == "PUSHED=" + " ".join(f"{REPOSITORY}/{n}@{d}" for n, d in DIGESTS.items())
    for _ in range(2):  # over a release before as well
        done = make(tmp_path, "pin", pushed)
        assert done.returncode == 0, done.stderr
    for overlay in ("staging", "production"):
        text = render_text(tmp_path / "k8s" / "overlays" / overlay)
        assert "registry.example.com/mlops/p" not in text
        images = {
            container["image"]
            for pod in pods_of(read_objects(text))
            for container in pod.containers
            if "/mlops/" in container["image"]
        }
        assert images == {f"{REPOSITORY}/{name}@{digest}" for name, digest in DIGESTS.items()}
        folder = tmp_path / "k8s" / "overlays" / overlay / "images"
        assert [file.name for file in folder.iterdir()] == ["kustomization.yaml"]


@pytest.mark.parametrize("pushed", ["", f"{REPOSITORY}/predictor:v1 {REPOSITORY}/platform:v1"])
def test_an_image_without_its_digest_is_refused_and_nothing_is_written(
    tmp_path: Path, pushed: str
) -> None:
    done = make(tmp_path, "pin", f"PUSHED={pushed}")
    assert (done.returncode, "PUSHED names no predictor by digest" in done.stderr) == (2, True)
    file = "k8s/overlays/production/images/kustomization.yaml"
    assert (tmp_path / file).read_text() == (ROOT / file).read_text()


def test_an_image_that_was_not_pushed_has_no_digest(tmp_path: Path) -> None:
    assert make(tmp_path, "digests", f"REGISTRY={REPOSITORY}", "TAG=v2").returncode != 0


def test_the_release_pins_what_its_own_job_pushed_before_it_packs_the_manifests() -> None:
    workflows = ROOT / ".github" / "workflows"
    release = yaml.safe_load((workflows / "release.yml").read_text())["jobs"]["publish"]["steps"]
    (pin,) = (step for step in release if step.get("run") == "make pin")
    assert pin["env"]["PUSHED"] == "${{ needs.image.outputs.pushed }}"
    commands = [step.get("run", "") for step in release]
    assert commands.index("make pin") < next(
        n for n, command in enumerate(commands) if command.startswith("tar ")
    )
    image = yaml.safe_load((workflows / "image.yml").read_text())
    assert image[True]["workflow_call"]["outputs"]["pushed"]["value"] == (
        "${{ jobs.image.outputs.pushed }}"
    )

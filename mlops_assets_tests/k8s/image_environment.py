"""The environments of the images, made here by the Dockerfile's own commands: no image is built,
and what an image would install is what runs."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from mlops_assets_tests.k8s.rendering import FOLDER

ROOT = FOLDER.parent
DOCKERFILE = ROOT / "Dockerfile"
LOCKS = FOLDER / "images"


@dataclass(frozen=True, slots=True)
class ImageEnvironment:
    """What is at /opt/venv of an image, with the code beside it as there.

    Attributes:
        folder: The virtual environment.
    """

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def variables(self) -> dict[str, str]:
        """Variables of a container of it."""
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of it, with what it said."""
        return subprocess.run(
            arguments, env=self.variables, capture_output=True, text=True, timeout=240, check=False
        )


def commands(stage: str) -> str:
    """The RUN instruction of a stage, as shell."""
    text = DOCKERFILE.read_text()
    part = re.split(r"^FROM .*\n", text.split(f" AS {stage}\n")[1], flags=re.MULTILINE)[0]
    (run,) = re.findall(r"^RUN ((?:.*\\\n)*.*)$", part, re.MULTILINE)
    return str(run)


def make_environment(image: str, folder: Path) -> ImageEnvironment:
    """The environment of an image: the Dockerfile's commands, with another place for it."""
    shell = commands(f"{image}-environment").replace("/opt/venv", str(folder / "venv"))
    base = Path(sys.base_prefix) / "bin"
    tools = Path(sys.executable).parent  # uv
    variables = {**os.environ, "PATH": f"{base}:{tools}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-eu", "-c", shell], cwd=LOCKS, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return ImageEnvironment(folder / "venv")
